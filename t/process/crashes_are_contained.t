# Whatever ends a child, it is replaced at once (a tenth of a second), whether it is killed, crashes,
# or a module ends its process with whatever status: "fatal" stops the server only from a child that
# starts. One that dies while it drains is not replaced; one that dies while a new generation starts
# (as by the kernel when memory is out) is, and the old generation serves until then.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

plan skip_all => 'stock starts children once a second' if MPMX::Server->is_stock;

my $slow = MPMX::Server::slowness();
my $srv = MPMX::Server->new(
    handlers  => 1,
    c_modules => ['mod_mpmxt_proc_hooks', 'mod_mpmxt_proc_exit'],
    conf      => 'MpmxtStartDelay 20000 @DIR@/marks/slow',
    sizing    => { StartServers => 1, ServerLimit => 2, ThreadsPerChild => 4, MaxRequestWorkers => 8,
                   MinSpareThreads => 1, MaxSpareThreads => 8 },
);
$srv->start;

sub pid_serving { return $srv->get('/mpmxt/id?0', timeout => 20)->{body} =~ / pid=(\d+) / ? $1 : 0 }

# Ends the only child in some way; the milliseconds until the next one begins, by the log's clock.
sub replaced_after {
    my ($how, $what) = @_;
    my $victim = pid_serving();
    my $t0 = time;
    $how->($victim);
    my $next;
    ok($srv->wait_for(sub { $next = pid_serving(); $next && $next != $victim }, 15), "$what: another child serves") or return 1e9;
    my ($h, $m, $s) = $srv->error_log =~ /^\[\w+ \w+ \d+ (\d+):(\d+):([\d.]+) \d+\].*mpmxt: child_init pid $next\b/m or return 1e9;
    my @day = localtime $t0;
    my $began = 3600 * $h + 60 * $m + $s - (3600 * $day[2] + 60 * $day[1] + $day[0] + $t0 - int $t0);
    return 1000 * ($began < -43_200 ? $began + 86_400 : $began);
}

# A second of calm ends a row of crashes.
sub calm { sleep 1.2 }

# A busy machine may be late, also a few times in a row, so there are several rounds.
my @ms;
for my $round (1 .. 3) {
    @ms = sort { $a <=> $b } map { replaced_after(sub { kill 'KILL', $_[0] }, "killed, $_") } 1 .. 3;
    calm();
    last if $ms[0] < 100 * $slow;
}
cmp_ok($ms[0], '<', 100 * $slow, sprintf 'in less than a tenth of a second (%.0f, %.0f, %.0f ms)', @ms);
for my $way (['exit?3', 'a module ends the process'], ['exit?15', 'with "fatal", after it has served'],
             # Sanitizers have their own opinion of faults.
             $slow > 1 ? () : ['signal?6', 'abort()']) {
    my ($path, $what) = @$way;
    cmp_ok(replaced_after(sub { $srv->get("/mpmxt/$path", timeout => 5) }, $what), '<', 2000 * $slow, "$what: at once");
}
ok($srv->running, 'the server goes on');
like($srv->error_log, qr/child process \d+ has ended with the exit status of a fatal error \(15\) after it had been serving/, 'and says why');
unlike($srv->error_log, qr/AH00050/, 'not that it exits');

# --- while it drains ---

calm();
my $old = pid_serving();
my @held = $srv->hold(1, 'held');
$srv->signal('USR1');
ok($srv->wait_for(sub { my $p = pid_serving(); $p && $p != $old }, 15), 'a new generation serves');
ok(MPMX::Server::Proc::alive($old), 'the old one is at work');
my $births = $srv->logged('mpmxt: child_init pid');
kill 'KILL', $old;
ok($srv->wait_logged('generation 0: the last process has ended', 10), 'killed, it is gone');
is($srv->get('/index.html')->{status}, 200, 'serving');
is(scalar $srv->children, 1, 'nobody takes its place');
is($srv->logged('mpmxt: child_init pid'), $births, 'nobody was started for it');
unlink $srv->path('marks/held');
$_->[0]->close for @held;

# --- while it starts ---

$old = pid_serving();
$srv->write('marks/slow', '');
$srv->signal('USR1');
ok($srv->wait_logged('mpmxt: pid \d+ takes 20000 ms to start', 10), 'a child takes long to start');
my ($starting) = $srv->error_log =~ /mpmxt: pid (\d+) takes/;
is(pid_serving(), $old, 'the old one serves meanwhile');
unlink $srv->path('marks/slow');
kill 'KILL', $starting;
ok($srv->wait_for(sub { my $p = pid_serving(); $p && $p != $old }, 10), 'killed, it is replaced') or diag("by nobody; $old $starting");
ok($srv->wait_for(sub { !MPMX::Server::Proc::alive($old) }, 10), 'and then the old one ends');
ok($srv->running, 'the server has survived all this');

$srv->finish(qr/exit signal/);
done_testing;
