# Promise: when heads of many connections become complete in the same moment, none of the requests
# waits for the handler of another one as long as there is a free thread.
use MPMX::Test;
use MPMX::Server;

my $server = MPMX::Server->new(
    sizing => { StartServers => 1, ServerLimit => 1, ThreadLimit => 16, ThreadsPerChild => 16,
                MaxRequestWorkers => 16, MinSpareThreads => 1, MaxSpareThreads => 16 },
    c_modules => ['mod_mpmxt_serving'],
    conf => "<Location /sleep>\nSetHandler mpmx-sleep\n</Location>\n",
);
$server->start;

my ($n, $ms) = (10, 1000 * seconds(0.8));
for my $slow (0 .. 3, 0, 1) {
    my @c = map { MPMX::Client->new(port => $server->port, timeout => seconds(10)) } 1 .. $n;
    $_->send('GET /') for @c;
    sleep 0.2;      # all of them are there; if not, the test is only easier
    my $began = time;
    $c[$_]->send(($_ == $slow ? "sleep?ms=$ms" : 'index.html') . " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        for 0 .. $#c;
    my $served = grep { $c[$_]->response->{status} == 200 } grep { $_ != $slow } 0 .. $#c;
    my $took = time - $began;
    is($served, $n - 1, "number $slow takes its time, the others are served");
    cmp_ok($took, '<', 0.9 * $ms / 1000, 'beside it, not after it');
    is($c[$slow]->response->{status}, 200, 'and so is that one');
    $_->close for @c;
}
$server->finish;
done();
