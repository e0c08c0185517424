package Bench::Server;
# One of the servers that are compared: where its files are, its start and stop, and what the system
# tells about its processes. What differs between httpd and nginx is in Bench::Httpd and Bench::Nginx:
#   _configuration($size)  the text of the configuration file
#   _command()             the command line that starts it as a daemon
#   reload_signal()        what makes the parent read its configuration again
# A size is { processes =>, threads => per process, workers => at most in all, grows => true if a
# server whose every connection takes a process shall begin with few }.
use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(sleep time);
use Bench::Clients;
use MPMX::Server::Ports;
use MPMX::Server::Proc;

my $tick = POSIX::sysconf(&POSIX::_SC_CLK_TCK) || 100;
my %live;                   # label => object: to be stopped whatever happens
my $owner = $$;

# Options: label, family (event, worker, prefork, winnt, nginx), program, work (a directory for all
# servers), reference (the label of the server that ratios are about, or none).
sub new {
    my ($class, %o) = @_;
    my $self = bless {%o}, $class;
    ($self->{dir} = "$o{work}/$o{label}") =~ tr/ /-/;
    mkdir $_ or die "$_: $!\n" for $self->{dir}, "$self->{dir}/run", "$self->{dir}/htdocs";
    $self->{pid_file} = "$self->{dir}/run/server.pid";
    $self->{error_log} = "$self->{dir}/error.log";
    write_file("$self->{dir}/htdocs/index.html", 'x' x 1000);
    return $self;
}

sub label     { return $_[0]{label} }
sub family    { return $_[0]{family} }
sub reference { return $_[0]{reference} }
sub port      { return $_[0]{port} }
sub pid       { return $_[0]{pid} }

# Does an idle connection keep a thread or a process of its own?
sub keeps_thread { return $_[0]{family} eq 'worker' || $_[0]{family} eq 'prefork' }

sub write_file {
    my ($file, $text) = @_;
    open(my $out, '>', $file) or die "$file: $!\n";
    print $out $text or die "$file: $!\n";
    close $out or die "$file: $!\n";
    return;
}

# ---- start and stop

sub start {
    my ($self, %size) = @_;
    @$self{qw(port port_mark)} = MPMX::Server::Ports::reserve();
    unlink $self->{pid_file};
    write_file("$self->{dir}/server.conf", $self->_configuration(\%size));
    $live{ $self->{label} } = $self;
    my $out = "$self->{dir}/start.out";
    my $status = run_quietly($out, $self->_command);
    die "$self->{label} did not start: " . $self->_said($out) if $status;
    my $end = time + 30;
    until (($self->{pid} = $self->_read_pid) && Bench::Clients::once($self->{port}, 5)) {
        die "$self->{label} does not answer: " . $self->_said($self->{error_log}) if time > $end;
        sleep 0.05;
    }
    return $self;
}

sub run_quietly {
    my ($out, @command) = @_;
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>', $out);
        open(STDERR, '>&', \*STDOUT);
        { no warnings 'exec'; exec { $command[0] } @command }
        POSIX::_exit(127);
    }
    waitpid($pid, 0);
    return $?;
}

sub _read_pid {
    my ($self) = @_;
    my $text = MPMX::Server::Proc::slurp($self->{pid_file});
    return defined $text && $text =~ /^(\d+)\s*\z/ ? $1 : 0;
}

# The end of a log, for a message.
sub _said {
    my ($self, $file) = @_;
    my $text = MPMX::Server::Proc::slurp($file);
    my @lines = split /\n/, defined $text ? $text : '';
    splice @lines, 0, @lines - 10 if @lines > 10;
    return join("\n", @lines, '');
}

# Ends it with all its processes; by force what is still there after 15 seconds.
sub stop {
    my ($self) = @_;
    return unless delete $live{ $self->{label} };
    my $pid = delete $self->{pid} || $self->_read_pid or return;
    # The number may be another program's by now; a server's command line names its files.
    return unless index(MPMX::Server::Proc::command_line($pid), $self->_mark) >= 0;
    my @all = ($pid, MPMX::Server::Proc::children($pid));
    kill 'TERM', $pid;
    my $end = time + 15;
    while (@all = grep { MPMX::Server::Proc::alive($_) } @all) {
        if (time > $end) { kill 'KILL', @all; last }
        sleep 0.02;
    }
    return;
}

# What the command line of its parent process contains.
sub _mark { return "$_[0]{dir}/" }

END {
    if ($$ == $owner) {
        # The exit status to be; stopping servers must not change it.
        local $?;
        $_->stop for values %live;
    }
}

# ---- what it is asked to do

sub reload {
    my ($self) = @_;
    return kill $self->reload_signal, $self->{pid};
}

# ---- what it costs

# Serving processes, oldest first. The kernel keeps a list; without it all processes are looked at.
sub children {
    my ($self) = @_;
    my $list = MPMX::Server::Proc::slurp("/proc/$self->{pid}/task/$self->{pid}/children");
    return MPMX::Server::Proc::children($self->{pid}) unless defined $list;
    return grep { MPMX::Server::Proc::alive($_) } split ' ', $list;
}

# Memory of the children in KB. Proportional: a page that n processes share counts 1/n for each, so
# that the sum over processes is what the machine has to give.
sub memory {
    my ($self) = @_;
    my $sum = 0;
    for my $pid ($self->children) {
        my $text = MPMX::Server::Proc::slurp("/proc/$pid/smaps_rollup");
        die "no proportional set size of process $pid: /proc/$pid/smaps_rollup (Linux 4.14)\n"
            unless defined $text && $text =~ /^Pss:\s+(\d+) kB/m;
        $sum += $1;
    }
    return $sum;
}

# What the processes have used up to now; two of them are compared by used_between().
sub usage {
    my ($self) = @_;
    my %now = (ticks => 0, thread => {});
    for my $pid ($self->{pid}, $self->children) {
        my $stat = MPMX::Server::Proc::slurp("/proc/$pid/stat");
        next unless defined $stat && $stat =~ /.*\)\s+(.*)/s;
        my @field = split ' ', $1;                      # $field[0] is field 3 of proc(5)
        # What ended children used is in the parent's account once it has waited for them.
        $now{ticks} += $field[$_] for 11, 12, $pid == $self->{pid} ? (13, 14) : ();
        for my $tid (MPMX::Server::Proc::threads($pid)) {
            my $run = MPMX::Server::Proc::slurp("/proc/$pid/task/$tid/schedstat");
            my $status = MPMX::Server::Proc::slurp("/proc/$pid/task/$tid/status");
            next unless defined $run && defined $status;
            my $switches = 0;
            $switches += $1 while $status =~ /^(?:non)?voluntary_ctxt_switches:\s*(\d+)/mg;
            $now{thread}{"$pid/$tid"} = { ns => (split ' ', $run)[0], switches => $switches };
        }
    }
    return \%now;
}

# (CPU seconds, context switches) between two usages. To the nanosecond while no thread has ended;
# then the kernel's clock ticks remain for the CPU time, and the switches of those who ended are lost.
sub used_between {
    my ($before, $after) = @_;
    my ($ns, $switches, $ended) = (0, 0, 0);
    my ($old, $new) = ($before->{thread}, $after->{thread});
    $ended ||= !$new->{$_} for keys %$old;
    for my $id (keys %$new) {
        my $was = $old->{$id} || { ns => 0, switches => 0 };
        $ns += $new->{$id}{ns} - $was->{ns};
        $switches += $new->{$id}{switches} - $was->{switches};
    }
    my $ticks = ($after->{ticks} - $before->{ticks}) / $tick;
    # Kernels can be built or told not to keep these statistics.
    return ($ended || !$ns ? $ticks : $ns / 1e9, $switches);
}

1;
