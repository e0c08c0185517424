# Promise: a WebSocket tunnel through the reverse proxy is set up, carries data in both directions,
# small and large, stays while nothing is said, and ends when either side ends it.
use MPMX::Test;
use Digest::SHA qw(sha1_base64);
use IO::Socket::INET;
need_module('proxy', 'proxy_http');

my $backend = start_backend();
my @paths = ('/ws/echo');
push @paths, '/wstunnel/echo' if Apache::Test::config()->{modules}{'mod_proxy_wstunnel.c'};

for my $path (@paths) {
    my $c = handshake($path) or next;
    send_text($c, 'hello');
    is(read_text($c), 'hello', 'an echo');
    my $right = grep { send_text($c, "message $_"); (read_text($c) || '') eq "message $_" } 1 .. 100;
    is($right, 100, 'and 100 more');
    my $large = substr doc('large.bin'), 0, 300_000;
    send_text($c, $large);
    ok((read_text($c) || '') eq $large, '300 kB at once');
    ok($c->silent_for(2), 'silence is not answered');
    send_text($c, 'still there');
    is(read_text($c), 'still there', 'the tunnel outlives a pause');
    send_text($c, 'bye');
    ok($c->closed_within(seconds(5)), 'the backend ends it');

    $c = handshake($path) or next;
    my @more = map { handshake($path) } 1 .. 5;
    others_are_served('beside tunnels', 20);
    $_->close for $c, @more;
    my $calm = wait_until { my $busy = busy_workers(); defined $busy && $busy == 0 } 10;
    ok($calm, 'clients end theirs');
}
kill 'TERM', $backend;
waitpid $backend, 0;
done();

sub handshake {
    my $path = shift;
    my $c = client('proxy');
    $c->send("GET $path HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    my $res = $c->response;
    is($res->{status}, 101, "$path: switched") or return;
    is($res->{headers}{'sec-websocket-accept'}, 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'by the backend');
    return $c;
}

# one masked text frame with a 64-bit length (RFC 6455, 5.2); a zero mask leaves the text readable
sub send_text {
    my ($c, $text) = @_;
    return $c->send("\x81\xff" . pack('NN', 0, length $text) . "\0\0\0\0" . $text);
}

sub read_text {
    my $c = shift;
    my $head = $c->bytes(10) or return undef;
    return $c->bytes(unpack 'x6 N', $head);
}

# Echoes frames; closes at "bye".
sub start_backend {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => port('wsbackend'),
                                       Listen => 20, ReuseAddr => 1) or die "backend: $!\n";
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    return $pid if $pid;
    $SIG{TERM} = sub { POSIX::_exit(0) };
    $SIG{CHLD} = 'IGNORE';
    while (my $s = $listen->accept) {
        next if fork;
        $s->autoflush(1);
        my $key;
        while (my $line = <$s>) {
            $key = $1 if $line =~ /^Sec-WebSocket-Key: *(\S+)/i;
            last if $line =~ /^\r?\n/;
        }
        print {$s} "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            . 'Sec-WebSocket-Accept: ' . sha1_base64($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . "=\r\n\r\n";
        my ($head, $text);
        while (read $s, $head, 14) {
            my $n = unpack 'x6 N', $head;
            read $s, $text, $n;
            last if $text eq 'bye';
            print {$s} "\x81\x7f" . pack('NN', 0, $n) . $text;
        }
        POSIX::_exit(0);
    }
    POSIX::_exit(0);
}
