# Promise: Expect: 100-continue is answered before the body is sent, a refused body gets its final
# status at once, and the connection goes on afterwards.
use MPMX::Test;

my $body = substr doc('large.bin'), 0, 2_000_000;
my $head = "POST /sink HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "
    . length($body) . "\r\n\r\n";

my $c = client();
for my $round (1, 2) {
    $c->send($head);
    my $interim = $c->response_head(seconds(5));
    is($interim && $interim->{status}, 100, "round $round: told to continue");
    $c->send($body);
    my $res = $c->response;
    is($res->{body}, 'length=2000000 sha1=' . sha1_hex($body) . "\n", 'the body arrived');
}
is($c->request('/small.bin')->{status}, 200, 'another request on the connection');
$c->close;

# nobody wants this body
$c = client();
(my $refused = $head) =~ s{/sink}{/denied};
$c->send($refused);
my $answer = $c->response(timeout => seconds(5));
is($answer->{status}, 403, 'a request that is denied is answered without the body');
is("@{ $answer->{interim} || [] }", '', 'and was not asked for it');
$c->close;

# a client that does not wait for the answer
$c = client();
$c->send($head . $body);
my $res = $c->response;
is($res->{body}, 'length=2000000 sha1=' . sha1_hex($body) . "\n", 'a body that came unasked');
$c->close;

done();
