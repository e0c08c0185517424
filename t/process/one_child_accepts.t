# While many short connections come that one child copes with, the other children are not told of each: they
# do not listen. They do again at once when that child stands still, or the connections end, and nobody waits
# meanwhile, on whichever port he comes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Client;
use MPMX::Load;
use MPMX::Server;
use Time::HiRes qw(time sleep);

MPMX::Server->only_for(['event'], 'one child, or a thread goes with each connection');
plan(skip_all => "httpd's own MPMs do not do that") if MPMX::Server::is_stock();
plan(skip_all => 'the system does not show what a process waits for') unless -r "/proc/$$/fdinfo/0" && -r '/proc/net/tcp';
my $srv = MPMX::Server->new(
    listen => 2,
    sizing => { StartServers => 2, ServerLimit => 2, ThreadsPerChild => 8, MaxRequestWorkers => 16,
                MinSpareThreads => 1, MaxSpareThreads => 16 },
);
$srv->start;

sub told { return grep { MPMX::Server::Proc::waits_for($_, $srv->port) } $srv->children }

# Both, nearly always: who queues up anew does not listen for a moment.
sub both_listen {
    return $srv->wait_for(sub {
        my $n = 0;
        for (1 .. 10) {
            $n += $srv->children == 2 && told() == 2;
            sleep 0.02;
        }
        return $n >= 8;
    }, 15);
}

# The child that accepts, when it has been one alone for a while: nobody leaves his share to others for so long.
sub one_accepts {
    my ($one, $since) = (0, 0);
    my $end = time + 40;
    while (time < $end) {
        my @told = told();
        my $now = @told == 1 ? $told[0] : 0;
        ($one, $since) = ($now, time) if $now != $one;
        return $one if $one && time - $since > 0.04;
    }
    return 0;
}

# How long each of some clients takes that come to the other port one after the other, at most.
sub slowest_elsewhere {
    my $slowest = 0;
    for (1 .. 100) {
        my $began = time;
        my $c = MPMX::Client->new(port => $srv->port(1), timeout => 20);
        $c->send_request('/index.html', close => 1);
        my $r = $c->response;
        return 99 unless $r && $r->{status} == 200;
        $c->close;
        my $took = time - $began;
        $slowest = $took if $took > $slowest;
    }
    return $slowest;
}

ok(both_listen(), 'two children listen');
my $began = time;
my @loads = map { MPMX::Load->start(port => $srv->port, clients => 8, keepalive => 0, pause => 0.005, secs => 120) } 1 .. 2;
my $one = one_accepts();
my $took = slowest_elsewhere();
ok($took < 5, 'who comes to another port does not wait') or diag("$took s");
if ($one) {
    MPMX::Server::Proc::freeze($one);
    ok($srv->wait_for(sub { grep { $_ != $one } told() }, 5), 'when it stands still, the other one listens');
    is($srv->get('/index.html')->{status}, 200, 'and serves');
    kill 'CONT', $one;
}
my $secs = time - $began;
my (%n, $late);
for my $done (map { $_->stop } @loads) {
    $late = 1 if $done->{slowest} > 0.25 && !$one;
    $n{$_} += $done->{$_} for keys %$done;
}
SKIP: {
    my $rate = sprintf '%d connections per second', $n{conns} / $secs;
    # Where a core is not enough for them, they are few or come in bursts, both children are needed.
    skip("$rate on this machine", 1) if !$one && ($late || $n{conns} < 3000 * $secs || MPMX::Server::slowness() > 1);
    ok($one, "one child listens while $rate come");
}
is($n{$_}, 0, "no client met $_") for qw(reset eof timeout refused bad);
ok(both_listen(), 'when they end, both listen');
$srv->finish;
done_testing;
