# Promise: when heads of many connections become complete in the same moment, none of the requests
# waits for the handler of another one as long as there is a free thread.
use MPMX::Test;
use MPMX::Server;

my $server = MPMX::Server->new(
    sizing => { StartServers => 1, ServerLimit => 1, ThreadLimit => 16, ThreadsPerChild => 16,
                MaxRequestWorkers => 16, MinSpareThreads => 1, MaxSpareThreads => 16 },
    handlers => 1,
);
$server->start;

# The slow handler lasts until all others have been answered, however long a busy machine takes for that.
# Nor does it take a rescue that comes once a second: not each of some rounds is late.
my $n = 10;
for my $slow (0 .. 3, 0, 1) {
    my $took;
    for my $try (1 .. 5) {
        $server->write('marks/slow', '');
        my @c = map { MPMX::Client->new(port => $server->port, timeout => seconds(10)) } 1 .. $n;
        $_->send('GET /') for @c;
        sleep 0.2;      # all of them are there; if not, the test is only easier
        my $began = time;
        $c[$_]->send(($_ == $slow ? 'mpmxt/hold?slow' : 'index.html') . " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            for 0 .. $#c;
        my $served = grep { $c[$_]->response->{status} == 200 } grep { $_ != $slow } 0 .. $#c;
        $took = time - $began;
        is($served, $n - 1, "number $slow takes its time, the others are served beside it");
        unlink $server->path('marks/slow');
        is($c[$slow]->response->{status}, 200, 'and so is that one, after them');
        $_->close for @c;
        last if $took < 0.7 || $served < $n - 1;
    }
    cmp_ok($took, '<', 0.7 * factor(), 'soon');
}
$server->finish;
done();
