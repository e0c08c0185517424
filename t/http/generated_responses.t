# Promise: what a handler generates arrives whole, however it is framed: with a length, in chunks,
# flushed piece by piece, empty, and after a slow start.
use MPMX::Test;

for my $how ('bytes=0', 'bytes=1', 'bytes=5000', 'bytes=200000&flush=1', 'bytes=3000000',
             'bytes=3000000&length=1') {
    my $res = get("/gen?$how");
    is($res->{status}, 200, "generated: $how");
    is(sha1_hex($res->{body}), $res->{headers}{'x-sha1'}, 'arrived as sent');
}

my $c = client();
my $res = $c->request('/sleep?ms=300');
is($res->{body}, "slept 300 ms\n", 'a handler that takes its time');
$res = $c->request('/gen?bytes=100000', method => 'HEAD');
is($res->{status}, 200, 'HEAD of something generated');
$res = $c->request('/gen?bytes=100000');
is(sha1_hex($res->{body}), $res->{headers}{'x-sha1'}, 'all three on one connection');
$c->close;

done();
