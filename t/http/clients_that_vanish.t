# Promise: clients that go away at any moment, politely or not, leave nothing behind: no busy thread,
# no counted connection, no harm to others.
use MPMX::Test;

my $get = "GET /small.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";
my %moment = (
    'after connecting' => sub { },
    'in the middle of a head' => sub { $_[0]->send("GET /small.bin HTTP/1.1\r\nHo") },
    'after a request' => sub { $_[0]->send($get) },
    'while the handler works' => sub { $_[0]->send("GET /sleep?ms=300 HTTP/1.1\r\nHost: localhost\r\n\r\n") },
    'in the middle of a file' => sub { $_[0]->send_request('/huge.bin'); $_[0]->bytes(100_000) },
    'in the middle of generated output' => sub { $_[0]->send_request('/gen?bytes=5000000'); $_[0]->bytes(100_000) },
    'in the middle of an upload' => sub {
        $_[0]->send("POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" . 'x' x 5000)
    },
    'in a chunk' => sub {
        $_[0]->send("POST /sink HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\nabc")
    },
    'before continuing' => sub {
        $_[0]->send("POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
    },
    'between requests' => sub { $_[0]->request('/small.bin') },
    'in the middle of a second head' => sub { $_[0]->send($get . 'GET /sm'); $_[0]->response },
    'in the middle of a pipeline' => sub { $_[0]->send($get x 50); $_[0]->response },
    'while lingering' => sub { $_[0]->request('/small.bin', close => 1) },
);

for my $when (sort keys %moment) {
    for my $how (qw(close reset)) {
        for (1 .. 8) {
            my $c = client();
            $moment{$when}->($c);
            $c->$how;
        }
    }
    my $calm = wait_until { my $busy = busy_workers(); defined $busy && $busy == 0 } 10;
    ok($calm, "$when: all threads are free again");
}

SKIP: {
    skip 'no connection counts in a synchronous MPM', 1 unless is_async();
    my $c = client();
    my $left;
    my $gone = wait_until { $left = status_on($c)->{ConnsTotal}; defined $left && $left <= 2 } 15;
    ok($gone, 'no connection is counted any more') or diag("ConnsTotal: $left");
    $c->close;
}
others_are_served('afterwards');

done();
