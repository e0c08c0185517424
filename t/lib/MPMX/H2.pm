package MPMX::H2;

# A small HTTP/2 client over cleartext with prior knowledge (RFC 9113, 3.3): enough to hold idle
# connections and to see each frame, which the command-line clients do not allow.

use strict;
use warnings;

use constant { DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6, GOAWAY => 7,
               WINDOW_UPDATE => 8 };
use constant { END_STREAM => 1, ACK => 1, END_HEADERS => 4 };

# Takes over an open MPMX::Client and sends the preface; window is what each stream may receive.
sub new {
    my ($class, $client, %o) = @_;
    my $window = $o{window} || 1 << 20;
    my $self = bless { client => $client, next => 1, window => $window }, $class;
    $client->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . frame(SETTINGS, 0, 0, pack 'nNnN', 2, 0, 4, $window)      # no push
        . frame(WINDOW_UPDATE, 0, 0, pack 'N', 1 << 30));
    return $self;
}

sub frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream) . $payload;
}

# A literal header field without indexing (RFC 7541, 6.2.2), no Huffman coding.
sub field {
    my ($name, $value) = @_;
    return join '', "\0", map { pack('C', length) . $_ } $name, $value;
}

# Sends GETs, all in one go; returns the streams' numbers.
sub get {
    my ($self, @paths) = @_;
    my ($text, @streams) = ('');
    for my $path (@paths) {
        push @streams, $self->{next};
        $self->{next} += 2;
        my $block = field(':method', 'GET') . field(':scheme', 'http') . field(':path', $path)
            . field(':authority', 'localhost');
        $text .= frame(HEADERS, END_STREAM | END_HEADERS, $streams[-1], $block);
    }
    $self->{client}->send($text);
    return wantarray ? @streams : $streams[0];
}

# The next frame as { type, flags, stream, payload }, or undef. Settings and pings are answered.
sub next_frame {
    my ($self, $secs) = @_;
    my $c = $self->{client};
    my $head = $c->bytes(9, $secs);
    return undef if !defined $head;
    my ($hi, $lo, $type, $flags, $stream) = unpack 'CnCCN', $head;
    my $payload = $c->bytes($hi << 16 | $lo, $secs);
    return undef if !defined $payload;
    $c->send(frame(SETTINGS, ACK, 0, '')) if $type == SETTINGS && !($flags & ACK);
    $c->send(frame(PING, ACK, 0, $payload)) if $type == PING && !($flags & ACK);
    return { type => $type, flags => $flags, stream => $stream, payload => $payload };
}

# Reads until that stream has ended: its body, or undef if it was reset or the connection ended.
sub body {
    my ($self, $stream, $secs) = @_;
    my $body = '';
    while (my $f = $self->next_frame($secs)) {
        next if $f->{stream} != $stream;
        return undef if $f->{type} == RST_STREAM;
        if ($f->{type} == DATA) {
            $body .= $f->{payload};
            $self->{client}->send(frame(WINDOW_UPDATE, 0, $stream, pack 'N', length $f->{payload}))
                if length $f->{payload} && !($f->{flags} & END_STREAM);
        }
        return $body if ($f->{type} == DATA || $f->{type} == HEADERS) && $f->{flags} & END_STREAM;
    }
    return undef;
}

# True if the server answers a ping.
sub ping {
    my ($self, $secs) = @_;
    $self->{client}->send(frame(PING, 0, 0, 'pingpong'));
    while (my $f = $self->next_frame($secs)) {
        return 1 if $f->{type} == PING && $f->{flags} & ACK && $f->{payload} eq 'pingpong';
    }
    return 0;
}

# Reads until the server has closed; true if it said goodbye (GOAWAY) before.
sub goodbye {
    my ($self, $secs) = @_;
    my $said = 0;
    while (my $f = $self->next_frame($secs)) {
        $said = 1 if $f->{type} == GOAWAY;
    }
    return $said && $self->{client}{error} eq 'eof';
}

1;
