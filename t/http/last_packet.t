# Promise: a client that says Connection: close gets the end of its response and the end of the
# connection in one packet, but what a handler sends piece by piece is not kept back for that.
use MPMX::Test;
use Socket qw(IPPROTO_TCP);
use Time::HiRes qw(time);

# (head, how many pieces, and how late the least late of them was)
sub in_pieces {
    my ($c) = @_;
    my ($head, $pieces, $least) = ('', 0);
    $c->send_request('/stamps?count=4&ms=300', close => 1);
    while (defined(my $line = $c->line(seconds(10)))) {
        last if $line eq '';
        $head .= "$line\n";
    }
    while (defined(my $line = $c->line(seconds(10)))) {
        my ($stamp) = $line =~ /^(\d{16})$/ or next;
        my $late = time - $stamp / 1e6;
        $least = $late if !defined $least || $late < $least;
        ++$pieces;
    }
    $c->close;
    return ($head, $pieces, $least);
}

# The kernel keeps back what fills no packet for 200 ms at most (tcp(7), TCP_CORK). The machine may be
# late with any of the pieces, but not with all, each time.
for my $tls (0, 1) {
    my ($head, $pieces, $least);
    for my $try (1 .. 5) {
        ($head, $pieces, $least) = in_pieces($tls ? client('tls', tls => {}) : client());
        last if $pieces != 4 || $least < 0.15;
    }
    like($head, qr/^HTTP\/1.1 200 .*^Connection: close$/ms, 'a response that comes in pieces, and is the last one');
    is($pieces, 4, 'all its pieces');
    ok(defined $least && $least < 0.15, 'are sent when they are written') or diag(1000 * ($least || 9), ' ms');
}

# segs_in of struct tcp_info (linux/tcp.h): packets received. At least the two of the handshake and the
# response (the request's acknowledgement may be one of its own).
my ($least, $whole) = (99, 0);
for (1 .. 20) {
    my $c = client();
    $c->send_request('/small.bin', close => 1);
    my $all = $c->rest(seconds(10));
    ++$whole if substr($all, -1000) eq doc('small.bin');
    my $info = getsockopt($c->{fh}, IPPROTO_TCP, 11);    # TCP_INFO
    my $packets = $info && length $info >= 144 ? unpack 'x140 L', $info : 0;
    $least = $packets if $packets && $packets < $least;
    $c->close;
}
is($whole, 20, 'small responses and the end of their connections');
SKIP: {
    skip('the system does not count packets', 1) if $least == 99;
    ok($least <= 3, 'in one packet') or diag("$least packets came");
}

done();
