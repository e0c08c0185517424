# Promise: pipelined requests are all answered, in order, wherever the network cuts them, also when
# bodies and slow or large responses are among them.
use MPMX::Test;

my $small = doc('small.bin');
my $get = "GET /small.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";

my $c = client(undef, timeout => seconds(30));
$c->send($get x 200);
my $good = grep { my $r = $c->response; $r->{status} == 200 && $r->{body} eq $small } 1 .. 200;
is($good, 200, '200 requests sent at once');

# each one different, cut into pieces of 1 to 97 bytes
my $all = join '', map { "GET /gen?bytes=$_ HTTP/1.1\r\nHost: localhost\r\n\r\n" } 1 .. 60;
my ($at, $step) = (0, 0);
while ($at < length $all) {
    my $n = 1 + ($step++ * 37) % 97;
    $c->send(substr $all, $at, $n);
    $at += $n;
    sleep 0.002 if $step % 5 == 0;
}
$good = grep { my $r = $c->response; $r->{status} == 200 && length $r->{body} == $_ } 1 .. 60;
is($good, 60, '60 different ones, cut at odd places, answered in order');

my $post = sub { "POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: " . length($_[0]) . "\r\n\r\n$_[0]" };
$c->send($post->('a' x 10) . $get . $post->($small x 100) . "GET /sleep?ms=200 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    . "HEAD /small.bin HTTP/1.1\r\nHost: localhost\r\n\r\n" . "GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n" . $get);
is($c->response->{body}, 'length=10 sha1=' . sha1_hex('a' x 10) . "\n", 'a POST first');
ok($c->response->{body} eq $small, 'a GET after its body');
is($c->response->{body}, 'length=100000 sha1=' . sha1_hex($small x 100) . "\n", 'a larger POST');
is($c->response->{body}, "slept 200 ms\n", 'a slow one');
is($c->response(method => 'HEAD')->{headers}{'content-length'}, 1000, 'a HEAD');
ok($c->response->{body} eq doc('large.bin'), 'a large one');
ok($c->response->{body} eq $small, 'and the one behind it');

# The response before the last may wait for the last one, and be written with it: that is not yet the end.
for my $first ('/nowhere', '/small.bin') {
    my $d = client(undef, timeout => seconds(30));
    $d->send("GET $first HTTP/1.1\r\nHost: localhost\r\n\r\n"
        . "GET /huge.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    is($d->response->{status}, $first eq '/nowhere' ? 404 : 200, "$first, and in the same packet a closing one");
    sleep 0.3;                           # the kernel's buffers are full by then
    ok($d->response->{body} eq doc('huge.bin'), 'which is large, and comes whole');
    $d->close;
}

# what comes after Connection: close is not served
$c->send("GET /small.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n$get");
ok($c->response->{body} eq $small, 'the closing one is served');
is($c->rest, '', 'and nothing after it');

done();
