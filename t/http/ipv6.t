# Promise: a listener on the IPv6 loopback serves like any other, and the client's address is shown.
use MPMX::Test;
plan(skip_all => 'no IPv6 loopback') unless Apache::Test::vars('have_ipv6');

my $c = client('ipv6', host => '::1');
like($c->request('/whoami')->{body}, qr/client=::1 /, "the client's address");
ok($c->request('/large.bin')->{body} eq doc('large.bin'), 'a large file');
my $good = grep { $c->request('/small.bin')->{status} == 200 } 1 .. 100;
is($good, 100, 'and 100 more requests on the connection');
$c->close;

done();
