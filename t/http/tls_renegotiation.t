# Promise: a client cannot make the server renegotiate TLS, and trying does not hurt others.
use MPMX::Test;
need_tls();
need_tool('openssl');

my @command = ('openssl', 's_client', '-connect', '127.0.0.1:' . port('tls'), '-servername', 'localhost', '-tls1_2');
my $pid = open my $from, '-|';
die "fork: $!\n" unless defined $pid;
if (!$pid) {
    open STDERR, '>&', \*STDOUT;
    open my $to, '|-', @command or POSIX::_exit(1);
    $to->autoflush(1);
    sleep 0.7;
    print {$to} "R\n";              # s_client: start a renegotiation
    sleep 1.5;
    print {$to} "Q\n";
    close $to;
    POSIX::_exit(0);
}
my $text = do { local $/; <$from> };
close $from;
like($text, qr/RENEGOTIATING/, 'the client tried');
like($text, qr/no renegotiation|error|closed|alert/i, 'and was refused');
unlike($text, qr/RENEGOTIATING.*verify return:1/s, 'there was no second handshake');

is(get('/small.bin', port => 'tls', tls => {})->{status}, 200, 'others are served');
done();
