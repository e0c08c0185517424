# Promise: the PROXY protocol (RemoteIPProxyProtocol) in front of a request works in both of its
# versions: in one piece with the head, before it, and in small pieces.
use MPMX::Test;
need_module('remoteip');

my $get = "GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n";
my %header = (
    'version 1' => "PROXY TCP4 192.0.2.77 127.0.0.1 40000 80\r\n",
    'version 2' => "\r\n\r\n\0\r\nQUIT\n\x21\x11" . pack('n', 12) . "\xc0\x00\x02\x4d\x7f\0\0\1" . pack('nn', 40_000, 80),
);
for my $version (sort keys %header) {
    for my $step (0, 1, 9) {
        my $c = client('proxyproto');
        my $bytes = $header{$version} . $get;
        if ($step) {
            while (length $bytes) {
                $c->send(substr $bytes, 0, $step, '');
                sleep 0.003;
            }
        }
        else {
            $c->send($bytes);
        }
        my $res = $c->response;
        like($res->{body}, qr/client=192\.0\.2\.77 /, "$version, " . ($step ? "$step bytes at a time" : 'at once'));
        like($c->request('/whoami')->{body}, qr/client=192\.0\.2\.77 /, 'the next request needs no such header');
        $c->close;
    }
    my $c = client('proxyproto');
    $c->send($header{$version});
    sleep 0.3;
    $c->send($get);
    like($c->response->{body}, qr/client=192\.0\.2\.77 /, "$version, the request later");
    $c->close;
}
my $c = client('proxyproto');
$c->send($get);
ok($c->closed_within(seconds(5)), 'without such a header the connection is closed');

done();
