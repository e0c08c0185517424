# A child that cannot have all it needs when it starts is waited for, or replaced, until there is a
# whole one; the one before goes on serving until then. Workers that cannot have a thread do not
# pass for idle ones.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Faults;
use MPMX::Server;
use Time::HiRes qw(sleep time);

my $faults = MPMX::Faults->new;
MPMX::Server->need_modules('status');
my $threads = 50;
my $srv = MPMX::Server->new(
    modules  => ['status'],
    handlers => 1,
    preload  => $faults->so,
    sizing   => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => $threads, MaxRequestWorkers => $threads,
                  MinSpareThreads => 1, MaxSpareThreads => $threads },
);
$srv->start;

# A new child, for which calls fail as they were armed; all is well when it is there.
sub whole_child {
    my ($what) = @_;
    ok($srv->renewed_by('USR1', 15), "$what: there is a new child");
    return;
}

# Every worker is needed.
sub all_at_work {
    my ($what) = @_;
    my @held = $srv->hold($threads - 1, 'held');
    is(scalar @held, $threads - 1, "$what: all threads come when they are needed");
    is($srv->release('held', @held), scalar @held, "$what: and serve");
    return;
}

# The n-th thread for n = 1 .. 50.
for my $first (0, 1) {
    my $before = $faults->failed('thread');
    $faults->arm(thread => map { $first + 2 * $_ } 0 .. 24);
    whole_child('threads');
    all_at_work('threads');
    is($faults->failed('thread') - $before, 25, 'threads: each second could not be started, for once');
}
$faults->recovers($srv, 'threads', $threads);
# The one before may have wanted another thread, too.
my %said;
$said{$_}++ for $srv->error_log =~ /\[pid (\d+)[^\n]*worker threads? [^\n]*could (?:not )?be started/g;
ok(keys %said >= 2 && !(grep { $_ != 1 } values %said), 'threads: each child has said so once')
    or diag(map { "$_: $said{$_} " } keys %said);

# What a child opens for itself, one by one.
for my $row ([epoll_ctl => 0 .. 3], [eventfd => 0, 1], [pipe => 0], [memory => 0 .. 2]) {
    my ($call, @each) = @$row;
    my $why = MPMX::Faults::excuse($call);
    SKIP: {
        skip "$call: $why", 1 if $why;
        my $before = $faults->failed($call);
        for my $n (@each) {
            $faults->arm($call, $n);
            whole_child("$call, $n");
        }
        cmp_ok($faults->failed($call), '>', $before, "$call: has failed");
        $faults->recovers($srv, $call, $threads);
    }
}

# For as long as nothing can be had, the old child serves.
for my $call (qw(thread epoll_ctl)) {
    my ($old) = $srv->children;
    my $bad = 0;
    my $before = $faults->failed($call);
    $faults->arm($call, $faults->ALL);
    $srv->signal('USR1');
    my $tried = $srv->wait_for(sub { $faults->failed($call) - $before >= 3 }, 10);
    if ($call eq 'thread') {
        $bad += $srv->get('/index.html')->{status} != 200 for 1 .. 20;
        is($bad, 0, "no $call: served by the old child meanwhile");
    }
    ok($tried, "no $call: tried again and again");
    $faults->disarm;
    ok($srv->wait_for(sub { my @now = $srv->children; @now == 1 && $now[0] != $old }, 20), "no $call: until there is one");
    $faults->recovers($srv, "no $call", $threads);
}

# A child that has no thread ends like any other.
for my $sig ('TERM', 'WINCH') {
    my $before = $faults->failed('thread');
    $faults->arm(thread => $faults->ALL);
    $srv->signal('USR1');
    ok($srv->wait_for(sub { $faults->failed('thread') > $before }, 10), "SIG$sig: a child has no thread");
    my $took = $srv->stop(signal => $sig);
    cmp_ok($took, '<', 2.5 * MPMX::Server::slowness(), sprintf 'SIG%s: the server ended in %.2f s', $sig, $took);
    $faults->disarm;
    $srv->start if $sig eq 'TERM';
}
$srv->finish;
done_testing;
