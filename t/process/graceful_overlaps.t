# With one serving child, too, a graceful restart leaves no moment in which
# nobody accepts: however long the new child takes to start, the old one goes on,
# and it is told to finish only when the new one accepts. Restarts in a row do
# not wait for the long downloads of earlier children, and cut none of them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Load;
use Time::HiRes qw(time);

plan skip_all => 'httpd tells the old children first' if MPMX::Server->is_stock;

my $slow = MPMX::Server::slowness();
# Long enough to tell those who wait for a child that starts from those who wait for a busy machine.
my $delay = $slow > 1 ? 6 : 4;
my $srv = MPMX::Server->new(
    handlers  => 1,
    c_modules => [qw(mod_mpmxt_proc_exit mod_mpmxt_proc_hooks)],
    sizing    => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 32, MaxRequestWorkers => 32,
                   MinSpareThreads => 1, MaxSpareThreads => 32 },
    conf      => "MpmxtStartDelay ${\ int(1000 * $delay)} \@DIR\@/marks/slow",
);
$srv->start;

sub answering_pid {
    my $r = $srv->get('/mpmxt/id?0', timeout => 5);
    return $r->{body} =~ /pid=(\d+)/ ? $1 : 0;
}

# Seconds of the day when a line was logged.
sub logged_at {
    my ($what) = @_;
    my ($h, $m, $s) = $srv->error_log =~ /^\[\w+ \w+ \d+ (\d+):(\d+):([\d.]+) \d+\].*$what/m or return;
    return 3600 * $h + 60 * $m + $s;
}

# Restarts and asks until a new child answers: (its pid, seconds it took, answers by pid; 0 is none).
sub watch {
    my ($sig, $old, $again_after) = @_;
    my (%answers, $took, $pid);
    my $t0 = time;
    $srv->signal($sig);
    $srv->wait_for(sub {
        if ($again_after && time - $t0 > $again_after) { $srv->signal($sig); $again_after = 0 }
        $answers{ $pid = answering_pid() }++;
        $took ||= time - $t0 if $pid && $pid != $old;
        return $took;
    }, 20);
    return ($pid, $took || 0, \%answers);
}

$srv->write('marks/slow', '');
my ($old) = $srv->children;
my @loads = (MPMX::Load->start(port => $srv->port, clients => 4, keepalive => 0, pause => 0.02),
             MPMX::Load->start(port => $srv->port, clients => 6, pause => 0.02));
my ($new, $took, $answers) = watch('USR1', $old);
cmp_ok($took, '>', 0.9 * $delay, sprintf 'a new child answers when it has started (%.2f s)', $took);
ok(!$answers->{0}, 'until then nobody had to go without an answer');
cmp_ok($answers->{$old} || 0, '>=', 3, 'the old one gave them');
ok($srv->wait_for(sub { !grep { $_ == $old } $srv->children }, 10), 'then the old one ends');
my ($begun, $told) = map { logged_at($_) } "mpmxt: pid $new takes", "mpmxt: child_stopping pid $old graceful 1";
ok(defined $begun && defined $told, 'both sides are in the log');
# Over midnight the difference is large, too.
cmp_ok(abs($told - $begun), '>', 0.9 * $delay, 'the old one was told when the new one had started') if defined $told;

# With one child there is but one kind of restart.
my $sig = MPMX::Server::single() ? 'HUP' : 'USR1';
($new, $took, $answers) = watch($sig, $old = $new, $delay / 2);
cmp_ok($took, '>', 0.9 * $delay, sprintf 'restarted twice while a new one starts (%.2f s)', $took);
ok(!$answers->{0}, 'nobody had to go without an answer');
ok($srv->wait_for(sub { my @now = $srv->children; @now == 1 && $now[0] != $old }, 10), 'one is left in the end');
my @n = map { $_->stop } @loads;
is(MPMX::Load->failures($_), 0, 'no failed request') or diag(MPMX::Load->text($_)) for @n;
# Somebody comes every few milliseconds, and would wait for nearly all of it.
cmp_ok($_->{slowest}, '<', 0.9 * $delay, "nobody waited for the new child (slowest $_->{slowest} s)") for @n;
unlink $srv->path('marks/slow');

# A download on every child there has been.
my @downloads;
my $pid = answering_pid();
my @pids;
for my $i (1 .. 5) {
    my $c = $srv->connect;
    $c->send_request('/mpmxt/stream?100', close => 1);
    push @downloads, [$c, $c->response_head];
    last if $i == 5;
    $srv->signal($i % 2 ? $sig : 'USR1');
    push @pids, $pid;
    my %known = map { $_ => 1 } @pids;
    my $next = $srv->wait_for(sub { my $p = answering_pid(); $p && !$known{$p} ? $p : 0 }, 10);
    isnt($next, '', "restart $i: a new child answers while " . @downloads . ' downloads run');
    ok($srv->accept_no_more(@pids), 'and it alone');
    $pid = $next;
}
cmp_ok(scalar $srv->children, '>=', 4, 'those before are still at it') or diag(join ' ', $srv->children);
MPMX::Server::Client->read_all(20 * $slow, map { $_->[0] } @downloads);
my $want = join '', map { chr(ord('a') + $_ % 26) x 65536 } 0 .. 99;
my $whole = grep { my $r = $_->[1] && $_->[0]->body($_->[1], 20); $r && $r->{body} eq $want } @downloads;
is($whole, 5, 'all downloads are intact');
# The others wait for KeepAliveTimeout first, because their clients were told to expect that.
# Which is not always who answered last: the second of two signals may have been taken for a restart of its own.
my %before = map { $_ => 1 } @pids;
my $remains = $srv->wait_for(sub {
    my @now = $srv->children;
    return @now == 1 && !$before{ $now[0] } && answering_pid() == $now[0];
}, 20 * $slow);
ok($remains, 'the last child remains') or diag(join ' ', @pids, $pid, 'left:', $srv->children);

$srv->finish;
done_testing;
