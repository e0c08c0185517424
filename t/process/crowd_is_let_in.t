# Of many clients that come at the same moment, so many are let in before they are served that the
# kernel's queue is half empty again: who comes while it is full has to try again. Not where
# all workers are busy: whom a child has let in, it must serve, and others may be ready sooner.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use File::Temp ();
use MPMX::Server;

plan(skip_all => "httpd's own MPMs do not promise it") if MPMX::Server::is_stock();
MPMX::Server->only_for(['event', 'winnt'], 'a thread for each client that is let in');
plan(skip_all => 'the system does not tell who waits') unless $^O eq 'linux' && -r '/proc/net/tcp';
my ($clients, $threads) = (240, 16);
plan(skip_all => 'net.core.somaxconn is too small')
    if (MPMX::Server::Proc::slurp('/proc/sys/net/core/somaxconn') || $clients) < $clients;

my $most = File::Temp->new(TEMPLATE => 'mpmx-arrivals-XXXXXX', TMPDIR => 1);
binmode $most;
$ENV{MPMX_ARRIVALS} = $most->filename;
my $count = 0;
sub most {
    sysseek($most, 0, 0);
    sysread($most, my $bytes, 4) == 4 or die "arrivals: $!\n";
    return unpack 'L', $bytes;
}
sub count_anew {
    sysseek($most, 0, 0);
    syswrite($most, pack 'LL', 0, ++$count) == 8 or die "arrivals: $!\n";
    return;
}
count_anew();

my $srv = MPMX::Server->new(
    handlers => 1,
    preload  => MPMX::Server::Toolchain::shim('arrivals'),
    sizing   => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => $threads, MaxRequestWorkers => $threads, MinSpareThreads => 1, MaxSpareThreads => $threads },
    conf     => "ListenBackLog $clients",
);
$srv->start;

# Connections that nobody has accepted: of a listening socket (state 0A), what else is bytes received.
my $listening = sprintf '^\s*\d+: 0100007F:%04X \S+ 0A [0-9A-F]+:([0-9A-F]+)', $srv->port;
sub waiting { return MPMX::Server::Proc::slurp('/proc/net/tcp') =~ /$listening/m ? hex $1 : undef }

# All come while the child stands still. How many it then accepts in a row, at most.
sub let_in {
    my ($path) = @_;
    my ($child) = $srv->children;
    MPMX::Server::Proc::freeze($child);
    my @c = map { $srv->connect(timeout => 60) } 1 .. $clients;
    $_->send_request($path, close => 1) for @c;
    ok($srv->wait_for(sub { waiting() == $clients }, 10), "$clients clients come while nobody accepts") or diag(waiting());
    count_anew();
    kill 'CONT', $child;
    is(scalar(grep { $_->response->{status} == 200 } @c), $clients, 'and get their answers');
    $_->close for @c;
    return most();
}

# Half of the queue, but for the few that are served before it is asked for; and those come in parts
# if somebody else has his turn between them.
my $n = let_in('/index.html');
cmp_ok($n, '>', 16, "$n are let in before the next one is served");
my @held = $srv->hold($threads - 2, 'busy');
is(scalar @held, $threads - 2, 'most workers are busy');
$n = let_in('/index.html');
cmp_ok($n, '<=', 1, 'none is let in before the one before him is served');
is($srv->release('busy', @held), scalar @held, 'the busy ones have answered');
$srv->finish;
done_testing;
