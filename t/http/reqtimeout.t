# Promise: mod_reqtimeout's limits work: a body that does not come is answered with 408, one that
# comes in time is not, also on a connection's later requests.
use MPMX::Test;
need_module('reqtimeout');

my $post = "POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";

my $c = client('reqtimeout');
my $began = time;
$c->send($post . 'x' x 5000);
my $res = $c->response(timeout => seconds(12));
is($res->{status}, 408, 'a body that stops coming');
cmp_ok(time - $began, '>', 1.5, 'is given the two seconds of its limit');
ok($c->closed_within(seconds(6)), 'then the connection is closed');

$c = client('reqtimeout');
is($c->request('/sink', method => 'POST', body => 'x' x 100_000)->{status}, 200, 'a body in time');
sleep 2.5;
is($c->request('/sink', method => 'POST', body => 'x' x 100_000)->{status}, 200,
   'idle time is not counted');
$c->send($post . 'x' x 5000);
is($c->response(timeout => seconds(12))->{status}, 408, 'a third body stops coming');
$c->close;

# a head that stops coming is somebody's to end: mod_reqtimeout's or the MPM's
$c = client('reqtimeout');
$began = time;
$c->send("GET /whoami HTTP/1.1\r\nHost: lo");
my $text = $c->rest(seconds(16));
is($c->{error}, 'eof', 'a head that stops coming ends the connection');
like($text, qr/\A(?:HTTP\/1\.1 408 .*)?\z/s, 'with a 408 or nothing');
note(sprintf 'after %.1f s', time - $began);

done();
