# Promise: on a listener of a protocol in which the server speaks first, the greeting comes without
# a byte from the client, however the protocol's module waits for what comes then: blocking,
# asking the MPM to wait for input, or idle like a keep-alive connection.
use MPMX::Test;

for my $how (qw(block wait park)) {
    my $c = client("line$how");
    is($c->line(seconds(5)), '220 hello', "$how: greeted at once");
    $c->send("NOOP\r\n");
    is($c->line(seconds(5)), '250 NOOP', 'a line is answered');
    my $good = grep { $c->send("line $_\r\n"); ($c->line(seconds(5)) || '') eq "250 line $_" } 1 .. 50;
    is($good, 50, 'and 50 more');
    $c->send("one\r\ntwo\r\nthr");
    is($c->line(seconds(5)) . $c->line(seconds(5)), '250 one250 two', 'two at once and part of a third');
    sleep 0.3;
    $c->send("ee\r\n");
    is($c->line(seconds(5)), '250 three', 'the third when it is complete');
    $c->send("QUIT\r\n");
    is($c->line(seconds(5)), '221 bye', 'goodbye');
    ok($c->closed_within(seconds(5)), 'closed by the server');
}
done();
