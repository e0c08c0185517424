# Promise: 200 clients that drip their request heads hold no thread, on their first request and on
# later ones; ordinary requests are served promptly meanwhile, and the slow ones when they
# finish. Where a connection has a thread of its own, that begins with its first whole head.
use MPMX::Test;
plan(skip_all => "httpd's own worker reads heads in its threads") if is_stock() && !is_async();

# Threads that others hold already: an earlier test's clients on their way out, and, where a connection
# keeps its thread, the proxy's idle connections to its backend. Dripping clients must add none.
my $held = busy_workers();
defined $held or die "no server status\n";

my $n = 200;
my @slow = map { MPMX::Client->new(port => port(), timeout => seconds(5)) } 1 .. $n;

sub drip {
    my ($round, $line) = @_;
    my $head = "GET /whoami HTTP/1.1\r\nHost: localhost\r\n$line\r\n\r\n";
    my $step = 8;
    my $began = time;
    for (my $at = 0; $at < length $head; $at += $step) {
        $_->send(substr $head, $at, $step) for @slow;
        if ($at == 0) {
            others_are_served("while heads drip, round $round", 30) or last;
            # Who waited for a head would stay; the last ordinary request may not be over yet.
            my $busy;
            my $free = wait_until { $busy = busy_workers(); defined $busy && $busy <= $held + 2 } 3;
            ok($free, 'no thread waits for a head')
                or diag("busy before: $held, now: " . (defined $busy ? $busy : 'no answer'));
        }
        # A head has to be whole within RequestHeadTimeout (10 s), and a busy machine needs some of that.
        sleep 0.25 if time - $began < 4;
    }
    my $served = 0;
    my $until = time + seconds(10);
    for my $c (@slow) {
        ++$served if $c->response(timeout => time < $until ? $until - time : 0)->{status} == 200;
    }
    is($served, $n, "round $round: all slow ones are served in the end");
    return $served == $n;
}

if (is_async()) {
    # the second round is on the same connections, now in keep-alive
    drip(1, 'X-Slow: indeed') && drip(2, 'X-Slow: indeed');
}
else {
    drip(1, 'Connection: close');
}
$_->close for @slow;

done();
