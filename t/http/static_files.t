# Promise: files of any size arrive whole, also in parts, and HEAD and conditional requests are
# answered without a body.
use MPMX::Test;

for my $name (qw(small.bin medium.bin large.bin)) {
    my $res = get("/$name");
    is($res->{status}, 200, "$name is served");
    ok($res->{body} eq doc($name), "$name is whole");
}
is(get('/')->{body}, "it works\n", 'a directory has its index');
is(get('/none')->{status}, 404, 'what is not there is not found');

my $c = client();
my $res = $c->request('/medium.bin', method => 'HEAD');
is($res->{headers}{'content-length'}, 100_000, 'HEAD tells the length');
$res = $c->request('/medium.bin', headers => { Range => 'bytes=1000-1999' });
is($res->{status}, 206, 'a range, on the same connection');
is($res->{body}, substr(doc('medium.bin'), 1000, 1000), 'and it is the right one');
my $date = $res->{headers}{'last-modified'};
$res = $c->request('/medium.bin', headers => { 'If-Modified-Since' => $date });
is($res->{status}, 304, 'not modified');
$res = $c->request('/small.bin');
ok($res->{body} eq doc('small.bin'), 'the connection is usable after a 304');
$c->close;

done();
