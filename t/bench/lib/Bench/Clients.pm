package Bench::Clients;
# Connections of our own to the servers: single requests, thousands of idle ones, slow ones.
# Sockets here block, with a time limit on each operation.
use strict;
use warnings;
use IO::Handle ();
use POSIX ();
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(sleep time);

# A server that closes first must not end us.
$SIG{PIPE} = 'IGNORE';

my $head = "GET / HTTP/1.1\r\nHost: localhost\r\n";

# A new connection, or undef. `seconds` is the limit for this and for every later operation.
sub connection {
    my ($port, $seconds) = @_;
    socket(my $fh, PF_INET, SOCK_STREAM, 0) or return;
    my $limit = pack 'l!l!', int $seconds, ($seconds - int $seconds) * 1e6;
    setsockopt($fh, SOL_SOCKET, $_, $limit) for SO_RCVTIMEO, SO_SNDTIMEO;
    setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1);
    return connect($fh, sockaddr_in($port, INADDR_LOOPBACK)) ? $fh : undef;
}

# One request on it. True for a complete answer with status 200.
sub ask {
    my ($fh, %o) = @_;
    my $request = $head . ($o{close} ? "Connection: close\r\n\r\n" : "\r\n");
    return 0 unless (syswrite($fh, $request) || 0) == length $request;
    my $got = '';
    while (1) {
        return 0 unless sysread($fh, $got, 65_536, length $got);
        my $end = index($got, "\r\n\r\n");
        next if $end < 0;
        my ($length) = substr($got, 0, $end) =~ /\ncontent-length:\s*(\d+)/i;
        return 0 unless defined $length && $got =~ m{^HTTP/1\.1 200 };
        return 1 if length($got) - $end - 4 >= $length;
    }
}

# One request on a connection of its own.
sub once {
    my ($port, $seconds) = @_;
    my $fh = connection($port, $seconds) or return 0;
    return ask($fh, close => 1);
}

# As many keep-alive connections as could be made, each of which has had one answer.
sub kept {
    my ($port, $n) = @_;
    my @open;
    for (1 .. $n) {
        my $fh = connection($port, 10);
        last unless $fh && ask($fh);
        push @open, $fh;
    }
    return \@open;
}

# How many of them still get an answer.
sub still_served {
    my ($open) = @_;
    return scalar grep { ask($_) } @$open;
}

# ---- slow ones

# A process with n clients that each send the beginning of a request head and then one byte per
# second. Returns { pid =>, count => how many could connect } once all have begun.
sub drip {
    my ($port, $n) = @_;
    pipe(my $from, my $to) or die "pipe: $!\n";
    my $parent = $$;
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    if (!$pid) {
        close $from;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { _drip($port, $n, $to, $parent) };
        POSIX::_exit(0);
    }
    close $to;
    my $count = <$from>;
    return { pid => $pid, count => defined $count ? $count + 0 : 0 };
}

sub _drip {
    my ($port, $n, $to, $parent) = @_;
    my @open;
    for (1 .. $n) {
        # A full queue of connections that nobody accepts shows as time that passes.
        my $fh = connection($port, 2) or last;
        last unless syswrite($fh, "${head}X-Slow: ");
        $fh->blocking(0);
        push @open, $fh;
    }
    print $to scalar(@open) . "\n";
    close $to;
    my $end = time + 120;
    while (getppid == $parent && time < $end) {
        syswrite($_, 'x') for @open;
        sleep 1;
    }
    return;
}

sub end_drip {
    my ($drip) = @_;
    kill 'KILL', $drip->{pid};
    waitpid($drip->{pid}, 0);
    return;
}

1;
