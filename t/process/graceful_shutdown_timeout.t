# GracefulShutdownTimeout: a graceful stop waits for running requests until the
# deadline and ends everything then, not earlier and not much later.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

my $limit = 3;
my $srv = MPMX::Server->new(handlers => 1, conf => "GracefulShutdownTimeout $limit");

# A request that takes longer than allowed.
$srv->start;
my ($slow) = $srv->hold(1, 'slow');
ok($slow, 'a slow request is running');
my $t0 = time;
$srv->signal('WINCH');
ok($srv->wait_for(sub { $srv->connect->{error} =~ /refused/ }, 3), 'new connections are refused at once');
ok($srv->wait_for(sub { !$srv->all_pids }, 25), 'the server ended') or $srv->stop;
my $took = time - $t0;
cmp_ok($took, '>=', $limit - 0.5, sprintf 'not before the deadline (%.1f s)', $took);
# The request does not notice and gets two seconds. Killed by the parent, it would end after nine.
cmp_ok($took, '<', $limit + 6, sprintf 'soon after it (%.1f s)', $took);
ok(!-e $srv->path('run/httpd.pid'), 'no pid file left');
$slow->[0]->close;

# One that does not: the stop need not wait for the deadline.
$srv->configure(conf => 'GracefulShutdownTimeout 60');
$srv->start;
my @running = $srv->hold(4, 'short');
$srv->signal('WINCH');
$srv->wait_for(sub { $srv->connect->{error} =~ /refused/ }, 5);
is($srv->release('short', @running), 4, 'requests that end in time are answered');
$t0 = time;
ok($srv->wait_for(sub { !$srv->all_pids }, 25), 'the server ended');
cmp_ok(time - $t0, '<', 4 * MPMX::Server::slowness(), 'as soon as they were');

# A stop at once is still obeyed while a graceful one waits.
my $most = 5 * MPMX::Server::slowness();
# Once more if it was late, as it may be on a busy machine.
for (1, 2) {
    $srv->start;
    ($slow) = $srv->hold(1, 'slow');
    $srv->signal('WINCH');
    $srv->wait_for(sub { $srv->connect->{error} =~ /refused/ }, 5);
    $t0 = time;
    $srv->signal('TERM');
    ok($srv->wait_for(sub { !$srv->all_pids }, 25), 'TERM during a graceful stop ends it');
    $took = time - $t0;
    last if $took < $most;
}
cmp_ok($took, '<', $most, sprintf 'within five seconds (%.1f s)', $took);

$srv->finish(qr/AH00046/);
done_testing;
