# The pid file names the running parent, survives restarts, is removed at every
# kind of stop, and a stale one is overwritten with a warning (AH00098).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my $srv = MPMX::Server->new;
my $file = $srv->path('run/httpd.pid');

for my $sig (qw(TERM INT WINCH)) {
    $srv->start;
    my $pid = $srv->read_pid;
    ok(MPMX::Server::Proc::alive($pid), 'the pid file names a living process');
    is((stat $file)[2] & 0777, 0644, 'and can be read by everybody');
    for my $restart (qw(USR1 HUP)) {
        my $n = $srv->logged('resuming normal operations');
        $srv->signal($restart);
        ok($srv->wait_for(sub { $srv->logged('resuming normal operations') > $n }, 10), "after $restart");
        is($srv->read_pid, $pid, 'it still names the same process');
    }
    $srv->stop(signal => $sig);
    ok(!-e $file, "removed after $sig");
}
is($srv->logged('AH00098'), 0, 'no warning so far');

# What a power failure leaves behind: a pid that no process has, and none can get: -k sends it signals.
my $gone = MPMX::Server::Proc::slurp('/proc/sys/kernel/pid_max') || 99_999;
$gone =~ s/\D//g;
$srv->write('run/httpd.pid', "$gone\n");
my ($rc, $out) = $srv->httpd('-k', 'stop');
like($out, qr/not running/, '-k stop with a stale pid file: not running');
$srv->start;
isnt($srv->read_pid, $gone, 'start with a stale pid file overwrites it');
is($srv->logged('AH00098: pid file .* overwritten'), 1, 'and warns');
$srv->stop;
ok(!-e $file, 'removed after the stop');

# A parent that was killed leaves its file; the next start must not mind.
$srv->start;
my @rest = $srv->all_pids;
kill 'KILL', @rest;
ok(-e $file, 'a killed parent leaves its pid file');
SKIP: {
    # httpd takes a zombie for a running server, and not every container has
    # an init that reaps.
    skip 'nobody reaps orphans here', 2 unless $srv->wait_for(sub { !kill 0, @rest }, 5);
    $srv->start;
    is($srv->logged('AH00098'), 2, 'the next start warns');
    is($srv->get('/index.html')->{status}, 200, 'and serves');
}

$srv->finish;
done_testing;
