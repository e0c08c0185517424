# Promise: a client cannot make the server renegotiate TLS, and trying does not hurt others.
use MPMX::Test;
use IPC::Open2 qw(open2);
need_tls();
need_tool('openssl');

my @command = ('openssl', 's_client', '-connect', '127.0.0.1:' . port('tls'), '-servername', 'localhost', '-tls1_2');
my $pid = open2(my $from, my $to, 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command);
my $text = '';

# Reads what the client says until it has said that, or ends.
sub until_said {
    my ($what, $secs) = @_;
    my $until = time + seconds($secs);
    while ($text !~ $what && time < $until) {
        vec(my $set = '', fileno $from, 1) = 1;
        select($set, undef, undef, 0.2) > 0 or next;
        sysread($from, $text, 65_536, length $text) or return;
    }
    return;
}

until_said(qr/^---\n.*Verify return code.*^---\n/ms, 20);
sleep 0.2;                          # the end of its greeting
syswrite $to, "R\n";                # s_client: start a renegotiation
until_said(qr/RENEGOTIATING.*(?:no renegotiation|error|closed|alert)/is, 10);
syswrite $to, "Q\n";
close $to;
until_said(qr/\A(?!)/, 10);         # to its end
waitpid $pid, 0;
like($text, qr/RENEGOTIATING/, 'the client tried');
like($text, qr/no renegotiation|error|closed|alert/i, 'and was refused');
unlike($text, qr/RENEGOTIATING.*verify return:1/s, 'there was no second handshake');

is(get('/small.bin', port => 'tls', tls => {})->{status}, 200, 'others are served');
done();
