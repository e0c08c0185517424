package MPMX::Client;

# MPMX::Server::Client with what the serving tests need beyond it: TLS, IPv6, a small receive
# buffer, responses to HEAD, interim (1xx) responses, and lines.

use strict;
use warnings;
use base 'MPMX::Server::Client';
use Socket qw(:DEFAULT :addrinfo IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

# new(port =>, host =>, timeout =>, rcvbuf => bytes, tls => { IO::Socket::SSL options })
# Always returns an object; {error} tells why it is not connected.
sub new {
    my ($class, %o) = @_;
    my $self = bless { host => '127.0.0.1', timeout => 20, buf => '', error => '', %o }, $class;
    my ($err, $address) = getaddrinfo($self->{host}, $self->{port},
        { flags => AI_NUMERICHOST, socktype => SOCK_STREAM, protocol => IPPROTO_TCP });
    return $self->_failed("address: $err") if $err;
    socket(my $fh, $address->{family}, SOCK_STREAM, IPPROTO_TCP) or die "socket: $!\n";
    # before connect(), because the window scale is agreed upon there
    setsockopt($fh, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf}) if $o{rcvbuf};
    $fh->blocking(0);
    $self->{fh} = $fh;
    if (!connect($fh, $address->{addr})) {
        return $self->_failed("connect: $!") unless $!{EINPROGRESS};
        $self->_wait(1, time + $self->{timeout}) or return $self->_failed('connect: timeout');
        $! = unpack 'i', getsockopt($fh, SOL_SOCKET, SO_ERROR);
        return $self->_failed("connect: $!") if $!;
    }
    setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1);
    $self->start_tls(%{ $o{tls} }) if $o{tls};
    return $self;
}

# Makes the TLS handshake on the open connection; false (and {error}) if it fails.
sub start_tls {
    my ($self, %o) = @_;
    require IO::Socket::SSL;
    local $SIG{PIPE} = 'IGNORE';
    $self->{fh}->blocking(1);
    my $tls = IO::Socket::SSL->start_SSL($self->{fh}, SSL_verify_mode => 0,
        SSL_hostname => 'localhost', Timeout => $self->{timeout}, %o);
    if (!$tls) {
        no warnings 'once';
        $self->_failed("tls: $IO::Socket::SSL::SSL_ERROR");
        return 0;
    }
    $self->{fh} = $tls;
    $tls->blocking(0);
    return 1;
}

# No more bytes from here; the other direction stays open.
sub shutdown_write { return shutdown $_[0]{fh}, 1 }

# The next line without its line end, or undef.
sub line {
    my ($self, $secs) = @_;
    my $until = time + (defined $secs ? $secs : $self->{timeout});
    $self->_again;
    while (1) {
        return $1 if $self->{buf} =~ s/\A(.*?)\r?\n//;
        $self->_fill($until) or return undef;
    }
}

# Exactly n bytes, or undef.
sub bytes {
    my ($self, $n, $secs) = @_;
    $self->_again;
    $self->_need($n, time + (defined $secs ? $secs : $self->{timeout})) or return undef;
    return substr $self->{buf}, 0, $n, '';
}

# All that comes until the other side closes; {error} is 'eof' if it did.
sub rest {
    my ($self, $secs) = @_;
    my $until = time + (defined $secs ? $secs : $self->{timeout});
    $self->_again;
    1 while $self->_fill($until);
    my $all = $self->{buf};
    $self->{buf} = '';
    return $all;
}

# True if nothing at all comes within that time.
sub silent_for {
    my ($self, $secs) = @_;
    $self->_again;
    return 0 if length $self->{buf} || $self->{error};
    $self->_fill(time + $secs);
    my $silent = $self->{error} eq 'timeout';
    $self->_again;
    return $silent;
}

# As the parent's, but steps over 1xx responses (their status codes are in {interim}).
# method => 'HEAD': there is no body; timeout => seconds.
sub response {
    my ($self, %o) = @_;
    my $until = time + (defined $o{timeout} ? $o{timeout} : $self->{timeout});
    my @interim;
    while (1) {
        my $res = $self->response_head($until - time)
            or return { status => 0, headers => {}, body => '', error => $self->{error} };
        if ($res->{status} < 200 && $res->{status} != 101) {
            push @interim, $res->{status};
            next;
        }
        $res->{interim} = \@interim;
        $self->_body($res, $until) unless ($o{method} || '') eq 'HEAD' || $res->{status} =~ /101|204|304/;
        return $res;
    }
}

sub _body {
    my ($self, $res, $until) = @_;
    my $h = $res->{headers};
    $res->{body} = '';
    $res->{closing} = ($h->{connection} || '') =~ /close/i ? 1 : 0;
    if (($h->{'transfer-encoding'} || '') =~ /chunked/i) {
        $self->_chunks($res, $until);
    }
    elsif (defined $h->{'content-length'}) {
        $self->_need($h->{'content-length'}, $until) or $res->{error} = $self->{error};
        $res->{body} = substr $self->{buf}, 0, $h->{'content-length'}, '';
    }
    else {
        $res->{body} = $self->rest($until - time);
        $res->{error} = $self->{error} unless $self->{error} eq 'eof';
    }
    $res->{status} = 0 if $res->{error};
    return;
}

sub request {
    my ($self, $path, %o) = @_;
    if (!$self->send_request($path, %o)) {
        # an early answer may explain the failure
        my $why = $self->{error};
        my $res = $self->response(timeout => 1);
        return $res->{status} ? $res : { %$res, error => $why };
    }
    return $self->response(%o);
}

1;
