# Promise: what is no HTTP/1.x request gets httpd's own answer at once, never silence: HTTP/0.9,
# garbage, binary data, a TLS greeting, overlong lines, bare line feeds, leading empty lines.
use MPMX::Test;

sub answer {
    my ($bytes, $wait) = @_;
    my $c = client();
    $c->send($bytes);
    my $began = time;
    my $all = '';
    my $first = $c->bytes(12, seconds($wait || 5));
    $all = $first . $c->rest(seconds(5)) if defined $first;
    $c->close;
    return $all;
}

my $text = answer("GET /small.bin\r\n");
ok($text eq doc('small.bin'), 'HTTP/0.9: the bare document') or diag(substr $text, 0, 200);

like(answer("complete nonsense\r\n\r\n"), qr/\A(?:HTTP\/1\.1 400|<!DOCTYPE)/, 'words that are no request');
like(answer("\x00\x01\x02\x03\r\n\r\n"), qr/400 Bad Request/, 'binary data');
like(answer("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" . 'x' x 200 . "\r\n\r\n"),
     qr/400 Bad Request/, 'a TLS greeting on a plain port');
like(answer("GET /" . 'a' x 9000 . " HTTP/1.1\r\nHost: localhost\r\n\r\n"),
     qr/\AHTTP\/1\.1 414/, 'a request line that is too long');
like(answer("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " . 'a' x 9000 . "\r\n\r\n"),
     qr/\AHTTP\/1\.1 400/, 'a header line that is too long');
like(answer("GET / HTTP/1.1\r\nHost: localhost\r\n" . "X-Many: 1\r\n" x 150 . "\r\n"),
     qr/\AHTTP\/1\.1 400/, 'too many header lines');
like(answer("GET / HTTP/1.1\r\n\r\n"), qr/\AHTTP\/1\.1 400/, 'HTTP/1.1 without a Host');
like(answer("GET / HTTP/1.1\r\nHost: localhost\r\nno colon here\r\n\r\n"),
     qr/\AHTTP\/1\.1 400/, 'a header line without a colon');
like(answer("GET / HTTP/3.7\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
     qr/\AHTTP\/1\.1 \d\d\d/, 'a version from the future');
like(answer("GET / HTTP/1.1\nHost: localhost\nConnection: close\n\n"),
     qr/\AHTTP\/1\.1 (?:200|400)/, 'bare line feeds end a head too');
like(answer("GET /small.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\n"),
     qr/\AHTTP\/1\.1 (?:200|400)/, 'and so does a bare line feed as the empty line');
like(answer("\r\n\r\nGET /small.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
     qr/\AHTTP\/1\.1 200/, 'empty lines before a request are skipped');
like(answer("PUT /small.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: x\r\n\r\n"),
     qr/\AHTTP\/1\.1 4/, 'a length that is no number');
like(answer("BREW /small.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
     qr/\AHTTP\/1\.1 (?:405|501)/, 'an unknown method');
like(answer("OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
     qr/\AHTTP\/1\.1 200/, 'OPTIONS *');
like(answer("GET http://localhost/small.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
     qr/\AHTTP\/1\.1 200/, 'an absolute URI');

others_are_served('after all that');
done();
