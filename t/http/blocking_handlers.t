# Promise: handlers that block get as many threads as are configured, and small requests are served
# promptly beside them as long as one thread is free.
use MPMX::Test;
use MPMX::Server;

my $server = MPMX::Server->new(
    sizing => { StartServers => 1, ServerLimit => 1, ThreadLimit => 8, ThreadsPerChild => 8,
                MaxRequestWorkers => 8, MinSpareThreads => 1, MaxSpareThreads => 8 },
    handlers => 1,
    c_modules => ['mod_mpmxt_serving'],
    conf => "<Location /sleep>\nSetHandler mpmx-sleep\n</Location>\n",
);
$server->start;
my $connect = sub { MPMX::Client->new(port => $server->port, timeout => seconds(20)) };

# all but one in handlers that last until the end of this
my @held = $server->hold(7, 'asleep');
is(scalar @held, 7, 'seven handlers sleep');
my @took;
for my $i (1 .. 100) {
    my $at = time;
    my $c = $connect->();
    my $res = $c->request('/index.html', close => 1);
    $c->close;
    last if $res->{status} != 200;
    push @took, time - $at;
}
is(scalar @took, 100, '100 small requests beside seven sleeping handlers');
note(sprintf 'median %.1f ms, slowest %.1f ms', 1000 * median(@took), 1000 * (sort { $b <=> $a } @took)[0]);
# one that waits for a sleeper, or for a tick of a slow clock, takes far longer
cmp_ok(median(@took), '<', 0.2 * factor(), 'each of them promptly');

# the same with requests on one connection
my $c = $connect->();
my $good = grep { $c->request('/index.html')->{status} == 200 } 1 .. 200;
is($good, 200, 'and 200 on one connection');
$c->close;
is($server->release('asleep', @held), 7, 'the sleepers finish');

# all eight at once: each has begun before the first one ends
@held = $server->hold(8, 'asleep');
is(scalar @held, 8, 'eight sleepers on eight threads, at the same time');
is($server->release('asleep', @held), 8, 'and all finish');

# and more than there are threads
my @asleep = map { $connect->() } 1 .. 20;
$_->send_request('/sleep?ms=200', close => 1) for @asleep;
is(scalar(grep { $_->response->{status} == 200 } @asleep), 20, 'twenty sleepers on eight threads');

$server->finish(qr/AH00484/);
done();
