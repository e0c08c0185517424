package MPMX::Faults;
# Makes system calls of a server fail, while it runs (t/shim/faults.c).
#
#   my $faults = MPMX::Faults->new;             # skips the test where there is none
#   my $srv = MPMX::Server->new(preload => $faults->so, ...);
#   $faults->arm(accept => 0, 7, 14);           # the 1st, 8th and 15th call from now on
#   $faults->arm(thread => $faults->ALL);       # all of them
#   $faults->seen('accept'); $faults->failed('accept');
#   $faults->recovers($srv, 'no memory', 16);   # disarms and looks
use strict;
use warnings;
use Config ();
use File::Temp ();
use Test::More ();
use MPMX::Server;
use MPMX::Server::Toolchain;
use Time::HiRes qw(sleep);

my @calls = qw(accept epoll_ctl fork thread mmap socketpair recv eventfd pipe memory mapped times);
my %index = map { $calls[$_] => $_ } 0 .. $#calls;

use constant SIZE => 16;
use constant ALL  => (0 .. 63);

sub new {
    my ($class) = @_;
    Test::More::plan(skip_all => 'another MPM may end for lack of resources') if MPMX::Server->is_stock;
    my $so = eval { MPMX::Server::Toolchain::shim('faults') };
    Test::More::plan(skip_all => "no faults to be had on this system: $@") if !$so && $^O ne 'linux';
    die $@ unless $so;
    my $fh = File::Temp->new(TEMPLATE => 'mpmx-faults-XXXXXX', TMPDIR => 1);
    binmode $fh;
    syswrite($fh, "\0" x (SIZE * @calls)) or die "faults: $!\n";
    # Inherited by the server, which maps it before it becomes somebody else.
    $ENV{MPMX_FAULTS} = $fh->filename;
    return bless { so => $so, fh => $fh }, $class;
}

sub so { return $_[0]{so} }

sub _put {
    my ($self, $call, $at, $bytes) = @_;
    sysseek($self->{fh}, $index{$call} * SIZE + $at, 0);
    syswrite($self->{fh}, $bytes) == length $bytes or die "faults: $!\n";
    return;
}

sub _get {
    my ($self, $call, $at) = @_;
    sysseek($self->{fh}, $index{$call} * SIZE + $at, 0);
    sysread($self->{fh}, my $bytes, 4) == 4 or die "faults: $!\n";
    return unpack 'L', $bytes;
}

# The calls of those numbers fail, counted from now on; number 63 stands for
# all that come after the 63rd as well.
sub arm {
    my ($self, $call, @numbers) = @_;
    $self->_put($call, 0, "\0" x 12);
    my $plan = '';
    vec($plan, 63, 1) = 0;
    vec($plan, $_, 1) = 1 for @numbers;
    # As a number of 64 bits in this machine's order.
    $plan = reverse $plan if $Config::Config{byteorder} =~ /^8?7?6?5?4321/;
    $self->_put($call, 0, $plan);
    return;
}

sub disarm {
    my ($self) = @_;
    $self->_put($_, 0, "\0" x 8) for @calls;
    return;
}

# Why a call may never be made by this build, or not be ours to let fail; else nothing.
sub excuse {
    my ($call) = @_;
    return 'a sanitizer has its own allocator' if $call eq 'memory' && $ENV{MPMX_PRELOAD};
    return "APR's poller needs none" if $call eq 'eventfd' && MPMX::Server::Toolchain::mpm_so() =~ m{/apr};
    return;
}

# The server's own sums: (busy, idle) workers.
sub workers {
    my ($srv) = @_;
    my $status = $srv->status;
    return ($status->{BusyWorkers} || 0, $status->{IdleWorkers} || 0);
}

# Tests: after `what`, with nothing failing any more, the server serves everybody, with all its
# workers, no connection is left over, and it is at rest when nobody asks for anything.
sub recovers {
    my ($self, $srv, $what, $workers) = @_;
    $self->disarm;
    my ($busy, $idle, $open) = (0, 0, 0);
    Test::More::ok($srv->wait_for(sub {
        ($busy, $idle) = workers($srv);
        $open = $srv->status->{ConnsTotal};
        return $busy + $idle == $workers && (!defined $open || $open <= 1);
    }, 15), "$what: all $workers workers are there, and no connection of before")
        or Test::More::diag("$busy busy, $idle idle, " . ($open || 0) . ' connections');
    my $bad = grep { $srv->get('/index.html')->{status} != 200 } 1 .. 20;
    Test::More::is($bad, 0, "$what: serves afterwards");
    my @pids = ($srv->pid, $srv->children);
    my $least;
    $srv->wait_for(sub {
        my $cpu = MPMX::Server::Proc::cpu_seconds(@pids);
        sleep 0.3;
        $cpu = MPMX::Server::Proc::cpu_seconds(@pids) - $cpu;
        $least = $cpu if !defined $least || $cpu < $least;
        return $least <= 0.05;
    }, 5);
    Test::More::cmp_ok($least, '<=', 0.05, "$what: at rest afterwards");
    return;
}

# Calls since it was armed; calls that have failed since the beginning.
sub seen   { return $_[0]->_get($_[1], 8) }
sub failed { return $_[0]->_get($_[1], 12) }

1;
