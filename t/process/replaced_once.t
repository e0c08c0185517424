# For a child that is lost one other is started, also where the parent has not run for a while, and
# finds out in the same moment that a child is missing and that too few threads are idle.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Faults;
use MPMX::Server;
use Time::HiRes qw(sleep);

MPMX::Server->only_for(['event', 'worker'], 'one child');
plan(skip_all => "httpd's own MPMs replace a child when too few threads are idle") if MPMX::Server::is_stock();
MPMX::Server->need_modules('status');
my $srv = MPMX::Server->new(
    handlers  => 1,
    modules   => ['status'],
    c_modules => ['mod_mpmxt_proc_hooks'],
    sizing    => { StartServers => 2, ServerLimit => 4, ThreadsPerChild => 4, MaxRequestWorkers => 16,
                   MinSpareThreads => 6, MaxSpareThreads => 16 },
);
$srv->start;

sub all_serve {
    return $srv->wait_for(sub { my ($busy, $idle) = MPMX::Faults::workers($srv); $busy + $idle == 8 }, 15);
}

ok(all_serve(), 'two children serve, with four threads in each');
for my $round (1 .. 3) {
    my ($victim) = $srv->children;
    MPMX::Server::Proc::freeze($srv->pid);
    kill 'KILL', $victim;
    sleep 1.1;                           # its look of each second is due by then
    kill 'CONT', $srv->pid;
    # Not what the scoreboard says: the dead one is still in it.
    ok($srv->wait_for(sub { $srv->logged('mpmxt: child_status started') >= 2 + $round }, 10), "round $round: a lost child is replaced");
    ok(all_serve(), 'two serve');
    is($srv->logged('mpmxt: child_status started'), 2 + $round, 'one was started for it');
}
$srv->finish(qr/exit signal Killed/);
done_testing;
