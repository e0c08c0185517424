package MPMX::Storm;
# Clients that do one thing over and over, each in a process of its own, and tell
# exactly what went wrong. They keep their connections as long as the server lets
# them, and honour Connection: close and GOAWAY.
#
#   my $c = MPMX::Storm->start('uploads', sub { my ($client) = @_; ...; return 'what went wrong' },
#                              port => , tls => 1, patience => 30);
#   ...
#   my $said = $c->stop;        # { ok, told, again, failed => [texts] }
#
# The code does it once: it returns nothing if that went well. ok: how often it did;
# told: connections that the server asked to close; again: HTTP/2 requests that it
# refused with a GOAWAY before it looked at them.
use strict;
use warnings;
use Digest::SHA qw(sha1_hex);
use POSIX ();
use Time::HiRes qw(time sleep);
use MPMX::Client;
use MPMX::H2;

my $report_at_most = 20;        # failures; all are counted

# mod_http2 says that it stops (GOAWAY, 2^31-1), and to new requests that were on their way
# then GOAWAY with this "error", -902, which is libnghttp2's for a callback that says no. With
# that it ends the connection, drops what it has taken before and not begun to answer, and may not
# send the GOAWAY itself. Whatever the MPM.
my $refused = 2**32 - 902;

sub start {
    my ($class, $name, $code, %o) = @_;
    my $self = bless { name => $name, code => $code, patience => 30, ok => 0, told => 0, again => 0, %o }, $class;
    pipe(my $stopped, my $stop) or die "pipe: $!\n";
    pipe(my $said, my $say) or die "pipe: $!\n";
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    if (!$pid) {
        close $_ for $stop, $said;
        # Not exit: END blocks belong to the test.
        my $text = eval { $self->_run($stopped) };
        syswrite $say, defined $text ? $text : "died: $@";
        POSIX::_exit(defined $text ? 0 : 1);
    }
    close $_ for $stopped, $say;
    @$self{qw(pid stop_it said)} = ($pid, $stop, $said);
    return $self;
}

# Lets what has begun come to its end, and returns the results.
sub stop {
    my ($self) = @_;
    # Not just closed: those that were started later have a copy of it. It may have died.
    local $SIG{PIPE} = 'IGNORE';
    syswrite $self->{stop_it}, 'x';
    my $text = do { local $/; readline $self->{said} };
    close delete $self->{$_} for qw(said stop_it);
    waitpid(delete $self->{pid}, 0);
    $text = '' unless defined $text;
    die "$self->{name}: the client ended with $?: $text\n" if $text !~ /^ok=/;
    my ($first, @failed) = split /\n/, $text;
    my %n = $first =~ /(\w+)=(\d+)/g;
    return { %n, failed => \@failed };
}

sub DESTROY {
    my ($self) = @_;
    return unless $self->{pid} && $self->{said};
    local ($?, $!);
    kill 'KILL', $self->{pid};
    waitpid($self->{pid}, 0);
    return;
}

# ---- the forked process

sub _run {
    my ($self, $stopped) = @_;
    alarm 0;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM);
    $SIG{PIPE} = 'IGNORE';
    my $watch = '';
    vec($watch, fileno $stopped, 1) = 1;
    my (@failed, $failures);
    my $parent = getppid;
    until (select(my $end = $watch, undef, undef, 0) || getppid != $parent) {
        my $wrong = $self->{code}->($self);
        if (!defined $wrong || $wrong eq '') { $self->{ok}++; next }
        $failures++;
        $wrong =~ tr/\r\n/ /;
        push @failed, sprintf '%.3f %s: %.300s', time, $self->{name}, $wrong if @failed < $report_at_most;
        $self->drop;
        sleep 0.05;
    }
    $self->drop;
    push @failed, "$self->{name}: $failures failures in all" if ($failures || 0) > $report_at_most;
    return join '', map { "$_\n" } "ok=$self->{ok} told=$self->{told} again=$self->{again}", @failed;
}

sub drop {
    my ($self) = @_;
    $self->{connection}->close if $self->{connection};
    delete @$self{qw(connection h2)};
    return;
}

# The connection there is, or a new one: (connection, what went wrong).
sub connection {
    my ($self) = @_;
    return $self->{connection} if $self->{connection};
    my $c = MPMX::Client->new(port => $self->{port}, timeout => $self->{patience}, $self->{tls} ? (tls => $self->{tls}) : ());
    return (undef, "cannot connect: $c->{error}") if $c->{error};
    $self->{requests} = 0;
    return $self->{connection} = $c;
}

sub _about {
    my ($self, $what, $res) = @_;
    return sprintf '%s: status %s, %s, %d bytes of a body, request %d of its connection (port %d)', $what,
        $res->{status} || $res->{seen_status} || 0, $res->{error} || 'no error', length $res->{body},
        $self->{requests}, $self->{connection}->local_port;
}

sub _finish {
    my ($self, $what, $res, $right) = @_;
    return $self->_about($what, $res) if $res->{status} != 200;
    return $self->_about("$what: wrong body", $res) unless $right->($res->{body});
    if ($res->{closing}) { $self->{told}++; $self->drop }
    return;
}

# A page or a file.
sub download {
    my ($self, $path, $right) = @_;
    my ($c, $wrong) = $self->connection;
    return $wrong if !$c;
    $self->{requests}++;
    return $self->_finish($path, $c->request($path), $right);
}

# An upload in pieces that take their time, with its length or in chunks. The answer tells
# what has arrived.
sub upload {
    my ($self, $path, $chunked, $pause, @pieces) = @_;
    my ($c, $wrong) = $self->connection;
    return $wrong if !$c;
    $self->{requests}++;
    my $body = join '', @pieces;
    my $want = sprintf "read %d sha1 %s\n", length $body, sha1_hex($body);
    my $sent = $c->send("POST $path HTTP/1.1\r\nHost: localhost\r\n"
        . ($chunked ? 'Transfer-Encoding: chunked' : 'Content-Length: ' . length $body) . "\r\n\r\n");
    for my $piece (@pieces) {
        sleep $pause;
        $sent &&= $c->send($chunked ? sprintf("%x\r\n%s\r\n", length $piece, $piece) : $piece);
    }
    $sent &&= $c->send("0\r\n\r\n") if $chunked;
    return $self->_about("$path: sending: $c->{error}", { body => '' }) if !$sent;
    return $self->_finish($path, $c->response, sub { $_[0] eq $want });
}

# Several requests at once on an HTTP/2 connection: path => body that is right. What the
# server has not looked at before it said GOAWAY is asked for again (RFC 9113, 6.8), and what
# mod_http2 has dropped at its end. What it has begun to answer must become whole.
sub streams {
    my ($self, %want) = @_;
    my @todo = sort keys %want;
    for my $try (1 .. 20) {
        my ($c, $wrong) = $self->connection;
        return $wrong if !$c;
        if ($self->{h2} && !$c->silent_for(0)) {
            # It is no use to ask on a connection that is told to end.
            my $f = 1;
            1 while !$c->silent_for(0) && ($f = $self->{h2}->next_frame($self->{patience})) && $f->{type} != MPMX::H2::GOAWAY;
            return "HTTP/2: $c->{error} without a GOAWAY, between requests (port ${\ $c->local_port})" if !$f && $c->{error};
            if (ref $f && $f->{type} == MPMX::H2::GOAWAY) { $self->{told}++; $self->drop; redo }
        }
        my $h2 = $self->{h2} ||= MPMX::H2->new($c);
        $self->{requests} += @todo;
        my @streams = $h2->get(@todo);
        my %open = map { $streams[$_] => { path => $todo[$_], body => '' } } 0 .. $#todo;
        my ($last, $why) = (1 << 31, 0);
        while (grep { $_ <= $last } keys %open) {
            my $f = $h2->next_frame($self->{patience});
            last if !$f && $c->{error} eq 'eof' && $last < 1 << 31 && !grep { $_->{begun} } values %open;
            if (!$f) {
                return sprintf 'HTTP/2: %s with %s unanswered, request %d of its connection (port %d)%s',
                    $c->{error}, join(' ', map { $_->{path} . ' (' . length($_->{body}) . ' bytes)' } values %open),
                    $self->{requests}, $c->local_port, $last < 1 << 31 ? ", GOAWAY $last error $why" : '';
            }
            if ($f->{type} == MPMX::H2::GOAWAY) {
                my ($id, $error) = unpack 'NN', $f->{payload};
                return "HTTP/2: GOAWAY with error $error" if $error && $error != $refused;
                $last = $id if $id < $last;
                $why ||= $error;
                next;
            }
            my $s = $open{ $f->{stream} } or next;
            $s->{begun} = 1;
            return "HTTP/2: $s->{path}: reset, " . unpack('N', $f->{payload}) if $f->{type} == MPMX::H2::RST_STREAM;
            if ($f->{type} == MPMX::H2::DATA) {
                $s->{body} .= $f->{payload};
                # Of the connection, too: it is long enough for some gigabytes to come.
                my $room = pack 'N', length $f->{payload};
                $c->send(join '', map { MPMX::H2::frame(MPMX::H2::WINDOW_UPDATE, 0, $_, $room) } 0, $f->{stream})
                    if length $f->{payload};
            }
            next unless ($f->{type} == MPMX::H2::DATA || $f->{type} == MPMX::H2::HEADERS) && $f->{flags} & MPMX::H2::END_STREAM;
            delete $open{ $f->{stream} };
            return "HTTP/2: $s->{path}: wrong body of " . length($s->{body}) . ' bytes' if $s->{body} ne $want{ $s->{path} };
        }
        if ($last < 1 << 31) { $self->{told}++; $self->drop }
        @todo = map { $_->{path} } values %open or return;
        $self->{again} += @todo;
    }
    return "HTTP/2: refused again and again: @todo";
}

1;
