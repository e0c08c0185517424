# Promise: a request is acknowledged with its answer, which saves a packet; but what is only a part of
# something is acknowledged at once, so that a client with Nagle's algorithm sends the rest.
use MPMX::Test;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

need_mpmx();

# struct tcp_info (linux/tcp.h): packets not acknowledged, and packets received.
sub tcp_info {
    my ($c, $at) = @_;
    my $info = getsockopt($c->{fh}, IPPROTO_TCP, 11);    # TCP_INFO
    return $info && length $info >= $at + 4 ? unpack "x$at L", $info : undef;
}
sub unacked { return tcp_info($_[0], 24) }
sub packets { return tcp_info($_[0], 140) }

plan(skip_all => 'TCP_INFO does not tell') unless defined packets(client());

# The handshake's and the response. A machine that is late lets the kernel's patience run out
# (40 ms) now and then, but not each time.
my ($least, $whole) = (99, 0);
for (1 .. 20) {
    my $c = client();
    $c->send_request('/small.bin', close => 1);
    ++$whole if substr($c->rest(seconds(10)), -1000) eq doc('small.bin');
    my $packets = packets($c);
    $least = $packets if $packets < $least;
    $c->close;
}
is($whole, 20, 'small responses');
is($least, 2, 'no packet but theirs');

# How long it takes until nothing is left to be acknowledged, at best.
sub fastest {
    my ($begin, $text, $end) = @_;
    my ($best, $answered) = (9, 0);
    for (1 .. 20) {
        my $c = $begin->();
        setsockopt($c->{fh}, IPPROTO_TCP, TCP_NODELAY, 0);
        $c->send($text);
        my $t0 = time;
        my $took;
        do { $took = time - $t0 } while (unacked($c) && $took < seconds(5));
        $best = $took if $took < $best;
        $c->send($end);
        ++$answered if $c->response(timeout => seconds(10))->{status} == 200;
        $c->close;
    }
    is($answered, 20, 'answered');
    return $best;
}

my $get = "GET /small.bin HTTP/1.1\r\nHost: localhost\r\n";
my $post = "POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n";
my $used = sub { my $c = client(); $c->request('/small.bin'); return $c };
my $in_tls = sub { return client('tls', tls => {}) };
my $tls = eval { $in_tls->()->request('/small.bin')->{status} == 200 };
for my $row (['a part of the first head', \&client, $get, "\r\n"],
             $tls ? ['a part of the first head, in TLS', $in_tls, $get, "\r\n"] : (),
             ['a part of a later head', $used, $get, "\r\n"],
             ['a head without its body', \&client, $post, '0123456789'],
             ['a later head without its body', $used, $post, '0123456789']) {
    my ($what, @how) = @$row;
    my $best = fastest(@how);
    ok($best < 0.02, "$what is acknowledged at once") or diag(1000 * $best, ' ms');
}

done();
