# Restarts in a row under clients that pause at any moment: no request is lost, however
# close to the journey of its connection it comes. Two thousand idle connections
# travel, more than fit into the socket at once, and also while their requests arrive,
# and while those who are to take them are late.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Test::More;
use MPMX::Load;
use MPMX::Server;
use MPMX::Sleepers;
use Time::HiRes qw(time sleep);

MPMX::Sleepers->only_here;
my $slow = MPMX::Server::slowness();
my ($soft, $hard) = map { my $n = qx{sh -c 'ulimit -$_ -n'}; $n =~ /(\d+)/ ? $1 : 1_000_000 } qw(S H);
my $many = $slow > 1 ? 1000 : 2000;
plan(skip_all => "may open no more than $hard descriptors") if $hard < 2 * $many + 200;
if ($soft < $many + 100) {
    # Only a shell can raise it, for what it runs next.
    die "cannot raise the limit of open files\n" if $ENV{MPMX_RAISED}++;
    exec 'sh', '-c', 'ulimit -S -n "$1"; shift; exec "$@"', 'sh', $many + 200, $^X, $0;
}
my $srv = MPMX::Sleepers->server(
    sizing => { StartServers => 2, ServerLimit => 4, ThreadsPerChild => 8, MaxRequestWorkers => 16, MinSpareThreads => 1, MaxSpareThreads => 32 },
    conf   => 'KeepAliveTimeout 120', nofile => "256:$hard");
$srv->start;

# Between two and three restarts a second, and pauses of all lengths up to one.
my @loads = map { MPMX::Load->start(port => $srv->port, clients => 8, pause => $_) } 0.004, 0.05, 0.5;
my $renewed = 0;
for (1 .. 12) {
    $renewed += $srv->renewed_by('USR1') ? 1 : 0;
    sleep rand 0.2;
}
is($renewed, 12, 'restarts, each with new children and no old one left');
for my $n (map { $_->stop } @loads) {
    is($n->{reset} + $n->{eof} + $n->{timeout} + $n->{refused} + $n->{bad}, 0, 'no request is lost') or diag(MPMX::Load->text($n));
    cmp_ok($n->{ok}, '>', 30, '... of many');
}

my $request = "GET /mpmxt-conn/about HTTP/1.1\r\nHost: localhost\r\n\r\n";

# Not MPMX::Server::Client: that would be all this test spends its time with.
sub open_one {
    socket(my $fh, PF_INET, SOCK_STREAM, IPPROTO_TCP) or die "socket: $!\n";
    connect($fh, pack_sockaddr_in($srv->port, INADDR_LOOPBACK)) or die "connect: $!\n";
    setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1);
    return $fh;
}

# (whole answers, of those: told to close, by pid, by count of requests) within some seconds.
sub answers {
    my @wait = @_;
    my ($whole, $told, %text, %pid, %count) = (0, 0);
    my $until = time + 20 * $slow;
    while (@wait && time < $until) {
        my $vec = '';
        vec($vec, fileno $_, 1) = 1 for @wait;
        select($vec, undef, undef, 1) > 0 or next;
        my @rest;
        for my $fh (@wait) {
            my $id = fileno $fh;
            if (!vec($vec, $id, 1)) { push @rest, $fh; next }
            my $n = sysread $fh, $text{$id}, 65536, length($text{$id} || '');
            next if !$n;
            if ($text{$id} !~ /^HTTP\/1\.1 200 .*\r\n\r\n.*pid=(\d+) id=\d+ keepalives=(\d+).*\n\z/s) { push @rest, $fh; next }
            $whole++;
            $pid{$1}++;
            $count{$2}++;
            $told++ if $text{$id} =~ /^Connection: close/mi;
        }
        @wait = @rest;
    }
    return ($whole, $told, \%pid, \%count);
}

my @fh = map { open_one() } 1 .. $many;
syswrite $_, $request for @fh;
my ($whole, $told, $pids, $counts) = answers(@fh);
is($whole, $many, "$many connections with a request each");

# All idle. Again if one child had them all, because another took more than a second to start.
my %old;
for my $round (1 .. 8) {
    ok($srv->renewed_by('USR1', 30), 'a restart: all of them travel');
    %old = map { $_ => 1 } $srv->children;
    syswrite $_, $request for @fh;
    ($whole, $told, $pids, $counts) = answers(@fh);
    is("$whole served, $told told", "$many served, 0 told", 'and go on');
    is(join(' ', sort keys %$counts), $round, 'with their next request') or diag(join ' ', %$counts);
    is(scalar(grep { !$old{$_} } keys %$pids), 0, 'in the new children');
    last if MPMX::Server::single() || keys %$pids > 1;
}
SKIP: {
    skip 'one child', 1 if MPMX::Server::single();
    cmp_ok(scalar keys %$pids, '>', 1, 'in all of them') or diag(join ' ', %$pids);
}

# Requests come while they travel, and the new children are stopped for a while, so that the
# socket is full and stays so.
$srv->signal('USR1');
my %stopped;
ok($srv->wait_for(sub { grep { !$old{$_} } $srv->children }, 20), 'another restart');
for (1 .. 3) {
    %stopped = map { $_ => 1 } grep { !$old{$_} } $srv->children;
    kill 'STOP', keys %stopped;
    sleep 0.1;
    syswrite $_, $request for splice @{[@fh]}, ($_ - 1) * int($many / 3), int($many / 3);
    kill 'CONT', keys %stopped;
    sleep 0.02;
}
syswrite $_, $request for @fh[3 * int($many / 3) .. $#fh];
($whole) = answers(@fh);
is($whole, $many, 'requests on their way meanwhile: all are answered');
ok($srv->wait_for(sub { !grep { $old{$_} } $srv->children }, 35 * $slow), 'and the old children end');
$srv->finish;
done_testing;
