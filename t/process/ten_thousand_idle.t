# Ten thousand idle keep-alive connections need nothing but LoadModule, Listen and
# a long KeepAliveTimeout: all stay, new clients are served soon meanwhile, and
# each of the ten thousand is served again. The number of descriptors a child
# may open is raised to the hard limit for it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Test::More;
use MPMX::Server;
use MPMX::Sleepers;
use Time::HiRes qw(time sleep);

MPMX::Sleepers->only_here;
my ($soft, $hard) = map { my $n = qx{sh -c 'ulimit -$_ -n'}; $n =~ /(\d+)/ ? $1 : 1_000_000 } qw(S H);
my $many = int($hard / 2) - 200;
$many = 10_000 if $many > 10_000;
$many = 3000 if $many > 3000 && MPMX::Server::slowness() > 1;
plan(skip_all => "may open no more than $hard descriptors") if $many < 2000;
if ($soft < $many + 100) {
    # Only a shell can raise it, for what it runs next.
    die "cannot raise the limit of open files\n" if $ENV{MPMX_RAISED}++;
    exec 'sh', '-c', 'ulimit -S -n "$1"; shift; exec "$@"', 'sh', $many + 200, $^X, $0;
}

my $slow = MPMX::Server::slowness();
my %default = map { $_ => undef } qw(StartServers ServerLimit ThreadsPerChild MaxRequestWorkers MinSpareThreads MaxSpareThreads);
my $srv = MPMX::Server->new(modules => ['status'], sizing => \%default, conf => 'KeepAliveTimeout 300', nofile => "256:$hard");
$srv->start;
# One of them answers; the others may just have been forked.
for my $child ($srv->children) {
    my $limits;
    my $raised = $srv->wait_for(sub {
        my $text = MPMX::Server::Proc::slurp("/proc/$child/limits");
        return 1 unless defined $text && $text =~ /^Max open files\s+(\d+)\s+(\d+)/m;
        $limits = "soft $1, hard $2";
        return $1 == $2;
    }, 5);
    ok($raised, 'a child may open as many descriptors as the hard limit allows') or diag($limits);
}

my $request = "GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n";
my $spread = 1;                          # over source addresses: any 127.x.y.z is local on Linux

# Not MPMX::Server::Client: that would be all this test spends its time with.
sub open_one {
    my ($i) = @_;
    socket(my $fh, PF_INET, SOCK_STREAM, IPPROTO_TCP) or die "socket: $!\n";
    $spread &&= bind $fh, pack_sockaddr_in(0, inet_aton('127.0.0.' . (2 + $i % 50)));
    connect($fh, pack_sockaddr_in($srv->port, INADDR_LOOPBACK)) or die "connection $i: $!\n";
    setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1);
    return $fh;
}

# How many have a whole answer of it within some seconds.
sub answered {
    my @wait = @_;
    my (%text, $whole);
    my $until = time + 15 * $slow;
    $whole = 0;
    while (@wait && time < $until) {
        my $vec = '';
        vec($vec, fileno $_, 1) = 1 for @wait;
        select($vec, undef, undef, 1) > 0 or next;
        my @rest;
        for my $fh (@wait) {
            my $fd = fileno $fh;
            if (vec($vec, $fd, 1)) {
                my $n = sysread $fh, $text{$fd}, 8192, length($text{$fd} || '');
                next if !$n;
                if ($text{$fd} =~ m{\AHTTP/1\.1 200 .*?\r\n\r\n(.*)}s && length $1 == 1000) {
                    $whole++ unless $text{$fd} =~ /^connection: close/mi;
                    next;
                }
            }
            push @rest, $fh;
        }
        @wait = @rest;
    }
    return $whole;
}

sub closed {
    my $vec = '';
    vec($vec, fileno $_, 1) = 1 for @_;
    my $n = select($vec, undef, undef, 0);
    return $n < 0 ? "select: $!" : $n;
}

my ($worst, $asked, $others) = (0, 0, 0);
sub one_more {
    my $t0 = time;
    $asked++;
    $others++ if $srv->get('/index.html')->{status} == 200;
    my $took = time - $t0;
    $worst = $took if $took > $worst;
    return;
}

my (@c, $served);
my $began = time;
while (@c < $many) {
    my $n = $many - @c > 100 ? 100 : $many - @c;
    my @new = map { open_one($_) } 1 .. $n;
    syswrite $_, $request for @new;
    $served += answered(@new);
    push @c, @new;
    one_more() if @c % 500 == 0;
}
note(sprintf '%d connections in %.1f s', $many, time - $began);
is($served, $many, "$many connections with a request each");
for (1 .. 8) {
    one_more();
    sleep 0.5;
}
is(closed(@c), 0, 'none of them is closed');
my $st;
$srv->wait_for(sub { $st = $srv->status; ($st->{ConnsAsyncKeepAlive} || 0) == $many }, 5);
is($st->{ConnsAsyncKeepAlive}, $many, 'mod_status knows them all');
$served = 0;
my @rest = @c;
while (my @some = splice @rest, 0, 200) {
    syswrite $_, $request for @some;
    $served += answered(@some);
    one_more() if @rest % 1000 == 0;
}
is($served, $many, 'all are served again');
is($others, $asked, 'new clients are served all the while');
cmp_ok($worst, '<', 2 * $slow, sprintf 'soon (%.0f ms at most)', 1000 * $worst);
ok(!$srv->logged(qr/\[(?:[\w-]+:)?(?:warn|error)\]/), 'and the server says nothing of it');
close $_ for @c;
$srv->finish;
done_testing;
