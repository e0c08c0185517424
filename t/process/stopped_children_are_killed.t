# A child that does not react (here it is stopped by SIGSTOP) holds up nothing. After a graceful
# restart the new generation serves, and the old child is killed when GracefulDrainTimeout is over.
# At a stop at once it is killed within ten seconds, and so it is by a graceful stop's end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time);

plan skip_all => 'stock has no such deadline' if MPMX::Server->is_stock;

my $slow = MPMX::Server::slowness();
my %size = (StartServers => 1, ServerLimit => 2, ThreadsPerChild => 4, MaxRequestWorkers => 8,
            MinSpareThreads => 1, MaxSpareThreads => 8);
my $drained = MPMX::Server->new(conf => 'GracefulDrainTimeout 1', sizing => {%size});
my $stopped = MPMX::Server->new(sizing => {%size});
my $graceful = MPMX::Server->new(sizing => {%size}, conf => 'GracefulShutdownTimeout 1');
my %victim;
for my $srv ($drained, $stopped, $graceful) {
    $srv->start;
    ($victim{$srv}) = $srv->children;
    kill 'STOP', $victim{$srv};
    ok($srv->wait_for(sub { ((MPMX::Server::Proc::stat_of($victim{$srv}))[0] || '') eq 'T' }, 5), 'its child is stopped');
}

# All at the same time: it is the waiting that takes long.
my $t0 = time;
$drained->signal('USR1');
$stopped->signal('TERM');
$graceful->signal('WINCH');

my $pid = $victim{$drained};
ok($drained->wait_for(sub { grep { $_ != $pid } $drained->children }, 10), 'restart: there is a new child');
is($drained->get('/index.html', timeout => 10)->{status}, 200, 'which serves');
# The old one's time runs from there.
my $t1 = time;
ok(MPMX::Server::Proc::alive($pid), 'the old one is still there');
ok($drained->wait_logged("child process $pid of generation 0 was told to stop and still did not exit, sending a SIGKILL", 15), 'it is killed');
cmp_ok(time - $t0, '>', 1, 'not before its time');
ok($drained->wait_for(sub { !MPMX::Server::Proc::alive($pid) }, 5), 'and gone');
cmp_ok(time - $t1, '<', 1 + 5 + 4 * $slow, 'within a few seconds');
ok($drained->wait_logged('generation 0: the last process has ended', 5), 'the log says that it was the last one');
ok($drained->wait_for(sub { $drained->children == $drained->first_children }, 5), 'nobody takes its place');

ok($stopped->wait_for(sub { !$stopped->all_pids }, 15), 'stop: everything ends');
cmp_ok(time - $t0, '<', 10 + 4 * $slow, 'within ten seconds');
ok($graceful->wait_for(sub { !$graceful->all_pids }, 15), 'graceful stop: everything ends');
cmp_ok(time - $t0, '<', 11 + 4 * $slow, 'within ten seconds after GracefulShutdownTimeout');

$_->finish(qr/exit signal Killed/, qr/AH00046/) for $drained, $stopped, $graceful;
done_testing;
