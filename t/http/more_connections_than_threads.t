# Promise: where each connection has a thread, more lasting connections than there are threads wait for
# one in the order in which they came, and none of them is reset. A thread is free as soon as its
# client closes; when a client has been idle for KeepAliveTimeout, or for a second while
# others wait; and when a graceful restart brings new ones.
use MPMX::Test;
use MPMX::Server;
plan(skip_all => 'idle connections need no threads') if is_async();

my $threads = 8;
my $timeout = seconds(3);
my $server = MPMX::Server->new(
    sizing => { StartServers => 1, ServerLimit => 2, ThreadLimit => $threads, ThreadsPerChild => $threads,
                MaxRequestWorkers => $threads },
    conf => "KeepAliveTimeout $timeout\n",
);
$server->start;

sub open_one {
    my $c = MPMX::Client->new(port => $server->port, timeout => seconds(20));
    $c->send_request('/index.html');
    return $c;
}
sub is_answered { return $_[0]->response(timeout => seconds($_[1]))->{status} == 200 }

my @idle = map { open_one() } 1 .. $threads;
is(scalar(grep { is_answered($_, 10) } @idle), $threads, "$threads connections on $threads threads");
my $since = time;
my @waiting = map { open_one() } 1 .. 20;
ok($waiting[0]->silent_for(0.3), 'the next ones wait');

# a client that goes
my $in_order = 0;
for (1 .. 4) {
    (shift @idle)->close;
    my $next = shift @waiting;
    ++$in_order if is_answered($next, 1);
    push @idle, $next;
}
is($in_order, 4, 'each client that goes lets in the one that waits longest');
cmp_ok(time - $since, '<', 0.9 * factor(), 'at once');

# nobody goes: time does it, first to the four that have been idle since the beginning
my @next = splice @waiting, 0, 4;
is(scalar(grep { is_answered($_, 6) } @next), 4, 'time lets in as many');
my $took = time - $since;
cmp_ok($took, '>', is_stock() ? 0.5 * $timeout : 0.5, 'but not before each client had some');
is(scalar(grep { $_->closed_within(seconds(2)) } splice @idle, 0, 4), 4, 'and is closed, not reset');
note(sprintf 'the last one after %.1f s', $took);

SKIP: {
    skip "httpd's own worker closes idle connections, and waits for them", 4 if is_stock();
    my $began = time;
    $server->signal('USR1');
    my ($lost, @active) = (0, @next);
    while (@active && time - $began < seconds(5)) {
        my @answers = map { [$_, $_->request('/index.html')] } @active;
        $lost += grep { $_->[1]{status} != 200 } @answers;
        @active = map { $_->[0] } grep { $_->[1]{status} == 200 && !$_->[1]{closing} } @answers;
    }
    is($lost, 0, 'a graceful restart: no active client is let down');
    is(scalar @active, 0, 'each of them is told to close');
    my @now = splice @waiting, 0, $threads;
    is(scalar(grep { is_answered($_, 2) } @now), $threads, 'new threads let in those that wait');
    cmp_ok(time - $began, '<', 0.9 * factor(), 'all that at once');
}
is(scalar(grep { is_answered($_, 10) } @waiting), scalar @waiting, 'nobody is forgotten');
$server->finish(qr/AH00286/);
done();
