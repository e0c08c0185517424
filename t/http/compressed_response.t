# Promise: mod_deflate's responses arrive whole, on lasting connections and pipelined.
use MPMX::Test;
need_module('deflate');
plan(skip_all => 'no Compress::Zlib') unless eval { require Compress::Zlib; 1 };

my $c = client();
my %gzip = ('Accept-Encoding' => 'gzip');
for my $name (qw(text.txt medium.bin large.bin)) {
    my $res = $c->request("/packed/$name", headers => \%gzip);
    is($res->{headers}{'content-encoding'}, 'gzip', "$name is compressed");
    ok(Compress::Zlib::memGunzip($res->{body}) eq doc($name), 'and whole');
}
my $get = "GET /packed/text.txt HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n";
$c->send($get x 20);
my $good = grep { Compress::Zlib::memGunzip($c->response->{body}) eq doc('text.txt') } 1 .. 20;
is($good, 20, '20 pipelined');
$c->close;

done();
