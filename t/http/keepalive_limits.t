# Promise: MaxKeepAliveRequests and KeepAlive Off are obeyed: the last response says so, and the
# connection is closed with nothing lost.
use MPMX::Test;

my $c = client('vhosts');
my ($n, $res) = (0, {});
while (!$res->{closing} && $n < 10) {
    $res = $c->request('/medium.bin', headers => { Host => 'five.localhost' });
    last if length $res->{body} != 100_000;
    ++$n;
}
# httpd counts the requests that follow the first one
is($n, 6, 'MaxKeepAliveRequests 5: five more requests after the first');
ok($res->{closing}, 'the last response says Connection: close');
ok($c->closed_within(seconds(5)), 'and the server closes');

$c = client('vhosts');
$res = $c->request('/medium.bin', headers => { Host => 'never.localhost' });
is(length $res->{body}, 100_000, 'KeepAlive Off: one response');
ok($res->{closing}, 'which says Connection: close');
ok($c->closed_within(seconds(5)), 'and the server closes');

done();
