# Promise: HTTP/1.0 is served: closed after the response unless the client asks for keep-alive.
use MPMX::Test;

my $c = client();
$c->send("GET /medium.bin HTTP/1.0\r\n\r\n");
my $res = $c->response;
ok($res->{body} eq doc('medium.bin'), 'a file, without a Host');
ok($c->closed_within(seconds(5)), 'closed afterwards');

$c = client();
$c->send("GET /gen?bytes=30000 HTTP/1.0\r\n\r\n");
$res = $c->response;
ok(!$res->{headers}{'transfer-encoding'}, 'no chunks for HTTP/1.0');
is(sha1_hex($res->{body}), $res->{headers}{'x-sha1'}, 'the end of the connection ends the body');

$c = client();
for my $i (1 .. 20) {
    $c->send("GET /small.bin HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    $res = $c->response;
    last if $res->{status} != 200 || ($res->{headers}{connection} || '') !~ /keep-alive/i;
}
is($res->{status}, 200, 'keep-alive when asked for, 20 requests');
$c->send("GET /small.bin HTTP/1.0\r\n\r\n");
is($c->response->{status}, 200, 'then one without');
ok($c->closed_within(seconds(5)), 'which is the last');

done();
