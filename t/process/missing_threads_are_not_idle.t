# Workers that could not be given a thread, at the child's start or later, do not pass for idle ones:
# not in the scoreboard, nor for the parent, which else would start no other child. As soon as there
# is what was short, all of them are back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Faults;
use MPMX::Server;

MPMX::Server->only_for(['event', 'winnt'], 'starts all threads at once');
my $faults = MPMX::Faults->new;
MPMX::Server->need_modules('status');
my $srv = MPMX::Server->new(
    modules  => ['status'],
    handlers => 1,
    preload  => $faults->so,
    sizing   => { StartServers => 1, ServerLimit => 2, ThreadsPerChild => 20, MaxRequestWorkers => 40,
                  MinSpareThreads => 10, MaxSpareThreads => 40 },
);
$srv->start;
my ($busy, $idle);

sub idle_now { ($busy, $idle) = MPMX::Faults::workers($srv); return $idle }

my $single = MPMX::Server->single;
my $all = $single ? 40 : 20;
# One that is just being started is neither.
ok($srv->wait_for(sub { idle_now() + $busy == $all }, 5), 'workers without a thread are idle') or diag("$idle idle, $busy busy");
is(scalar $srv->children, 1, 'so that one child is enough');

# Workers that have a thread; the main thread is none.
sub with_thread {
    my $n = 0;
    $n += MPMX::Server::Proc::threads($_) - 1 for $srv->children;
    return $n;
}

# All but one are at work, so that some more would be started.
$faults->arm(thread => $faults->ALL);
my $first = with_thread();
my @held = $srv->hold($first - 1, 'held');
is(scalar @held, $first - 1, 'as many at work as there are threads, but one');
ok($srv->wait_for(sub { $faults->failed('thread') > 0 }, 5), 'no more can be started');
ok($srv->wait_for(sub { idle_now() + $busy == $first }, 5), 'none of the others passes for idle') or diag("$idle idle, $busy busy");
SKIP: {
    skip 'one child only', 2 if $single;
    ok($srv->wait_for(sub { $srv->children == 2 }, 5), 'so that there is to be another child');
    is(with_thread(), $first, 'which cannot have threads, either');
}
$srv->wait_logged(qr/worker threads more could not be started/, 5);
cmp_ok($srv->logged(qr/worker threads more could not be started/), '==', 1, 'said once');

$faults->disarm;
ok($srv->wait_for(sub { idle_now() + $busy == 40 }, 10), 'all are back when threads can be had') or diag("$idle idle, $busy busy");
push @held, my @more = $srv->hold(10, 'more');
is(scalar @more, 10, 'and serve');
unlink $srv->path('marks/more');
is($srv->release('held', @held), scalar @held, 'all requests were answered');
$srv->finish;
done_testing;
