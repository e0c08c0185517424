# Promise: large bodies pass through TLS whole in both directions, to slow readers too.
use MPMX::Test;
need_tls();

for my $version (qw(TLSv1_2 TLSv1_3)) {
    my $c = client('tls', tls => { SSL_version => $version }, timeout => seconds(60));
    ok($c->request('/large.bin')->{body} eq doc('large.bin'), "$version: 10 MB file");
    my $res = $c->request('/gen?bytes=10000000');
    is(sha1_hex($res->{body}), $res->{headers}{'x-sha1'}, '10 MB generated');
    my $body = substr doc('huge.bin'), 5, 15_000_000;
    $res = $c->request('/sink', method => 'POST', body => $body);
    is($res->{body}, 'length=15000000 sha1=' . sha1_hex($body) . "\n", '15 MB upload');
    $c->close;
}

# readers that pause; with TLS the handler writes, so each of them may hold a thread meanwhile
my @c = map { client('tls', tls => {}, rcvbuf => 16_384, timeout => seconds(60)) } 1 .. 6;
$_->send_request('/large.bin') for @c;
sleep 1;
others_are_served('beside TLS clients that do not read', 20);
my ($whole, $on) = (0, 0);
for my $c (@c) {
    ++$whole if $c->response->{body} eq doc('large.bin');
    ++$on if $c->request('/small.bin')->{status} == 200;
}
is($whole, 6, 'they get their file in the end');
is($on, 6, 'and their connections go on');
$_->close for @c;

done();
