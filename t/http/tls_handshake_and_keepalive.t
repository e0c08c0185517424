# Promise: TLS 1.2 and 1.3 connections are served, resumed and kept alive; older versions and plain
# HTTP on the TLS port are refused in words.
use MPMX::Test;
need_tls();

for my $version (qw(TLSv1_2 TLSv1_3)) {
    my $c = client('tls', tls => { SSL_version => $version });
    is($c->fh->get_sslversion, $version, "$version is spoken");
    my $good = grep { $c->request('/small.bin')->{body} eq doc('small.bin') } 1 .. 60;
    is($good, 60, '60 requests on one connection');
    like($c->request('/whoami')->{body}, qr/request=61 /, 'counted as one connection');
    sleep 0.5;
    is($c->request('/small.bin')->{status}, 200, 'also after a pause');
    is($c->request('/small.bin', close => 1)->{closing}, 1, 'the last one');
    ok($c->closed_within(seconds(5)), 'closed by the server');
}

my $good = grep { get('/small.bin', port => 'tls', tls => {})->{status} == 200 } 1 .. 40;
is($good, 40, '40 connections of one request each');

my ($rc, $text) = run_tool(20, 'openssl', 's_client', '-connect', '127.0.0.1:' . port('tls'),
                           '-servername', 'localhost', '-tls1_2', '-reconnect');
is(scalar(() = $text =~ /^Reused, /mg), 5, 'five sessions are resumed');

my $old = MPMX::Client->new(port => port('tls'), tls => { SSL_version => 'TLSv1_1' });
like($old->{error}, qr/^tls:/, 'TLS 1.1 is refused');

my $plain = client('tls');
$plain->send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
my $res = $plain->response(timeout => seconds(5));
is($res->{status}, 400, 'plain HTTP on the TLS port');
like($res->{body}, qr/plain HTTP to an SSL-enabled/, 'is told so');

my $garbage = client('tls');
$garbage->send("\x80garbage" x 20);
$garbage->shutdown_write;
$garbage->rest(seconds(5));
isnt($garbage->{error}, 'timeout', 'garbage ends the connection');

# several at once, half of them resumed
my @answers = in_parallel(4, sub {
    my $right = 0;
    for my $i (1 .. 15) {
        my $c = client('tls', tls => {});
        ++$right if 3 == grep { $c->request('/medium.bin')->{body} eq doc('medium.bin') } 1 .. 3;
        $c->close;
    }
    return $right;
});
is("@answers", '15 15 15 15', 'several clients at once');

done();
