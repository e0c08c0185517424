package Bench::Steady;
# A load at a fixed rate: requests are due at equal distances, whatever became of those before, and
# the time of each counts from when it was due. A server that stands still for a moment thus has to
# answer for everything that should have happened meanwhile. Clients that wait for one answer before
# they ask again, as most load generators do, also at a given rate, would have asked less.
#
# Some keep-alive connections share the work; a request takes the one that has been idle longest, and
# waits where none is idle. It runs in a process of its own.
#
#   my $r = Bench::Steady::run(port =>, clients =>, rate => per second, seconds =>);
#   $r->{due} requests, of which $r->{failed} got no right answer; $r->{times}, of the others, in
#   milliseconds, ascending
use strict;
use warnings;
use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Handle ();
use POSIX ();
use Time::HiRes qw(time);
use Bench::Clients;

my $request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
# After the last request was due, answers are waited for that long, in seconds.
my $patience = 5;

sub run {
    my (%o) = @_;
    pipe(my $from, my $to) or die "pipe: $!\n";
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    if (!$pid) {
        close $from;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        my $said = eval { _load(\%o) } || "error: $@";
        print $to $said;
        close $to;
        POSIX::_exit(0);
    }
    close $to;
    my $said = do { local $/; <$from> };
    waitpid($pid, 0);
    my ($due, $failed, @times) = split ' ', defined $said ? $said : '';
    die "no steady load: $said\n" unless defined $failed && $due =~ /^\d+$/;
    return { due => $due, failed => $failed, times => [ sort { $a <=> $b } @times ] };
}

sub _load {
    my ($o) = @_;
    my $self = { port => $o->{port}, idle => [], busy => {}, readable => '', times => [], failed => 0 };
    push @{ $self->{idle} }, _connected($self) for 1 .. $o->{clients};
    my $n = int($o->{rate} * $o->{seconds}) || 1;
    my ($sent, $start) = (0, time);
    my $end = $start + $n / $o->{rate} + $patience;
    while ($sent < $n || %{ $self->{busy} }) {
        my $now = time;
        last if $now > $end;
        while ($sent < $n && @{ $self->{idle} }) {
            my $due = $start + $sent / $o->{rate};
            last if $due > $now;
            _send($self, shift @{ $self->{idle} }, $due);
            $sent++;
        }
        # With nobody idle, only an answer can make a difference.
        my $pause = $sent < $n && @{ $self->{idle} } ? $start + $sent / $o->{rate} - time : $end - $now;
        my $ready = $self->{readable};
        next unless select($ready, undef, undef, $pause > 0 ? $pause : 0) > 0;
        for my $c (values %{ $self->{busy} }) {
            _read($self, $c) if vec($ready, fileno $c->{fh}, 1);
        }
    }
    # Those that nobody could send are failures like those that nobody answered.
    my $failed = $n - @{ $self->{times} };
    return join ' ', $n, $failed, map { sprintf '%.3f', $_ * 1000 } @{ $self->{times} };
}

sub _connected {
    my ($self) = @_;
    my $fh = Bench::Clients::connection($self->{port}, 5) or die "cannot connect: $!\n";
    $fh->blocking(0);
    return { fh => $fh, in => '' };
}

sub _send {
    my ($self, $c, $due) = @_;
    @$c{qw(due in)} = ($due, '');
    $self->{busy}{ fileno $c->{fh} } = $c;
    vec($self->{readable}, fileno $c->{fh}, 1) = 1;
    # So short a request always fits into the socket's buffer; if the server has gone, reading tells.
    syswrite($c->{fh}, $request);
    return;
}

sub _read {
    my ($self, $c) = @_;
    my $n = sysread($c->{fh}, $c->{in}, 65_536, length $c->{in});
    return if !defined $n && ($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR});
    return _over($self, $c, 0) unless $n;
    my $end = index($c->{in}, "\r\n\r\n");
    return if $end < 0;
    my ($length) = substr($c->{in}, 0, $end) =~ /\ncontent-length:\s*(\d+)/i;
    return _over($self, $c, 0) unless defined $length && $c->{in} =~ m{^HTTP/1\.1 200 };
    _over($self, $c, 1) if length($c->{in}) - $end - 4 >= $length;
    return;
}

# Its request is answered, or never will be.
sub _over {
    my ($self, $c, $well) = @_;
    vec($self->{readable}, fileno $c->{fh}, 1) = 0;
    delete $self->{busy}{ fileno $c->{fh} };
    push @{ $self->{times} }, time - $c->{due} if $well;
    push @{ $self->{idle} }, $well ? $c : _connected($self);
    return;
}

1;
