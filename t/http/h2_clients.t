# Promise: HTTP/2 works with curl and nghttp, over TLS and in clear text, by upgrade and by prior
# knowledge, with several requests at once on a connection.
use MPMX::Test;
need_module('http2');
need_tool('curl');

my @curl = ('curl', '-sS', '--noproxy', '*', '-k', '--max-time', seconds(20));
my ($rc, $text) = run_tool(5, 'curl', '-V');
plan(skip_all => 'curl has no HTTP/2') unless $text =~ /\bHTTP2\b/;

my $clear = 'http://127.0.0.1:' . port('h2c');
my @ways = (['upgrade', $clear, '--http2'], ['prior knowledge', $clear, '--http2-prior-knowledge']);
my $have_tls = Apache::Test::vars('have_tls') && Apache::Test::config()->{modules}{'mod_ssl.c'};
my $secure = 'https://127.0.0.1:' . port('h2');
push @ways, ['TLS', $secure, '--http2'] if $have_tls;

for my $way (@ways) {
    my ($name, $base, $option) = @$way;
    ($rc, $text) = run_tool(30, @curl, $option, '-w', '|%{http_version} %{http_code}', "$base/small.bin");
    is($rc, 0, "curl, $name");
    is($text, doc('small.bin') . '|2 200', 'the document, by HTTP/2');
    if ($name eq 'TLS') {   # some versions of curl cannot reuse a clear-text HTTP/2 connection
        ($rc, $text) = run_tool(30, @curl, $option, '-w', '%{http_version} %{http_code};',
                                map { ('-o', '/dev/null', "$base/gen?bytes=$_") } 1 .. 30);
        is($text, '2 200;' x 30, '30 requests in a row');
    }
    ($rc, $text) = run_tool(30, @curl, $option, '--data-binary', '@' . docs_dir() . '/medium.bin', "$base/sink");
    is($text, 'length=100000 sha1=' . sha1_hex(doc('medium.bin')) . "\n", 'a POST');
    ($rc, $text) = run_tool(30, @curl, $option, '-o', '/dev/null', '-w', '%{http_code}', "$base/none");
    is($text, '404', 'not found');
}
($rc, $text) = run_tool(30, @curl, '--http1.1', '-w', '|%{http_version}', "$clear/small.bin");
is($text, doc('small.bin') . '|1.1', 'HTTP/1.1 on the same port');

SKIP: {
    skip 'nghttp is not installed', 3 unless tool('nghttp');
    ($rc, $text) = run_tool(30, 'nghttp', '-n', '-s', '-m', 20, "$clear/medium.bin");
    is(scalar(() = $text =~ m{ 200 .*medium\.bin}g), 20, 'nghttp: 20 at once by prior knowledge');
    ($rc, $text) = run_tool(30, 'nghttp', '-n', '-s', '-u', "$clear/small.bin");
    like($text, qr{ 200 .*small\.bin}, 'nghttp: by upgrade');
    skip 'no TLS', 1 unless $have_tls;
    ($rc, $text) = run_tool(30, 'nghttp', '-n', '-s', '-m', 20, "$secure/medium.bin", "$secure/sleep?ms=300");
    is(scalar(() = $text =~ m{ 200 }g), 40, 'nghttp: 40 at once over TLS, some of them slow');
}
done();
