# A server in the foreground of a terminal goes on when the terminal's window is
# resized, though that is the signal of a graceful stop; also in the middle of
# such a stop. Sent by anybody else, it stops the server. Both before and after
# a restart.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Server::Terminal;
use POSIX ();

plan skip_all => 'httpd stops' if MPMX::Server->is_stock;
plan skip_all => 'only on Linux is told who sends a signal' if $^O ne 'linux' || !MPMX::Server::Proc::HAVE_PROC;
my $terminal = MPMX::Server::Terminal->new or plan skip_all => 'no pseudo terminals';

my $srv = MPMX::Server->new(handlers => 1, terminal => $terminal, sizing => { StartServers => 1 });
my $stopping = 'caught SIGWINCH';
my $winch = 1 << (POSIX::SIGWINCH() - 1) if POSIX->can('SIGWINCH');
$winch ||= 1 << 27;

# Waits until no SIGWINCH waits for the server.
sub is_seen {
    return $srv->wait_for(sub {
        my $status = MPMX::Server::Proc::slurp('/proc/' . $srv->pid . '/status') or return 0;
        return !grep { hex($_) & $winch } $status =~ /^(?:SigPnd|ShdPnd):\s*(\w+)/mg;
    }, 5);
}

# Resizes, and asks for pages for a while.
sub resized {
    my ($what) = @_;
    $terminal->resize;
    ok(is_seen(), "$what: the signal was looked at");
    my $bad = grep { $srv->get('/index.html')->{status} != 200 } 1 .. 20;
    is($bad, 0, "$what: goes on");
    is($srv->logged($stopping), 0, "$what: nothing of a stop");
    return;
}

sub started {
    my ($mode) = @_;
    unlink $srv->path($_) for qw(logs/error.log run/httpd.pid);
    $srv->start(mode => $mode);
    is($terminal->foreground, $srv->pid, "$mode: gets the signals of the terminal");
    return;
}

sub ended {
    my ($what) = @_;
    ok($srv->wait_for(sub { !$srv->all_pids }, 15), "$what: ends") or $srv->stop;
    cmp_ok($srv->logged($stopping), '==', $srv->{mode} =~ /debug|one/ ? 0 : 1, "$what: as it was told");
    return;
}

for my $mode (qw(foreground no_detach)) {
    started($mode);
    resized($mode);
    for my $i (1, 2) {
        $terminal->resize;
        ok($srv->renewed_by('USR1'), "$mode: resized, restart $i");
        resized("$mode, restarted");
        last if $mode eq 'no_detach';
    }
    # In the middle of a graceful stop: what is being answered is not cut off.
    my @held = $srv->hold(2, 'slow');
    $srv->signal('WINCH');
    ok($srv->wait_for(sub { $srv->connect->{error} =~ /refused/ }, 10), "$mode: SIGWINCH closes the port");
    $terminal->resize;
    ok(is_seen(), "$mode: resized while it waits for requests");
    is($srv->release('slow', @held), 2, "$mode: they are answered");
    ended("$mode, SIGWINCH");
    $srv->check_log;
}

# The order waits while the configuration is read again.
started('foreground');
$srv->signal('USR1');
$srv->signal('WINCH');
ended('USR1 and SIGWINCH at once');
$srv->check_log;

for my $mode (qw(debug one_process)) {
    started($mode);
    resized($mode);
    my @held = $srv->hold(2, 'slow');
    $srv->signal('WINCH');
    ok($srv->wait_for(sub { $srv->connect->{error} =~ /refused/ }, 10), "$mode: SIGWINCH closes the port");
    $terminal->resize;
    is($srv->release('slow', @held), 2, "$mode: requests are answered");
    ended("$mode, SIGWINCH");
    $srv->check_log;
}

# -k graceful-stop sends the same.
started('foreground');
is(($srv->httpd('-k', 'graceful-stop'))[0], 0, '-k graceful-stop');
ended('-k graceful-stop');

$srv->finish;
done_testing;
