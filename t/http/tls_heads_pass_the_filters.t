# Promise: what the MPM reads ahead inside TLS changes nothing for others: mod_reqtimeout's limits count
# when a worker reads, the PROXY protocol below TLS and a required client certificate work, whatever is
# no small head of HTTP/1 reaches the core as it came, and a head that stops coming gets its 408.
use MPMX::Test;
need_tls();

my $get = "GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n";
my $post = "POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
my $modules = Apache::Test::config()->{modules};

# --- heads that stop coming; looked at again in the end ---
my $began = time;
my %stopped = map { $_ => client('tls', tls => {}) } qw(first later pipelined line);
$stopped{later}->request('/whoami');
$stopped{pipelined}->send($get . substr $get, 0, -5);
is($stopped{pipelined}->response->{status}, 200, 'the request before half of another');
$stopped{$_}->send(substr $get, 0, -5) for qw(first later);
$stopped{line}->send(substr $get, 0, 10);

# --- mod_reqtimeout ---
SKIP: {
    skip 'httpd has no mod_reqtimeout', 5 unless $modules->{'mod_reqtimeout.c'};
    my $c = client('tlslimits', tls => {});
    is($c->request('/sink', method => 'POST', body => 'x' x 100_000)->{status}, 200, 'a body in time');
    sleep 2.5;
    is($c->request('/whoami')->{status}, 200, 'the limit for the body before is none for idle time');
    sleep 2.5;
    is($c->request('/sink', method => 'POST', body => 'x' x 100_000)->{status}, 200, 'nor is that before none');
    my $at = time;
    $c->send($post);
    is($c->response(timeout => seconds(12))->{status}, 408, 'a later body that never begins');
    cmp_ok(time - $at, '>', 1.5, 'is given the two seconds of its limit');
    $c->close;
}

# --- the PROXY protocol below TLS ---
SKIP: {
    skip 'httpd has no mod_remoteip', 5 unless $modules->{'mod_remoteip.c'};
    my %header = (
        'version 1' => "PROXY TCP4 192.0.2.77 127.0.0.1 40000 80\r\n",
        'version 2' => "\r\n\r\n\0\r\nQUIT\n\x21\x11" . pack('n', 12) . "\xc0\x00\x02\x4d\x7f\0\0\1" . pack('nn', 40_000, 80),
    );
    for my $version (sort keys %header) {
        for my $pause (0, 0.2) {
            my $c = client('tlsproxied');
            $c->send($header{$version});
            sleep $pause;
            $c->start_tls;
            like($c->request('/whoami')->{body}, qr/client=192\.0\.2\.77 /, "PROXY $version, TLS $pause s later");
            $c->close;
        }
    }
    my $c = client('tlsproxied');
    $c->start_tls(Timeout => seconds(5));
    ok($c->{error}, 'without a PROXY header there is no handshake');
}

# --- who is refused ---
for my $version (qw(TLSv1_2 TLSv1_3)) {
    my $c = MPMX::Client->new(port => port('tlscert'), timeout => seconds(5), tls => { SSL_version => $version });
    my $res = $c->{error} ? { status => 0, error => $c->{error} } : $c->request('/whoami');
    is($res->{status}, 0, "$version: no client certificate, no answer");
    isnt($res->{error}, 'timeout', 'but an end');
    $c->close;
}
# The certificate is asked for when the request is known: by a new handshake, or after it.
SKIP: {
    my $curl = tool('curl') or skip 'curl is not installed', 4;
    my $dir = logs_dir() . '/../tls';
    my $url = 'https://127.0.0.1:' . port('tlsasks');
    for my $version (qw(1.2 1.3)) {
        my @curl = ($curl, qw(-sk --http1.1 --tls-max), $version, '--cert', "$dir/cert.pem", '--key', "$dir/key.pem");
        my ($rc, $text) = run_tool(15, @curl, map { "$url/whoami" } 1 .. 3);
        is(() = $text =~ /^pid=/mg, 3, "TLS $version: the certificate is asked for, three requests") or diag($text);
        ($rc, $text) = run_tool(15, @curl, '--data', 'x' x 50_000, '-H', 'Expect:', "$url/sink", "$url/sink");
        is(() = $text =~ /length=50000/g, 2, 'and two bodies');
    }
}
# The second CR comes when the server has said what it thinks of the first line.
my $c = client('tls');
$c->send("GET / HTTP/1.1\r\nHost: loc");
sleep 0.2;
$c->send("alhost\r\n\r\n");
like($c->response->{body}, qr/plain HTTP to an SSL-enabled/, 'plain HTTP is told where it is');
$c->close;

# --- heads of all sizes ---
my $fields = join '', map { "X-Field-$_: " . 'v' x 4000 . "\r\n" } 1 .. 7;
for my $piece (0, 1, 1000, 9000) {
    my $c = client('tls', tls => {});
    for my $round (1, 2) {
        my $bytes = $get;
        $bytes =~ s/\r\n\r\n/\r\n$fields\r\n/ if $piece != 1;
        $bytes .= $post . 'x' x 100_000 . $get;
        while ($piece && length $bytes > 100_000) {
            $c->send(substr $bytes, 0, $piece, '');
            sleep 0.001 if $piece == 1;
        }
        $c->send($bytes);
        is($c->response->{status}, 200, "heads in pieces of $piece bytes, round $round");
        like($c->response->{body}, qr/length=100000/, 'a body behind its head');
        is($c->response->{status}, 200, 'and a head behind that body');
    }
    $c->close;
}

# --- what is no HTTP/1 ---
for my $odd ("GET /whoami\r\n", "\0\0\0\n", "HELLO\n", "\r\n" x 12) {
    my $c = client('tls', tls => {});
    $c->send($odd);
    my $text = $c->rest(seconds(5));
    is($c->{error}, 'eof', 'no HTTP/1: answered at once');
    like($text, qr/\A(?:HTTP\/1\.1 400 |<!DOCTYPE|\z)/, 'by the core');
}

# --- the heads that stopped ---
SKIP: {
    skip 'httpd waits for its Timeout', 8 if is_stock();
    for my $name (sort keys %stopped) {
        # where a connection has its thread, that waits for Timeout
        next if !is_async() && $name =~ /later|pipelined/;
        my $c = $stopped{$name};
        my $text = $c->rest(seconds(16));
        is($c->{error}, 'eof', "$name: a head that stops coming ends the connection");
        like($text, $name eq 'line' ? qr/\A(?:HTTP\/1\.1 408 .*)?\z/s : qr/\AHTTP\/1\.1 408 /, 'with the right words');
    }
    cmp_ok(time - $began, '>', 9, 'after RequestHeadTimeout');
}
$_->close for values %stopped;
done();
