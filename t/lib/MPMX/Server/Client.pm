package MPMX::Server::Client;
# One HTTP connection, driven by hand: what was sent and when the other side
# answered, closed or reset is visible, and every wait has a deadline.
use strict;
use warnings;
use Errno qw(EAGAIN EWOULDBLOCK EINTR EINPROGRESS);
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

# new(host => , port => , timeout => seconds for each later wait)
# Always returns an object; {error} tells why it is not connected.
sub new {
    my ($class, %o) = @_;
    my $self = bless { host => '127.0.0.1', timeout => 10, buf => '', error => '', %o }, $class;
    socket(my $fh, PF_INET, SOCK_STREAM, getprotobyname('tcp') || 6) or die "socket: $!\n";
    $fh->blocking(0);
    $self->{fh} = $fh;
    my $ok = connect($fh, sockaddr_in($self->{port}, inet_aton($self->{host})));
    if (!$ok && $!{EINPROGRESS}) {
        if (!$self->_wait(1, time + $self->{timeout})) { return $self->_failed('connect: timeout') }
        my $err = unpack('i', getsockopt($fh, SOL_SOCKET, SO_ERROR));
        local $! = $err;
        return $self->_failed("connect: $!") if $err;
    }
    elsif (!$ok) {
        return $self->_failed("connect: $!");
    }
    setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1);
    return $self;
}

sub _failed {
    my ($self, $why) = @_;
    $self->{error} ||= $why;
    return $self;
}

sub _wait {
    my ($self, $write, $until) = @_;
    my $vec = '';
    vec($vec, fileno($self->{fh}), 1) = 1;
    while (1) {
        my $left = $until - time;
        $left = 0 if $left < 0;
        my $n = $write ? select(undef, my $w = $vec, undef, $left)
                       : select(my $r = $vec, undef, undef, $left);
        return 1 if $n > 0;
        return 0 if $n == 0 || !$!{EINTR};
    }
}

sub fh { return $_[0]{fh} }
sub local_port { return (sockaddr_in(getsockname($_[0]{fh})))[0] }

sub close {
    my ($self) = @_;
    CORE::close($self->{fh}) if $self->{fh};
    delete $self->{fh};
    return;
}

# An abortive close: the peer sees a reset.
sub reset {
    my ($self) = @_;
    setsockopt($self->{fh}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    return $self->close;
}

# Sends bytes as they are; false on failure or when the deadline passes.
sub send {
    my ($self, $bytes) = @_;
    return 0 if $self->{error} || !$self->{fh};
    local $SIG{PIPE} = 'IGNORE';
    my $until = time + $self->{timeout};
    while (length $bytes) {
        my $n = syswrite($self->{fh}, $bytes);
        if (defined $n) { substr($bytes, 0, $n) = ''; next }
        next if $!{EINTR};
        if (!$!{EAGAIN} && !$!{EWOULDBLOCK}) { $self->_failed($!{ECONNRESET} || $!{EPIPE} ? 'reset' : "send: $!"); return 0 }
        if (!$self->_wait(1, $until)) { $self->_failed('timeout'); return 0 }
    }
    return 1;
}

# Reads once into the buffer: 1 got bytes, 0 end of file, undef failure.
sub _fill {
    my ($self, $until) = @_;
    return undef if !$self->{fh};
    while (1) {
        my $n = sysread($self->{fh}, $self->{buf}, 65536, length $self->{buf});
        if (defined $n) { $self->_failed('eof') if !$n; return $n ? 1 : 0 }
        next if $!{EINTR};
        if (!$!{EAGAIN} && !$!{EWOULDBLOCK}) { $self->_failed($!{ECONNRESET} ? 'reset' : "recv: $!"); return undef }
        if (!$self->_wait(0, $until)) { $self->_failed('timeout'); return undef }
    }
}

# Sends a request. Options: method, headers => {}, close => 1, body.
sub send_request {
    my ($self, $path, %o) = @_;
    my %h = (Host => 'localhost', %{ $o{headers} || {} });
    $h{Connection} = 'close' if $o{close};
    $h{'Content-Length'} = length $o{body} if defined $o{body};
    my $head = join '', ($o{method} || 'GET') . " $path HTTP/1.1\r\n",
        (map { "$_: $h{$_}\r\n" } sort keys %h), "\r\n";
    return $self->send($head . (defined $o{body} ? $o{body} : ''));
}

# A timeout ends one wait only; the connection may be waited for again.
sub _again {
    my ($self) = @_;
    $self->{error} = '' if $self->{error} eq 'timeout';
    return;
}

# Waits for the head of the next response. Returns { status, headers } with
# lower-case names, or undef with {error} set to timeout, eof, reset ...
sub response_head {
    my ($self, $secs) = @_;
    my $until = time + (defined $secs ? $secs : $self->{timeout});
    $self->_again;
    until ($self->{buf} =~ /\r\n\r\n/) {
        $self->_fill($until) or return undef;
    }
    $self->{buf} =~ s/^(.*?)\r\n\r\n//s;
    my ($first, @lines) = split /\r\n/, $1;
    my ($status) = $first =~ m{^HTTP/1\.\d (\d{3})} or do { $self->_failed("not HTTP: $first"); return undef };
    my %h;
    for (@lines) {
        my ($name, $value) = split /:\s*/, $_, 2;
        $h{ lc $name } = $value;
    }
    return { status => $status, headers => \%h };
}

sub _need {
    my ($self, $n, $until) = @_;
    while (length $self->{buf} < $n) { $self->_fill($until) or return 0 }
    return 1;
}

# The whole next response: { status, headers, body, closing }; on failure
# { status => 0, error => ... , body => what came }.
sub response {
    my ($self, $secs) = @_;
    my $until = time + (defined $secs ? $secs : $self->{timeout});
    my $res = $self->{error} && $self->{error} ne 'timeout' ? undef : $self->response_head($secs);
    return { status => 0, headers => {}, body => $self->{buf}, error => $self->{error} } if !$res;
    return $self->body($res, $until - time);
}

# Completes what response_head returned.
sub body {
    my ($self, $res, $secs) = @_;
    my $until = time + (defined $secs ? $secs : $self->{timeout});
    my $h = $res->{headers};
    $self->_again;
    $res->{body} = '';
    $res->{closing} = ($h->{connection} || '') =~ /close/i ? 1 : 0;
    if (($h->{'transfer-encoding'} || '') =~ /chunked/i) { $self->_chunks($res, $until) }
    elsif (defined $h->{'content-length'}) {
        $self->_need($h->{'content-length'}, $until) or $res->{error} = $self->{error};
        $res->{body} = substr($self->{buf}, 0, $h->{'content-length'}, '');
    }
    elsif ($res->{status} != 304 && $res->{status} != 204) {
        1 while $self->_fill($until);
        if ($self->{error} eq 'eof') { $self->{error} = '' } else { $res->{error} = $self->{error} }
        $res->{body} = $self->{buf};
        $self->{buf} = '';
    }
    if ($res->{error}) { $res->{seen_status} = $res->{status}; $res->{status} = 0 }
    return $res;
}

sub _chunks {
    my ($self, $res, $until) = @_;
    while (1) {
        my $n;
        while (!defined $n) {
            if ($self->{buf} =~ s/^([0-9a-fA-F]+)[^\r\n]*\r\n//) { $n = hex $1; last }
            if (!$self->_fill($until)) { $res->{error} = $self->{error}; return }
        }
        if (!$self->_need($n + 2, $until)) { $res->{error} = $self->{error}; return }
        $res->{body} .= substr($self->{buf}, 0, $n, '');
        substr($self->{buf}, 0, 2) = '';
        return if !$n;
    }
}

# A request and its response.
sub request {
    my ($self, $path, %o) = @_;
    $self->send_request($path, %o);
    return $self->response($o{timeout});
}

# Reads from many connections at once, into their buffers, until all have
# been closed by the server or the time is over.
sub read_all {
    my ($class, $secs, @clients) = @_;
    my $until = time + $secs;
    my %open = map { fileno($_->{fh}) => $_ } grep { $_->{fh} && !$_->{error} } @clients;
    while (%open && time < $until) {
        my $vec = '';
        vec($vec, $_, 1) = 1 for keys %open;
        select(my $ready = $vec, undef, undef, 0.5) > 0 or next;
        for my $fd (grep { vec($ready, $_, 1) } keys %open) {
            delete $open{$fd} if !$open{$fd}->_fill(0) && $open{$fd}{error} ne 'timeout';
        }
    }
    return;
}

# True while neither an end of file nor a reset has arrived. Does not wait.
sub still_open {
    my ($self) = @_;
    return 0 if $self->{error} || !$self->{fh};
    $self->_again;
    $self->_fill(0);
    $self->_again;
    return $self->{error} ? 0 : 1;
}

# Waits for the other side to close; 1 if it did (an end of file, not a reset).
sub closed_within {
    my ($self, $secs) = @_;
    my $until = time + $secs;
    $self->_again;
    1 while $self->_fill($until);
    return $self->{error} eq 'eof' ? 1 : 0;
}

1;
