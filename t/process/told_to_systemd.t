# Where mod_systemd is loaded, systemd can follow what the server does, also as
# Type=notify-reload: that a reload has begun after the signal, that it is over
# once the new children accept, and that the server stops. Without the module
# nothing is said.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use IO::Select ();
use Socket;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

plan skip_all => 'httpd leaves it to the module' if MPMX::Server->is_stock;
plan skip_all => 'systemd is on Linux only' if $^O ne 'linux';

my $slow = MPMX::Server::slowness();
my $delay = 0.6 * $slow;
my $srv = MPMX::Server->new(
    handlers  => 1,
    sizing    => { StartServers => 1 },
    c_modules => ['mod_mpmxt_proc_exit'],
    conf      => "MpmxtStartDelay ${\ int(1000 * $delay)} \@DIR\@/marks/slow\n",
);

# ---- what systemd does

my ($from, @heard);

# A socket, as systemd makes one: a file, or a name that is none.
sub listen_at {
    my ($name) = @_;
    socket($from, PF_UNIX, SOCK_DGRAM, 0) or die "socket: $!\n";
    (my $real = $name) =~ s/^\@/\0/;
    bind($from, pack_sockaddr_un($real)) or die "$name: $!\n";
    $from->blocking(0);
    $ENV{NOTIFY_SOCKET} = $name;
    @heard = ();
    return;
}

# What has been said up to now, as hashes, and when it was heard.
sub listen_on {
    while (defined recv($from, my $text, 4096, 0)) {
        push @heard, { at => clock_gettime(CLOCK_MONOTONIC), map { /^(\w+)=(.*)/ ? ($1 => $2) : () } split /\n/, $text };
    }
    return @heard;
}

sub told {
    return join '; ', map { my $m = $_; join ' ', map { "$_=$m->{$_}" } grep { $_ ne 'at' } sort keys %$m } listen_on();
}

# The state of a unit of Type=notify-reload that has just been sent its signal, from what
# is heard from then on (systemd.service(5), sd_notify(3)).
sub state_since {
    my ($signalled) = @_;
    my $state = 'signalled';
    for my $m (listen_on()) {
        if ($m->{STOPPING}) { return 'stopping' }
        if ($m->{READY} && $state eq 'reloading') { return 'running' }
        if ($m->{RELOADING} && $state eq 'signalled' && ($m->{MONOTONIC_USEC} || 0) >= $signalled) { $state = 'reloading' }
    }
    return $state;
}

# ---- what it hears

sub reload {
    my ($sig, $what) = @_;
    listen_on();
    @heard = ();
    my $signalled = int(1e6 * clock_gettime(CLOCK_MONOTONIC));
    $srv->signal($sig);
    ok($srv->wait_for(sub { state_since($signalled) eq 'running' }, 15), "$what: $sig: reloading, then ready again")
        or diag(told());
    return $signalled;
}

# What the MPM itself says.
sub ours {
    my ($name) = @_;
    return grep { $_->{$name} && !$_->{VIA} } listen_on();
}

# Its word that the children accept which a signal has brought about; an earlier restart
# may have its own to say, later than the signal.
sub ready_since {
    my ($signalled) = @_;
    my $begun = 0;
    for my $m (grep { !$_->{VIA} } listen_on()) {
        $begun = 1 if $m->{RELOADING} && $m->{MONOTONIC_USEC} >= $signalled;
        return $m if $begun && $m->{READY};
    }
    return;
}

# A process may be gone and not be waited for yet.
sub exit_status {
    $srv->wait_for(sub { $srv->running; !$srv->{spawned} }, 5);
    return $srv->{exit_status};
}

sub stopped {
    my ($sig, $what) = @_;
    listen_on();
    @heard = ();
    my @held = $sig eq 'WINCH' ? $srv->hold(1, 'slow') : ();
    $srv->signal($sig);
    ok($srv->wait_for(sub { state_since(0) eq 'stopping' }, 10), "$what: $sig: stopping is said when it begins") or diag(told());
    is($srv->release('slow', @held), 1, "$what: $sig: while it waits for a request") if $sig eq 'WINCH';
    ok($srv->wait_for(sub { !$srv->all_pids }, 15), "$what: $sig: it ends") or $srv->stop;
    is(exit_status(), 0, "$what: $sig: exit status");
    unlink $srv->path('run/httpd.pid');
    return;
}

my @cases = (
    ['a module that says little', $srv->path('notify'), []],
    ['a module that says more', "\@mpmxt-$$", ['MPMXT_TALKS']],
);
for my $case (@cases) {
    my ($what, $name, $defines) = @$case;
    listen_at(length $name < 100 ? $name : "\@mpmxt-$$-file");
    $srv->configure(c_modules => ['mod_systemd', 'mod_mpmxt_proc_exit', 'mod_mpmxt_proc_reading'], defines => $defines);
    $srv->start(mode => 'foreground');
    ok($srv->wait_for(sub { ours('READY') }, 10), "$what: ready at the start") or diag(told());
    is(join(' ', map { $_->{MAINPID} || () } listen_on()), $srv->pid, "$what: the module told who is");
    ok(!ours('RELOADING'), "$what: a start is no reload");

    reload('USR1', $what);
    reload('HUP', $what);
    # One that is refused: it goes on as it was. No other order may be on its way when the file is broken.
    my $conf = $srv->{conf};
    $srv->configure(conf => 'NoSuchDirective on');
    reload('USR1', "$what, refused");
    $srv->configure(conf => $conf);
    is($srv->get('/index.html')->{status}, 200, "$what, refused: it goes on");
    reload('HUP', "$what, repaired");

    # One that comes while the check for another is running, which has read a better file.
    $srv->configure(conf => "${conf}MpmxtReadingWaits \@DIR\@/marks/wait");
    unlink $srv->path('marks/wait.pid');
    $srv->write('marks/wait', '');
    $srv->signal('USR1');
    ok($srv->wait_for(sub { -s $srv->path('marks/wait.pid') }, 15), "$what: a check is in progress");
    $srv->configure(conf => 'NoSuchDirective on');
    listen_on();
    @heard = ();
    my $late = int(1e6 * clock_gettime(CLOCK_MONOTONIC));
    $srv->signal('USR1');
    unlink $srv->path('marks/wait');
    ok($srv->wait_for(sub { state_since($late) eq 'running' }, 15), "$what: a later order, refused: reloading, then ready again") or diag(told());
    $srv->configure(conf => $conf);
    reload('USR1', "$what, repaired again");

    # Two in a row are one, or two; the later one counts.
    $srv->signal('USR1');
    reload('USR1', "$what, again");

    # Slow children.
    $srv->write('marks/slow', '');
    my $signalled = reload('USR1', "$what, slow children");
    my $ready = $srv->wait_for(sub { ready_since($signalled) }, 10);
    ok($ready, "$what: the MPM says so, too") or diag(told());
    cmp_ok($ready->{at} - $signalled / 1e6, '>', 0.9 * $delay, "$what: not before they accept") if $ready;
    unlink $srv->path('marks/slow');

    stopped('TERM', $what);
    $srv->start(mode => 'foreground');
    stopped('WINCH', $what);
}

# A stop because of a fatal child is told as well, and by the exit status.
$srv->configure(conf => "MpmxtExit child_init 15 \@DIR\@/marks/fatal", defines => []);
$srv->start(mode => 'foreground');
listen_on();
@heard = ();
$srv->write('marks/fatal', '');
kill 'KILL', ($srv->children)[0];
ok($srv->wait_for(sub { !$srv->all_pids }, 15), 'a fatal child ends the server') or $srv->stop;
is(exit_status() >> 8, 15, 'exit status');
is(state_since(0), 'stopping', 'systemd has heard of it') or diag(told());
unlink $srv->path('run/httpd.pid');
unlink $srv->path('marks/fatal');

# Without the module.
$srv->configure(c_modules => ['mod_mpmxt_proc_exit'], conf => '');
@heard = ();
$srv->start(mode => 'foreground');
ok($srv->renewed_by('USR1'), 'without the module: restarts');
$srv->stop;
is(told(), '', 'nothing is said');

$srv->finish(qr/not restarted|check of the new configuration/, qr/AH00050/, qr/AH00052: child pid \d+ exit signal Killed/);
done_testing;
