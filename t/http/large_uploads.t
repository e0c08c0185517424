# Promise: large request bodies arrive whole, with a length or in chunks of any size, also several on
# one connection and several at once.
use MPMX::Test;

my $body = doc('huge.bin');
my $sum = sha1_hex($body);

my $c = client(undef, timeout => seconds(60));
my $res = $c->request('/sink', method => 'POST', body => $body);
is($res->{body}, "length=50000000 sha1=$sum\n", '50 MB with a length');

# chunks of 1 byte to 100 kB, on the same connection
my ($at, $i, $chunked) = (0, 0, '');
my @sizes = (1, 17, 4096, 8192, 65_536, 100_000, 3);
while ($at < 20_000_000) {
    my $n = $sizes[$i++ % @sizes];
    $n = 20_000_000 - $at if $at + $n > 20_000_000;
    $chunked .= sprintf "%x\r\n%s\r\n", $n, substr $body, $at, $n;
    $at += $n;
}
$c->send("POST /sink HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
$c->send($chunked);
$c->send("0\r\nX-Trailer: there\r\n\r\n");
$res = $c->response;
is($res->{body}, 'length=20000000 sha1=' . sha1_hex(substr $body, 0, 20_000_000) . "\n",
   '20 MB in chunks');
is($c->request('/small.bin')->{status}, 200, 'and a small request after them');
$c->close;

my @answers = in_parallel(4, sub {
    my $n = 5_000_000 + $_[0];
    my $mine = client(undef, timeout => seconds(60));
    my $part = substr $body, 1000 * $_[0], $n;
    my $r = $mine->request('/sink', method => 'PUT', body => $part);
    return $r->{body} eq "length=$n sha1=" . sha1_hex($part) . "\n" ? 'right' : "wrong: $r->{body}";
});
is("@answers", 'right right right right', 'four uploads at once');

done();
