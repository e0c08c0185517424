package MPMX::WebSocket;
# A WebSocket client for a test, and the backend that echoes what it says
# (RFC 6455; messages with 64-bit lengths only, masks of zero).
#
#   my $pid = MPMX::WebSocket->backend($port);      ends with the test, or by TERM
#   my $ws = MPMX::WebSocket->new($client, '/ws/x') or ...;     an open MPMX::Client
#   $ws->say('hello') ... $ws->hear
use strict;
use warnings;
use Digest::SHA qw(sha1_base64);
use IO::Select;
use IO::Socket::INET;
use POSIX ();

use constant GUID => '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

sub new {
    my ($class, $client, $path) = @_;
    $client->send("GET $path HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    my $head = $client->response_head;
    return undef unless $head && $head->{status} == 101;
    return bless { client => $client }, $class;
}

sub message { return "\x81\xff" . pack('NN', 0, length $_[0]) . "\0\0\0\0" . $_[0] }

sub say {
    my ($self, $text) = @_;
    return $self->{client}->send(message($text));
}

# The next message, or undef.
sub hear {
    my ($self, $secs) = @_;
    my $head = $self->{client}->bytes(10, $secs);
    return defined $head ? $self->{client}->bytes(unpack('x6 N', $head), $secs) : undef;
}

sub backend {
    my ($class, $port) = @_;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 20, ReuseAddr => 1)
        or die "port $port: $!\n";
    my $parent = $$;
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    return $pid if $pid;
    $SIG{TERM} = $SIG{INT} = $SIG{HUP} = 'DEFAULT';
    $SIG{PIPE} = 'IGNORE';
    _echo($listen, $parent);
    POSIX::_exit(0);
}

sub _echo {
    my ($listen, $parent) = @_;
    my $all = IO::Select->new($listen);
    my %got;
    while (getppid() == $parent) {
        for my $s ($all->can_read(1)) {
            if ($s == $listen) {
                $all->add($listen->accept || next);
            }
            elsif (!sysread $s, $got{$s}, 65536, length($got{$s} || '')) {
                delete $got{$s};
                $all->remove($s);
                close $s;
            }
            else {
                _answer($s, \$got{$s});
            }
        }
    }
    return;
}

sub _answer {
    my ($s, $got) = @_;
    if ($$got =~ s/\AGET .*?\r\n\r\n//s) {
        my ($key) = $& =~ /^Sec-WebSocket-Key: *(\S+)/im;
        syswrite $s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            . 'Sec-WebSocket-Accept: ' . sha1_base64($key . GUID) . "=\r\n\r\n";
    }
    while ($$got =~ /\A\x81/ && length $$got >= 14) {
        my $n = unpack 'x6 N', $$got;
        last if length $$got < 14 + $n;
        my $text = substr $$got, 14, $n;
        substr($$got, 0, 14 + $n) = '';
        syswrite $s, "\x81\x7f" . pack('NN', 0, $n) . $text;
    }
    return;
}

1;
