# -X and -D ONE_PROCESS serve in one process, -D FOREGROUND and -D NO_DETACH in
# the foreground with children, and without any of them the server is a daemon;
# all write their pid file, serve, and stop by TERM and by INT.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my $srv = MPMX::Server->new(handlers => 1);
my $my_session = (MPMX::Server::Proc::stat_of($$))[3];

sub session { return (MPMX::Server::Proc::stat_of($srv->pid))[3] }
sub ended {
    my ($what) = @_;
    my $ok = ok($srv->wait_for(sub { !$srv->all_pids }, 10), $what);
    $srv->stop unless $ok;
    unlink $srv->path('run/httpd.pid');
    return;
}

for my $sig (qw(TERM INT)) {
    for my $mode (qw(debug one_process)) {
        $srv->start(mode => $mode);
        is($srv->read_pid, $srv->pid, "$mode: the pid file names the process started");
        is(scalar $srv->children, 0, "$mode: no children");
        is(session(), $my_session, "$mode: stays in the session");
        my $bad = grep { $srv->get('/index.html')->{status} != 200 } 1 .. 50;
        is($bad, 0, "$mode: serves");
        my @slow = $srv->hold(3, 'slow');
        is(scalar @slow, 3, "$mode: several requests at a time");
        is($srv->release('slow', @slow), 3, "$mode: all answered");
        $srv->signal($sig);
        ended("$mode: ends by $sig");
    }
    for my $mode (qw(foreground no_detach)) {
        $srv->start(mode => $mode);
        is($srv->read_pid, $srv->pid, "$mode: the pid file names the process started");
        ok($srv->wait_for(sub { $srv->children >= $srv->first_children }, 5), "$mode: has children");
        is(session(), $my_session, "$mode: stays in the session") if $mode eq 'foreground';
        is(readlink('/proc/' . $srv->pid . '/cwd'), '/', "$mode: works in /") if $mode eq 'no_detach' && MPMX::Server::Proc::HAVE_PROC;
        is($srv->get('/index.html')->{status}, 200, "$mode: serves");
        if ($sig eq 'TERM') {
            my %old = map { $_ => 1 } $srv->children;
            $srv->signal('USR1');
            ok($srv->wait_for(sub { my @now = $srv->children; @now && !grep { $old{$_} } @now }, 15), "$mode: restarts");
            is($srv->read_pid, $srv->pid, "$mode: in the same process");
        }
        $srv->signal($sig);
        ended("$mode: ends by $sig");
    }
    $srv->start;
    my $pid = $srv->read_pid;
    isnt((MPMX::Server::Proc::stat_of($pid))[1], $$, 'daemon: not a child of its starter');
    is(session(), $pid, 'daemon: leads a session of its own');
    is(readlink("/proc/$pid/cwd"), '/', 'daemon: works in /') if MPMX::Server::Proc::HAVE_PROC;
    ok($srv->wait_for(sub { $srv->children >= $srv->first_children }, 5), 'daemon: has children');
    is($srv->get('/index.html')->{status}, 200, 'daemon: serves');
    $srv->signal($sig);
    ended("daemon: ends by $sig");
}

$srv->finish;
done_testing;
