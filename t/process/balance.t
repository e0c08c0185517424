# Connections spread evenly over the children, whether their clients come all at
# once or one after the other, while others come and go: under steady load the
# child with the most has at most half as many again as the one with the fewest.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Load;
use Time::HiRes qw(time sleep);

plan(skip_all => "httpd's own MPMs do not promise it") if MPMX::Server::is_stock();
MPMX::Server->only_for(['event', 'worker'], 'one child has them all');
plan(skip_all => 'the system does not show the descriptors of a process') unless -d "/proc/$$/fd";
# Elsewhere all children are told of each connection, and the fastest has it.
plan(skip_all => 'with this poller the system does not take turns')
    unless MPMX::Server::Proc::slurp(MPMX::Server::Toolchain::mpm_so()) =~ /\bepoll_create1\b/;

# Where a thread stays with its connection there must be one for each.
my $async = MPMX::Server::mpm() ne 'worker';
my ($children, $threads) = (4, $async ? 8 : 128);
my $clients = $async ? 480 : 240;
my $slow = MPMX::Server::slowness();

sub sockets {
    my ($pid) = @_;
    opendir(my $dh, "/proc/$pid/fd") or return 0;
    return scalar grep { (readlink("/proc/$pid/fd/$_") || '') =~ /^socket:/ } readdir $dh;
}

sub server {
    my $srv = MPMX::Server->new(
        handlers => 1,
        sizing => { StartServers => $children, ServerLimit => $children, ThreadLimit => $threads, ThreadsPerChild => $threads,
                    MaxRequestWorkers => $children * $threads, MinSpareThreads => 1, MaxSpareThreads => $children * $threads },
        conf   => "KeepAliveTimeout 60\nListenBackLog 2000",
    );
    $srv->start;
    # All that there will be, and each of them accepts.
    my %answers;
    $srv->wait_for(sub {
        $answers{$1} = 1 if $srv->get('/mpmxt/id?0')->{body} =~ /pid=(\d+)/;
        return $srv->children == $children && keys %answers == $children;
    }, 20) or die "not all children are there\n";
    return $srv;
}

# A client is served each time it asks.
sub ask {
    $_->send_request('/index.html') for @_;
    return scalar grep { $_->response->{status} == 200 } @_;
}

# How many clients each child has, in order; whoever asks is served all the while.
sub shares {
    my ($how) = @_;
    my $srv = server();
    my %before = map { $_ => sockets($_) } $srv->children;
    my $busy = MPMX::Load->start(port => $srv->port, clients => 16, pause => 0.01);
    my $short = MPMX::Load->start(port => $srv->port, clients => 4, keepalive => 0, pause => 0.02);
    my (@c, $served);
    if ($how =~ /^at once/) {
        @c = map { $srv->connect(timeout => 20 * $slow) } 1 .. $clients;
        $served = ask(@c);
    }
    else {
        for (1 .. $clients) {
            push @c, $srv->connect(timeout => 20 * $slow);
            $served += ask($c[-1]);
            sleep 0.003;
        }
    }
    is($served, $clients, "$how: $clients clients are served");
    for my $again (1 .. 3) {
        is(ask(@c), $clients, "$how: once more");
    }
    my @held = sort { $a <=> $b } map { sockets($_) - $before{$_} } $srv->children;
    note("$how: @held");
    for my $n ($busy->stop, $short->stop) {
        is(MPMX::Load->failures($n), 0, "$how: the others are served all the while") or diag(MPMX::Load->text($n));
    }
    $_->close for @c;
    $srv->finish;
    return @held;
}

# The first good round counts: a child that a busy machine keeps from running takes nothing meanwhile.
for my $how ('at once', 'one after the other') {
    my @held;
    for my $round (1 .. 4) {
        @held = shares("$how, round $round");
        last if $held[-1] <= 1.5 * $held[0];
    }
    cmp_ok($held[-1], '<=', 1.5 * $held[0], "$how: no child has more than 1.5 times what another has")
        or diag("@held");
}
done_testing;
