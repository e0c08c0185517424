# Promise: a reverse proxy in front of another virtual host of the same server passes requests and
# responses of any size through, whole, and its own connections to the backend are no
# connections of the MPM's.
use MPMX::Test;
need_module('proxy', 'proxy_http');

my $c = client('proxy', timeout => seconds(60));
is($c->request('/small.bin')->{body}, doc('small.bin'), 'a small document');
like($c->request('/whoami')->{body}, qr/host=backend\.localhost/, 'comes from the backend');
ok($c->request('/huge.bin')->{body} eq doc('huge.bin'), '50 MB down');
my $res = $c->request('/gen?bytes=5000000');
is(sha1_hex($res->{body}), $res->{headers}{'x-sha1'}, '5 MB generated, in chunks');
my $body = doc('large.bin');
$res = $c->request('/sink', method => 'POST', body => $body);
is($res->{body}, 'length=10000000 sha1=' . sha1_hex($body) . "\n", '10 MB up');
$c->send("POST /sink HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
$c->send(sprintf "%x\r\n%s\r\n", 50_000, substr $body, $_ * 50_000, 50_000) for 0 .. 59;
$c->send("0\r\n\r\n");
is($c->response->{body}, 'length=3000000 sha1=' . sha1_hex(substr $body, 0, 3_000_000) . "\n", 'and 3 MB in chunks');
is($c->request('/none')->{status}, 404, 'an error of the backend');
is($c->request('/small.bin')->{status}, 200, 'all on one connection');
$c->close;

my @answers = in_parallel(4, sub {
    my $who = shift;
    my $mine = client('proxy', timeout => seconds(40));
    return scalar grep {
        my $r = $mine->request($_ % 3 ? '/small.bin' : '/sleep?ms=20');
        $r->{status} == 200 && ($_ % 3 == 0 || $r->{body} eq doc('small.bin'));
    } 1 .. 60;
});
is("@answers", '60 60 60 60', 'several clients through the proxy');

# client and backend each go away in the middle
for (1 .. 5) {
    my $gone = client('proxy');
    $gone->send_request('/huge.bin');
    $gone->bytes(100_000);
    $gone->reset;
}
my $idle = is_async() ? 0 : 5;     # threads that idle connections to the backend keep
my $calm = wait_until { my $busy = busy_workers(); defined $busy && $busy <= $idle } 10;
ok($calm, 'clients that went away leave nothing');
done();
