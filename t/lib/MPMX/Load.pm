package MPMX::Load;
# A bounded load on one server from a forked process: some clients, each with
# one request at a time, that keep their connection as long as the server
# lets them, and honour Connection: close.
#
#   my $load = MPMX::Load->start(port => , clients => 16, pause => 0.004);
#   ...
#   my $n = $load->stop;    # { ok, reset, eof, timeout, refused, bad, conns, told, slowest, idlest }
#
# ok       complete responses with status 200 and a body of the promised size
# reset    connections reset while an answer was due
# eof      closed while an answer was due, without a Connection: close before
# timeout  no complete answer within `patience` seconds
# refused  connections that could not be made
# bad      any other answer
# conns    connections made;  told: closed because the server asked for it
# slowest  the slowest answer in seconds
# idlest   the longest time between an answer and the next request on a connection: `pause` and
#          what the machine let this process wait
use strict;
use warnings;
use Errno qw(EAGAIN EWOULDBLOCK EINTR EINPROGRESS ECONNRESET EPIPE);
use POSIX ();
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

my @counters = qw(ok reset eof timeout refused bad conns told);

# Options: port, path ('/index.html'), clients (8), keepalive (1), pause (longest pause
# between two requests of a client, 0.004 s), secs (ends by itself then, 60),
# patience (10, more with sanitizers), requests (ends after so many in all; 0: no such limit), once (0; 1: a client
# whose connection the server has closed does not come back).
sub start {
    my ($class, %o) = @_;
    my $self = bless { path => '/index.html', clients => 8, keepalive => 1, pause => 0.004, secs => 60,
                       patience => $ENV{MPMX_PRELOAD} ? 30 : 10, requests => 0, once => 0, %o }, $class;
    pipe(my $r, my $w) or die "pipe: $!\n";
    # stop() may come before the new process can take it.
    my $term = POSIX::SigSet->new(POSIX::SIGTERM);
    POSIX::sigprocmask(POSIX::SIG_BLOCK, $term);
    my $pid = fork;
    POSIX::sigprocmask(POSIX::SIG_UNBLOCK, $term) if !defined $pid || $pid;
    die "fork: $!\n" unless defined $pid;
    if (!$pid) {
        close $r;
        # Not exit: END blocks belong to the test.
        my $ran = eval { $self->_run; 1 };
        syswrite($w, $ran ? join(' ', map { "$_=$self->{n}{$_}" } sort keys %{ $self->{n} }) : "died: $@");
        POSIX::_exit($ran ? 0 : 1);
    }
    close $w;
    @$self{qw(pid from)} = ($pid, $r);
    return $self;
}

# Lets the answers that are due come in, ends, and returns the counters.
sub stop {
    my ($self) = @_;
    kill 'TERM', $self->{pid};
    return $self->wait;
}

# Waits for a load with a limit (secs, requests) to end by itself.
sub wait {
    my ($self) = @_;
    my $fh = delete $self->{from};
    my $text = do { local $/; <$fh> };
    waitpid(delete $self->{pid}, 0);
    $text = '' unless defined $text;
    die "the load generator ended with $?: $text\n" if $text !~ /^bad=/;
    my %n = $text =~ /(\w+)=(\S+)/g;
    return \%n;
}

# For messages: "ok 1234, reset 1".
sub text {
    my ($class, $n) = @_;
    return join ', ', map { "$_ $n->{$_}" } grep { $n->{$_} || $_ eq 'ok' } @counters, 'slowest', 'idlest';
}

# The number of requests that did not get a right answer.
sub failures {
    my ($class, $n) = @_;
    my $sum = 0;
    $sum += $n->{$_} for qw(reset eof timeout refused bad);
    return $sum;
}

sub DESTROY {
    my ($self) = @_;
    return unless $self->{pid} && $self->{from};
    local ($?, $!);
    kill 'KILL', $self->{pid};
    waitpid($self->{pid}, 0);
    return;
}

# ---- the forked process

sub _run {
    my ($self) = @_;
    # Written by the handler only: it may run in the middle of an assignment.
    my $told = 0;
    alarm 0;
    $SIG{TERM} = sub { $told = 1 };
    POSIX::sigprocmask(POSIX::SIG_UNBLOCK, POSIX::SigSet->new(POSIX::SIGTERM));
    $SIG{INT} = $SIG{ALRM} = $SIG{HUP} = 'DEFAULT';
    $SIG{PIPE} = 'IGNORE';
    $self->{n} = { map { $_ => 0 } @counters, 'slowest', 'idlest' };
    $self->{head} = "GET $self->{path} HTTP/1.1\r\nHost: localhost\r\n"
        . ($self->{keepalive} ? '' : "Connection: close\r\n") . "\r\n";
    $self->{sent} = 0;
    my $parent = getppid;
    my $until = time + $self->{secs};
    my @all = map { { next => time } } 1 .. $self->{clients};
    while (1) {
        my $now = time;
        my $stop = $told || $now > $until || getppid != $parent
            || $self->{requests} && $self->{sent} >= $self->{requests};
        my ($r, $w, $wake) = ('', '', $now + 0.1);
        my $due = 0;
        for my $c (@all) {
            if ($c->{busy} && $now - $c->{busy} > $self->{patience}) { $self->_drop($c, 'timeout') }
            if (!$c->{busy} && !$stop && !$c->{over} && $c->{next} <= $now
                && !($self->{requests} && $self->{sent} >= $self->{requests})) { $self->_begin($c) }
            if ($c->{busy}) {
                $due++;
                vec($c->{out} eq '' ? $r : $w, fileno $c->{fh}, 1) = 1;
            }
            elsif (!$c->{over} && $c->{next} < $wake) { $wake = $c->{next} }
        }
        last if $stop && !$due;
        my $pause = $wake - time;
        my $n = select($r, $w, undef, $pause > 0 ? $pause : 0);
        next if $n <= 0;
        for my $c (@all) {
            next unless $c->{busy};
            my $fd = fileno $c->{fh};
            if (vec($w, $fd, 1))    { $self->_write($c) }
            elsif (vec($r, $fd, 1)) { $self->_read($c) }
        }
    }
    return;
}

sub _begin {
    my ($self, $c) = @_;
    if (!$c->{fh}) {
        socket(my $fh, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
        $fh->blocking(0);
        setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1);
        if (!connect($fh, sockaddr_in($self->{port}, INADDR_LOOPBACK)) && !$!{EINPROGRESS}) {
            $self->{n}{refused}++;
            $c->{next} = time + 0.05;
            return;
        }
        @$c{qw(fh fresh answered)} = ($fh, 1, 0);
    }
    @$c{qw(busy out in)} = (time, $self->{head}, '');
    my $idle = $c->{answered} ? $c->{busy} - $c->{answered} : 0;
    $self->{n}{idlest} = sprintf '%.4f', $idle if $idle > $self->{n}{idlest};
    $self->{sent}++;
    return;
}

sub _write {
    my ($self, $c) = @_;
    if ($c->{fresh}) {
        if (unpack 'i', getsockopt($c->{fh}, SOL_SOCKET, SO_ERROR)) {
            $self->_drop($c, 'refused');
            $c->{next} = time + 0.05;
            return;
        }
        $c->{fresh} = 0;
        $self->{n}{conns}++;
    }
    my $n = syswrite($c->{fh}, $c->{out});
    if (defined $n) { substr($c->{out}, 0, $n) = '' }
    elsif (!$!{EAGAIN} && !$!{EWOULDBLOCK} && !$!{EINTR}) { $self->_drop($c, 'reset') }
    return;
}

sub _read {
    my ($self, $c) = @_;
    my $n = sysread($c->{fh}, $c->{in}, 65536, length $c->{in});
    if (!defined $n) {
        $self->_drop($c, $!{ECONNRESET} || $!{EPIPE} ? 'reset' : 'eof') unless $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
        return;
    }
    my $eof = !$n;
    my $end = index($c->{in}, "\r\n\r\n");
    if ($end >= 0) {
        my $head = substr($c->{in}, 0, $end);
        my ($len) = $head =~ /\ncontent-length:\s*(\d+)/i;
        my $have = length($c->{in}) - $end - 4;
        my $whole = defined $len ? $have >= $len
                  : $head =~ /\ntransfer-encoding:\s*chunked/i ? $c->{in} =~ /\r\n0\r\n\r\n\z/ : $eof;
        return $self->_answered($c, $head, $eof) if $whole;
    }
    $self->_drop($c, 'eof') if $eof;
    return;
}

sub _answered {
    my ($self, $c, $head, $eof) = @_;
    my $took = time - $c->{busy};
    $self->{n}{slowest} = sprintf '%.4f', $took if $took > $self->{n}{slowest};
    $self->{n}{ $head =~ m{^HTTP/1\.\d 200 } ? 'ok' : 'bad' }++;
    my $told = $head =~ /\nconnection:[^\r\n]*\bclose/i;
    $self->{n}{told}++ if $told;
    if ($told || $eof || !$self->{keepalive}) { close delete $c->{fh}; $c->{over} = $self->{once} }
    @$c{qw(busy in answered)} = (0, '', time);
    $c->{next} = time + rand $self->{pause};
    return;
}

sub _drop {
    my ($self, $c, $why) = @_;
    $self->{n}{$why}++;
    close delete $c->{fh};
    $c->{over} = $self->{once};
    @$c{qw(busy out in)} = (0, '', '');
    $c->{next} = time + rand $self->{pause};
    return;
}

1;
