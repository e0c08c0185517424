# Promise: Connection: close is obeyed after a complete response, and what a client still sends
# then does not destroy the response (lingering close).
use MPMX::Test;

for my $path ('/small.bin', '/large.bin', '/gen?bytes=500000', '/none') {
    my $c = client();
    my $res = $c->request($path, close => 1);
    ok($res->{closing}, "$path: the response says Connection: close");
    ok($res->{body} eq doc(substr $path, 1), 'and is whole') if $path =~ /\.bin/;
    ok($c->closed_within(seconds(5)), 'then the server closes');
}

# The client talks on after the request that was to be the last; a server that just closed would
# make the kernel reset the connection and the client lose the response.
my $c = client();
$c->send_request('/large.bin', close => 1);
$c->send('x' x 50_000);
my $res = $c->response;
ok($res->{body} eq doc('large.bin'), 'a client that talks on still gets its response');
$c->close;

# many one-request connections in a row
my $good = 0;
for (1 .. 300) {
    my $r = get('/small.bin');
    ++$good if $r->{status} == 200 && length $r->{body} == 1000;
}
is($good, 300, '300 connections of one request each');

done();
