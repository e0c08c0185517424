package MPMX::Server::Proc;
# What the system tells about processes: parent, state, CPU time, context
# switches. From /proc where it exists, else from ps(1).
use strict;
use warnings;
use POSIX ();

use constant HAVE_PROC => -r "/proc/$$/stat" ? 1 : 0;

sub slurp {
    my ($file) = @_;
    open(my $fh, '<', $file) or return undef;
    local $/;
    my $text = <$fh>;
    close $fh;
    return $text;
}

# The listening TCP sockets of a port (IPv4), by inode, that a process has open. None where the system does not tell.
sub listening {
    my ($pid, $port) = @_;
    my $local = sprintf ':%04X', $port;
    my %is;
    open(my $fh, '<', '/proc/net/tcp') or return;
    while (my $line = <$fh>) {
        my @f = split ' ', $line;
        next if $f[0] eq 'sl';
        last if $f[3] ne '0A';           # those that listen come first; of the others there may be many
        $is{ $f[9] } = 1 if $f[1] =~ /$local\z/;
    }
    close $fh;
    my %open = map { (readlink($_) || '') =~ /\Asocket:\[(\d+)\]/ && $is{$1} ? ($1 => 1) : () } glob "/proc/$pid/fd/*";
    return sort keys %open;
}

# Is a process told by the system of connections to a port (IPv4)? Of processes that wait with epoll(7) only.
sub waits_for {
    my ($pid, $port) = @_;
    my %inode = map { $_ => 1 } listening($pid, $port);
    my %fd = map { (readlink($_) || '') =~ /\Asocket:\[(\d+)\]/ && $inode{$1} && m{/(\d+)\z} ? ($1 => 1) : () }
        glob "/proc/$pid/fd/*";
    for my $poll (grep { (readlink($_) || '') =~ /eventpoll/ } glob "/proc/$pid/fd/*") {
        my $info = slurp($poll =~ s{/fd/}{/fdinfo/}r) || '';
        return 1 if grep { $fd{$_} } $info =~ /^tfd:\s*(\d+)/mg;
    }
    return 0;
}

# Stops processes by SIGSTOP and waits until they stand still: threads go on until one has taken the signal.
sub freeze {
    my (@pids) = @_;
    kill 'STOP', @pids;
    for my $pid (@pids) {
        MPMX::Server::wait_for(sub { ((stat_of($pid))[0] || 'gone') =~ /T|gone/ }, 5) or die "$pid does not stop\n";
    }
    return;
}

# (state, ppid, pgrp, session, utime + stime in seconds, start time) or ().
sub stat_of {
    my ($pid, $tid) = @_;
    if (!HAVE_PROC) {
        my ($line) = grep { /\S/ } qx{ps -o stat= -o ppid= -o pgid= -o sess= -p $pid 2>/dev/null};
        return unless $line;
        my ($state, $ppid, $pgrp, $sess) = split ' ', $line;
        return (substr($state, 0, 1), $ppid, $pgrp, $sess, 0, 0);
    }
    my $text = slurp($tid ? "/proc/$pid/task/$tid/stat" : "/proc/$pid/stat");
    # The name in brackets may contain anything, also brackets and spaces.
    return unless defined $text && $text =~ /.*\)\s+(.*)/s;
    my @f = split ' ', $1;
    my $tick = POSIX::sysconf(POSIX::_SC_CLK_TCK()) || 100;
    return (@f[0 .. 3], ($f[11] + $f[12]) / $tick, $f[19]);
}

# A zombie counts as gone: nobody may be there to reap an orphan.
sub alive {
    my ($pid) = @_;
    return 0 unless $pid;
    my ($state) = stat_of($pid);
    return defined $state && $state !~ /[ZX]/ ? 1 : 0;
}

sub _all_pids {
    if (HAVE_PROC) {
        opendir(my $dh, '/proc') or return;
        return grep { /^\d+$/ } readdir $dh;
    }
    return map { 0 + $_ } qx{ps -A -o pid= 2>/dev/null};
}

# Living direct children of a process, oldest pid first.
sub children {
    my ($parent) = @_;
    my @kids;
    for my $pid (_all_pids()) {
        my ($state, $ppid) = stat_of($pid);
        push @kids, $pid if defined $ppid && $ppid == $parent && $state !~ /[ZX]/;
    }
    @kids = sort { $a <=> $b } @kids;
    return @kids;
}

sub command_line {
    my ($pid) = @_;
    if (!HAVE_PROC) {
        my $text = qx{ps -o args= -p $pid 2>/dev/null};
        chomp $text;
        return $text;
    }
    my $text = slurp("/proc/$pid/cmdline");
    return '' unless defined $text;
    $text =~ tr/\0/ /;
    return $text;
}

# Living processes whose command line contains the text. Children of httpd
# inherit that of their parent, so this also finds orphans.
sub with_text {
    my ($text) = @_;
    my @pids = sort { $a <=> $b }
        grep { $_ != $$ && index(command_line($_), $text) >= 0 && alive($_) } _all_pids();
    return @pids;
}

# User plus system time in seconds of the processes given.
sub cpu_seconds {
    my $sum = 0;
    for my $pid (@_) {
        my @s = stat_of($pid);
        $sum += $s[4] if @s;
    }
    return $sum;
}

sub threads {
    my ($pid) = @_;
    opendir(my $dh, "/proc/$pid/task") or return;
    my @tids = sort { $a <=> $b } grep { /^\d+$/ } readdir $dh;
    return @tids;
}

# thread id => { cpu seconds, voluntary and other context switches }
sub thread_usage {
    my ($pid) = @_;
    my %use;
    for my $tid (threads($pid)) {
        my @s = stat_of($pid, $tid) or next;
        my $status = slurp("/proc/$pid/task/$tid/status") or next;
        my ($vol)   = $status =~ /^voluntary_ctxt_switches:\s*(\d+)/m;
        my ($invol) = $status =~ /^nonvoluntary_ctxt_switches:\s*(\d+)/m;
        $use{$tid} = { cpu => $s[4], voluntary => $vol || 0, involuntary => $invol || 0 };
    }
    return \%use;
}

sub cores {
    my $text = slurp('/proc/cpuinfo');
    my $n = defined $text ? () = $text =~ /^processor\s*:/mg : 0;
    if (!$n) { ($n) = qx{getconf _NPROCESSORS_ONLN 2>/dev/null} =~ /(\d+)/ }
    return $n || 1;
}

1;
