package MPMX::SlowTLS;

# A TLS client whose every byte the test sends itself, so that it can stop anywhere: in the handshake,
# in a record, in a head. TLS works in memory; {out} is what it wants to be sent.

use strict;
use warnings;
use IO::Socket::INET;
use Net::SSLeay ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

my %contexts;

sub _context {
    my $alpn = shift || '';
    return $contexts{$alpn} ||= do {
        Net::SSLeay::initialize();
        my $ctx = Net::SSLeay::CTX_new() or die "no TLS context\n";
        Net::SSLeay::CTX_set_alpn_protos($ctx, [$alpn]) if $alpn;
        $ctx;
    };
}

# new(port =>, alpn => protocol): connected, with a ClientHello in {out}. Dies unless connected.
sub new {
    my ($class, %o) = @_;
    my $fh = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$o{port}", Timeout => 20)
        or die "connect to port $o{port}: $!\n";
    setsockopt $fh, IPPROTO_TCP, TCP_NODELAY, 1;
    my $self = bless { fh => $fh, out => '', in => '', error => '' }, $class;
    $self->{ssl} = Net::SSLeay::new(_context($o{alpn}));
    @$self{qw(rbio wbio)} = map { Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem()) } 1, 2;
    Net::SSLeay::set_bio($self->{ssl}, $self->{rbio}, $self->{wbio});
    $self->handshake;
    return $self;
}

sub _collect {
    my $self = shift;
    my $more = Net::SSLeay::BIO_pending($self->{wbio}) or return;
    $self->{out} .= Net::SSLeay::BIO_read($self->{wbio}, $more);
    return;
}

# Goes on with the handshake as far as what was received reaches; true when it is over for this side.
sub handshake {
    my $self = shift;
    my $done = Net::SSLeay::connect($self->{ssl}) == 1;
    $self->_collect;
    return $done;
}

# Sends the next n bytes of {out}, or all of them.
sub flush {
    my ($self, $n) = @_;
    $n = length $self->{out} if !defined $n || $n > length $self->{out};
    return 1 if !$n;
    my $sent = syswrite $self->{fh}, $self->{out}, $n;
    return 0 if !$sent;
    substr $self->{out}, 0, $sent, '';
    return 1;
}

# Receives for so long at most; true if something came, else {error} is 'eof', 'reset' or 'timeout'.
sub receive {
    my ($self, $secs) = @_;
    my $set = '';
    vec($set, fileno $self->{fh}, 1) = 1;
    if (!select $set, undef, undef, $secs > 0 ? $secs : 0) {
        $self->{error} = 'timeout';
        return 0;
    }
    my $n = sysread $self->{fh}, my $data, 65_536;
    $self->{error} = $n ? '' : defined $n ? 'eof' : 'reset';
    Net::SSLeay::BIO_write($self->{rbio}, $data) if $n;
    return $n ? 1 : 0;
}

# The ClientHello is sent and the server's answer is taken: what this side says to it is in {out}.
sub greet {
    my ($self, $secs) = @_;
    my $until = time + $secs;
    $self->flush;
    until ($self->handshake) {
        $self->receive($until - time) or return 0;
    }
    return 1;
}

# Text for {out}, as one record.
sub put {
    my ($self, $text) = @_;
    Net::SSLeay::write($self->{ssl}, $text);
    $self->_collect;
    return;
}

# Waits for a response whose length is known; its status, or 0. The body is in {body}.
sub response {
    my ($self, $secs) = @_;
    my $until = time + $secs;
    while (1) {
        my $text = Net::SSLeay::read($self->{ssl});
        $self->{in} .= $text if defined $text;
        if ($self->{in} =~ /\A(.*?\r\n\r\n)/s) {
            my $head = $1;
            my ($len) = $head =~ /^Content-Length: (\d+)/mi;
            $len = 0 if !defined $len;
            if (length($self->{in}) >= length($head) + $len) {
                substr $self->{in}, 0, length $head, '';
                $self->{body} = substr $self->{in}, 0, $len, '';
                return $head =~ /\AHTTP\/1\.\d (\d+)/ ? $1 : 0;
            }
        }
        next if defined $text && length $text;
        $self->receive($until - time) or return 0;
    }
}

# True if the server closes, or has closed, within that time.
sub closed_within {
    my ($self, $secs) = @_;
    my $until = time + $secs;
    1 while $self->receive($until - time);
    return $self->{error} ne 'timeout';
}

sub DESTROY {
    my $self = shift;
    Net::SSLeay::free($self->{ssl}) if $self->{ssl};
    return;
}

1;
