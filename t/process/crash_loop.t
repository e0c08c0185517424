# Children that die again and again do not make the server spin: the pauses before
# the next one grow, the log says so, and the server serves again as soon as
# they stop dying. After a while of calm a death is a single one again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

plan skip_all => 'httpd starts one a second' if MPMX::Server->is_stock;

my $slow = MPMX::Server::slowness();
my $srv = MPMX::Server->new(
    c_modules => ['mod_mpmxt_proc_exit'],
    sizing    => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 8, MaxRequestWorkers => 8,
                   MinSpareThreads => 1, MaxSpareThreads => 8 },
    # Sanitizers report signals that are faults.
    conf      => 'MpmxtExit child_init ' . ($slow > 1 ? -9 : -11) . ' @DIR@/marks/dying',
);
my $ah = MPMX::Server->ah('crashes');

# Of the lines that match: the time in seconds (of the day) and what is in brackets in the pattern.
sub lines {
    my ($what) = @_;
    return map { /^\[\w+ \w+ \d+ (\d+):(\d+):([\d.]+) \d+\].*$what/ ? [3600 * $1 + 60 * $2 + $3, $4] : () }
        split /\n/, $srv->error_log;
}

$srv->start;
$srv->write('marks/dying', '');
kill 'KILL', $srv->children;
# Five in a row: a death that was late on a busy machine is a single one again. More where it takes long to
# start a child, so that the last pause is longer than that.
my $row = MPMX::Server::slowness() > 1 ? 6 : 5;
my @said;
ok($srv->wait_for(sub {
    @said = lines("$ah: (\\d+ children in a row .* started in \\d+ ms)");
    @said = @said[-$row .. -1] if @said > $row;
    my @counts = map { $_->[1] =~ /^(\d+)/ } @said;
    return @counts == $row && !grep { $counts[$_] != $counts[0] + $_ } 1 .. $row - 1;
}, 30), 'children die again and again, and the log says so');
my @births = lines('mpmxt: (ending) in child_init');
ok($srv->running, 'the server goes on');
unlink $srv->path('marks/dying');
my $t0 = time;
ok($srv->wait_for(sub { $srv->get('/index.html', timeout => 10)->{status} == 200 }, 30), 'when they stop dying it serves again');

my @pauses = map { $_->[1] =~ /started in (\d+) ms/ ? $1 : 0 } @said;
my @counts = map { $_->[1] =~ /^(\d+)/ ? $1 : 0 } @said;
diag("pauses in ms: @pauses");
is(scalar(grep { $pauses[$_] < 1.5 * $pauses[ $_ - 1 ] } 1 .. $#pauses), 0, 'the pauses grow');
is(scalar(grep { $counts[$_] != $counts[ $_ - 1 ] + 1 } 1 .. $#counts), 0, 'each death is counted') or diag("@counts");
cmp_ok($pauses[-1], '<=', 30_000, 'up to half a minute');
my $between = grep { $_->[0] > $said[0][0] && $_->[0] < $said[-1][0] } @births;
is($between, $#said, 'a child for each of them was started, and no more');
# The children before and after each pause, by the log's own clock. (The line itself may be late.)
my $kept = 1;
for my $i (0 .. $#said) {
    my ($next) = grep { $_->[0] > $said[$i][0] } @births;
    my ($prev) = reverse grep { $_->[0] < $said[$i][0] } @births;
    $kept = 0 if $next && $prev && $next->[0] - $prev->[0] < 0.9 * $pauses[$i] / 1000;
}
ok($kept, 'and the next child did come after it only');

my $lines = lines($ah);
sleep 1.3;
kill 'KILL', $srv->children;
$t0 = time;
ok($srv->wait_for(sub { $srv->get('/index.html', timeout => 10)->{status} == 200 }, 15), 'after a second of calm a child is killed');
# If the pauses grew on, this one would be twice the last.
$t0 = 1e3 * (time - $t0);
cmp_ok($t0, '<', 1.8 * $pauses[-1], sprintf 'and replaced without a pause (%.0f ms)', $t0);
is(scalar(lines($ah)), $lines, 'no further word about it');

$srv->finish(qr/AH0005[12]: child pid \d+ exit signal/);
done_testing;
