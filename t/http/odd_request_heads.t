# Promise: a proper request head is served however it arrives (byte by byte, cut at any place, in
# one piece with its body) and however large it is, up to httpd's own limits.
use MPMX::Test;

my $head = "GET /whoami HTTP/1.1\r\nHost: localhost\r\nX-Test: 1\r\n\r\n";

my $c = client();
for my $byte (split //, $head) {
    $c->send($byte);
    sleep 0.002;
}
is($c->response->{status}, 200, 'one byte at a time');

# on the same connection: every possible place to cut a head in two
my $good = 0;
for my $cut (1 .. length($head) - 1) {
    $c->send(substr $head, 0, $cut);
    sleep 0.004;
    $c->send(substr $head, $cut);
    ++$good if $c->response->{status} == 200;
}
is($good, length($head) - 1, 'cut at every place, on one connection');
$c->close;

# 90 lines of 8000 bytes are within LimitRequestFields and LimitRequestFieldSize, and more than any
# buffer for heads is likely to hold
for my $lines (1, 10, 90) {
    $c = client();
    my $large = "GET /whoami HTTP/1.1\r\nHost: localhost\r\n"
        . join('', map { "X-Line-$_: " . 'v' x 8000 . "\r\n" } 1 .. $lines) . "\r\n";
    for my $round (1 .. 3) {
        $c->send($large);
        is($c->response->{status}, 200, "a head of ${\ length $large} bytes, round $round");
    }
    $c->close;
}

# head and body in one segment, and a body that begins later
$c = client();
for my $n (1, 100, 5000, 60_000) {
    my $body = substr doc('medium.bin'), 0, $n;
    my $post = "POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: $n\r\n\r\n";
    $c->send($post . $body);
    like($c->response->{body}, qr/length=$n sha1=${\ sha1_hex($body)}/, "$n bytes of body with the head");
    $c->send($post);
    sleep 0.05;
    $c->send($body);
    like($c->response->{body}, qr/length=$n sha1=${\ sha1_hex($body)}/, 'and after it');
}
$c->close;

# a client that closes its sending side with the request is still answered
$c = client();
$c->send("GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
$c->shutdown_write;
ok($c->response->{body} eq doc('large.bin'), 'half-closed by the client: answered in full');
ok($c->closed_within(seconds(5)), 'and then closed');

done();
