# Promise: under a bounded HTTP/2 load from several connections with many streams every request
# succeeds, in clear text and over TLS.
use MPMX::Test;
need_module('http2');
need_tool('h2load');

my @urls = ('http://127.0.0.1:' . port('h2c'));
push @urls, 'https://127.0.0.1:' . port('h2')
    if Apache::Test::vars('have_tls') && Apache::Test::config()->{modules}{'mod_ssl.c'};
for my $base (@urls) {
    for my $how ([3000, 8, 10, '/small.bin'], [300, 6, 20, '/medium.bin'], [200, 20, 5, '/sleep?ms=20'],
                 [60, 60, 1, '/small.bin']) {
        my ($n, $clients, $streams, $path) = @$how;
        my ($rc, $text) = run_tool(45, 'h2load', '-n', $n, '-c', $clients, '-m', $streams, "$base$path");
        my ($summary) = $text =~ /^(requests: .*)$/m;
        like($summary || $text, qr/ $n succeeded, 0 failed, 0 errored, 0 timeout/,
             "$base$path: $n requests on $clients connections");
    }
}
done();
