# Promise: requests that wait inside the TLS layer (several in one record, a part of the next one
# behind a complete one) are served although the socket has nothing more to say.
use MPMX::Test;
need_tls();

my $get = "GET /small.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";
for my $version (qw(TLSv1_2 TLSv1_3)) {
    my $c = client('tls', tls => { SSL_version => $version });
    $c->send($get x 50);        # one record
    my $good = grep { $c->response->{body} eq doc('small.bin') } 1 .. 50;
    is($good, 50, "$version: 50 requests in one record");

    # httpd's own worker closes a TLS connection on a part of a head
    next if is_stock() && !is_async();

    $c->send($get . substr $get, 0, 20);
    is($c->response->{status}, 200, 'one and a half: the one');
    sleep 0.3;
    $c->send(substr $get, 20);
    is($c->response->{status}, 200, 'and the half when it is whole');

    for my $cut (1, 15, length($get) - 1) {
        $c->send(substr $get, 0, $cut);
        sleep 0.05;
        $c->send(substr($get, $cut) . $get);
        is($c->response->{status}, 200, "cut at $cut");
        is($c->response->{status}, 200, 'and another one in the same record');
    }
    my $post = "POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
    $c->send($post . $get . $post);
    like($c->response->{body}, qr/length=5/, 'a POST');
    is($c->response->{status}, 200, 'a GET behind its body');
    like($c->response->{body}, qr/length=5/, 'and another POST');
    $c->close;
}
done();
