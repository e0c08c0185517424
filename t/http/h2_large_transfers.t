# Promise: large bodies pass through HTTP/2 whole in both directions, also several streams at once
# and to a client that reads slowly.
use MPMX::Test;
use MPMX::H2;
need_module('http2');
need_tool('curl');

my @curl = ('curl', '-sS', '--noproxy', '*', '-k', '--max-time', seconds(40));
my @bases = ([['--http2-prior-knowledge'], 'http://127.0.0.1:' . port('h2c')]);
push @bases, [['--http2'], 'https://127.0.0.1:' . port('h2')]
    if Apache::Test::vars('have_tls') && Apache::Test::config()->{modules}{'mod_ssl.c'};
for my $b (@bases) {
    my ($option, $base) = @$b;
    my ($rc, $text) = run_tool(50, @curl, @$option, "$base/huge.bin");
    ok($text eq doc('huge.bin'), "$base: 50 MB down") or diag("curl: $rc, ${\ length $text} bytes");
    ($rc, $text) = run_tool(50, @curl, @$option, '-T', docs_dir() . '/huge.bin', "$base/sink");
    is($text, 'length=50000000 sha1=' . sha1_hex(doc('huge.bin')) . "\n", '50 MB up');
}

my $h2 = MPMX::H2->new(client('h2c', timeout => seconds(30)), window => 65_536);
my @streams = map { $h2->get('/large.bin') } 1 .. 3;
my %body = map { $_ => '' } @streams;
my $open = @streams;
my $slowly = 20;
while ($open && (my $f = $h2->next_frame(seconds(20)))) {
    last if $f->{type} == MPMX::H2::RST_STREAM;
    next unless $f->{type} == MPMX::H2::DATA;
    $body{ $f->{stream} } .= $f->{payload};
    sleep 0.05 if $slowly-- > 0;
    if ($f->{flags} & MPMX::H2::END_STREAM) {
        --$open;
        next;
    }
    $h2->{client}->send(MPMX::H2::frame(MPMX::H2::WINDOW_UPDATE, 0, $_, pack 'N', length $f->{payload}))
        for $f->{stream};
}
is(scalar(grep { $body{$_} eq doc('large.bin') } @streams), 3, 'three streams with small windows, slow at first');
$h2->{client}->close;

done();
