# Promise: large responses arrive whole, files and generated ones, several at once, and to a client
# that pauses in between.
use MPMX::Test;

my $c = client(undef, timeout => seconds(60));
my $res = $c->request('/huge.bin');
ok($res->{body} eq doc('huge.bin'), 'a file of 50 MB');
$res = $c->request('/gen?bytes=30000000');
is(sha1_hex($res->{body}), $res->{headers}{'x-sha1'}, '30 MB generated, on the same connection');
$c->close;

my @answers = in_parallel(4, sub {
    my $mine = client(undef, timeout => seconds(60));
    my $r = $mine->request($_[0] % 2 ? '/large.bin' : '/gen?bytes=10000000&length=1');
    my $want = $_[0] % 2 ? sha1_hex(doc('large.bin')) : $r->{headers}{'x-sha1'};
    return sha1_hex($r->{body}) eq $want ? 'right' : 'wrong';
});
is("@answers", 'right right right right', 'four downloads at once');

$c = client(undef, rcvbuf => 8192, timeout => seconds(60));
$c->send_request('/large.bin');
my $got = '';
for (1 .. 5) {
    $got .= $c->bytes(length($got) ? 400_000 : 1000);
    sleep 0.3;
}
$got .= $c->bytes(1000) while length $got < 1_700_000;
$got =~ s/\A.*?\r\n\r\n//s;
$got .= $c->bytes(10_000_000 - length $got);
ok($got eq doc('large.bin'), 'to a client that pauses');
is($c->request('/small.bin')->{status}, 200, 'whose connection goes on');
$c->close;

done();
