# While a new configuration is checked (ReloadCheck) everything else goes on: requests are served, a
# child that dies is replaced, a stop is obeyed at once and ends the check. Who asks again meanwhile
# gets another check: what was saved too late for the first is seen. "At once" is more than "graceful".
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

plan skip_all => 'not a promise of httpd itself' if MPMX::Server->is_stock;

my $srv = MPMX::Server->new(handlers => 1, modules => ['alias'], c_modules => ['mod_mpmxt_proc_reading'], log_level => 'info');
$srv->write("htdocs/$_.txt", $_) for qw(first second);
my $mark = $srv->path('marks/wait');
my $waits = "MpmxtReadingWaits $mark\n";
my $serves = sub { qq{Alias /is.txt "\@DIR\@/htdocs/$_[0].txt"\n} };

sub says    { return $srv->get('/is.txt')->{body} }
sub refused { return $srv->logged('but the server was not restarted') }
sub resumed { return $srv->logged('resuming normal operations') }

# Asks for a restart; the check of it stops in the middle. Returns its pid.
sub begin {
    my ($sig) = @_;
    $srv->write('marks/wait', '');
    $srv->signal($sig);
    return $srv->wait_for(sub { ($srv->read('marks/wait.pid') =~ /^(\d+)/)[0] }, 15);
}

sub proceed { return unlink $mark }

$srv->configure(conf => $waits . $serves->('first'));
$srv->start;
is(says(), 'first', 'as configured first');

# --- life goes on ---

my $check = begin('USR1');
ok($check, 'a check is in progress') or BAIL_OUT('there is nothing to be tested');
is($srv->get('/index.html')->{status}, 200, 'requests are served');
my ($victim) = my @old = $srv->children;
kill 'KILL', $victim;
ok($srv->wait_for(sub { my @now = $srv->children; @now >= $srv->first_children && !grep { $_ == $victim } @now }, 10), 'a child that dies is replaced');
ok($srv->wait_for(sub { $srv->get('/index.html')->{status} == 200 }, 5), 'and requests are served');
is(resumed(), 1, 'nothing was restarted yet');
@old = $srv->children;
proceed();
ok($srv->wait_for(sub { resumed() == 2 && !grep { my $p = $_; grep { $_ == $p } @old } $srv->children }, 15), 'the restart is done after the check');

# --- orders that come meanwhile ---

# The first check has read a good file, the one on the disk is broken now.
begin('USR1');
$srv->configure(conf => $waits . $serves->('second') . 'ThisIsNoDirective');
$srv->signal('USR1');
proceed();
ok($srv->wait_for(sub { refused() == 1 }, 15), 'good, then broken: the later file counts');
is(resumed(), 2, 'nothing was restarted');
is(says(), 'first', 'the old configuration is in force');

# The other way round.
begin('USR1');
$srv->configure(conf => $waits . $serves->('second'));
$srv->signal('USR1');
proceed();
ok($srv->wait_for(sub { resumed() == 3 }, 15), 'broken, then good: the later order is carried out');
is(refused(), 2, 'the first one was refused');
ok($srv->wait_for(sub { says() eq 'second' }, 10), 'the new configuration is in force');

# HUP is not lost behind USR1, nor made less by it.
begin('USR1');
$srv->signal('HUP');
$srv->signal('USR1');
proceed();
ok($srv->wait_logged('SIGHUP received\.  Attempting to restart', 15), 'HUP during the check for USR1: a restart at once');
ok($srv->wait_for(sub { resumed() == 4 }, 15), 'which is done');
ok($srv->wait_for(sub { says() eq 'second' }, 10), 'and the server works');

# --- stops ---

for my $sig (qw(TERM WINCH KILL)) {
    $srv->start unless $srv->running;
    $check = begin('USR1');
    ok($check, "$sig: a check is in progress");
    $srv->signal($sig);
    ok($srv->wait_for(sub { !$srv->all_pids }, 10), "$sig: everything ends, the check too");
    proceed();
    unlink $srv->path('marks/wait.pid');
    is(-e $srv->path('run/httpd.pid') ? 1 : 0, $sig eq 'KILL' ? 1 : 0, "$sig: the pid file");
}

$srv->finish(qr/exit signal Killed/);
done_testing;
