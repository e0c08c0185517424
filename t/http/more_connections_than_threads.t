# Promise: where each connection has a thread, more lasting connections than there are threads wait for
# one in the order in which they came, and none of them is reset. A thread is free as soon as its
# client closes; when a client has been idle for KeepAliveTimeout, or for a second while
# others wait; and when a graceful restart brings new ones.
use MPMX::Test;
use MPMX::Server;
plan(skip_all => 'idle connections need no threads') if is_async();

my $threads = 8;
my $timeout = seconds(is_stock() ? 3 : 8);
my $server = MPMX::Server->new(
    handlers => 1,
    sizing => { StartServers => 1, ServerLimit => 2, ThreadLimit => $threads, ThreadsPerChild => $threads,
                MaxRequestWorkers => $threads },
    conf => "KeepAliveTimeout $timeout\n",
);
$server->start;

sub open_one {
    my $c = MPMX::Client->new(port => $server->port, timeout => seconds(20));
    $c->send_request('/mpmxt/id?0');
    return $c;
}
my %pid;
sub is_answered {
    my ($c, $secs) = @_;
    my $r = $c->response(timeout => seconds($secs));
    ($pid{$c}) = $r->{body} =~ /pid=(\d+)/;
    return $r->{status} == 200;
}

# A client that goes lets in the next one at once: before a second has passed, when time would do it. A busy
# machine may need longer for all this, so there are several rounds.
my ($began, $since, @idle, @waiting, $took);
for my $round (1 .. 5) {
    $_->close for splice(@idle), splice @waiting;
    $began = time;
    @idle = map { open_one() } 1 .. $threads;
    is(scalar(grep { is_answered($_, 10) } @idle), $threads, "$threads connections on $threads threads, round $round");
    $since = time;
    @waiting = map { open_one() } 1 .. 20;
    my $silent = $waiting[0]->silent_for(0.3);
    my $in_order = 0;
    for (1 .. 4) {
        (shift @idle)->close;
        my $next = shift @waiting;
        ++$in_order if is_answered($next, 6);
        push @idle, $next;
    }
    $took = time - $began;
    ok($silent || $took > 0.95, 'the next ones wait');
    is($in_order, 4, 'each client that goes lets in the one that waits longest');
    last if $took < 0.9;
}
cmp_ok($took, '<', 0.9 * factor(), 'at once');

# nobody goes: time does it, first to the four that have been idle since the beginning
my @next = splice @waiting, 0, 4;
is(scalar(grep { is_answered($_, 6) } @next), 4, 'time lets in as many');
$took = time - $began;
cmp_ok($took, '>', is_stock() ? 0.5 * $timeout : 0.95, 'but not before each client had some');
is(scalar(grep { $_->closed_within(seconds(5)) } splice @idle, 0, 4), 4, 'and is closed, not reset');
note(sprintf 'the last one after %.1f s', time - $since);

my $old;
my @now;
SKIP: {
    skip "httpd's own worker closes idle connections, and waits for them", 4 if is_stock();
    ($old) = $server->children;
    # Who has been idle for a second may be sent away, and all have been since their answers, which were
    # not there before that.
    my $active_since = $began + 1;
    my $signalled = time;
    my $until = time + seconds(10);
    $server->signal('USR1');
    my ($lost, $late, @active) = (0, 0, @next);
    while (@active && time < $until) {
        my $now = time;
        my @answers = map { [$_, $_->request('/index.html')] } @active;
        $late = 1 if time - $active_since > 0.9;
        $active_since = $now;
        $lost += grep { $_->[1]{status} != 200 } @answers;
        @active = map { $_->[0] } grep { $_->[1]{status} == 200 && !$_->[1]{closing} } @answers;
    }
    ok(!$lost || $late, 'a graceful restart: no active client is let down') or diag($lost);
    is(scalar @active, 0, 'each of them is told to close');
    @now = splice @waiting, 0, $threads;
    is(scalar(grep { is_answered($_, 5) } @now), $threads, 'those that wait are let in');
    cmp_ok(time - $signalled, '<', 0.9 * $timeout, 'before anybody has been idle for KeepAliveTimeout');
}
is(scalar(grep { is_answered($_, 10) } @waiting), scalar @waiting, 'nobody is forgotten');
# Those that were told to close have left their threads to others, but not that many; more come if the new
# ones are so late that others have been idle for a second by then.
if ($old) {
    my @let_in = (@now, @waiting);
    my $give_up = time + seconds(20);
    my $new = sub { scalar grep { $pid{$_} && $pid{$_} != $old } @let_in };
    until ($new->() || time > $give_up) {
        push @let_in, open_one();
        is_answered($let_in[-1], 10) or last;
    }
    ok($new->(), 'some have new threads');
}
$server->finish(qr/AH00286/);
done();
