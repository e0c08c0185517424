# When the parent cannot create a child, it tries again until it can: neither does it end, nor does it
# flood the log, and in the end there are as many children as there should be.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Faults;
use MPMX::Server;
use Time::HiRes qw(sleep time);

my $faults = MPMX::Faults->new;
MPMX::Server->need_modules('status');
my $srv = MPMX::Server->new(
    modules => ['status'],
    preload => $faults->so,
    sizing  => { StartServers => 5, ServerLimit => 5, ThreadsPerChild => 2, MaxRequestWorkers => 10,
                 MinSpareThreads => 1, MaxSpareThreads => 10 },
);
$srv->start;
my $since = time;
my $many = $srv->first_children;
my $workers = 10;

# The n-th for n = 1 .. 50, each second one at a time; some in a row.
my @fifty = ([map { 2 * $_ } 0 .. 24], [map { 2 * $_ + 1 } 0 .. 24]);
for my $call (qw(fork socketpair)) {
    for my $plan ($call eq 'fork' ? @fifty : (), [0, 2], [0 .. 4]) {
        my ($whole, $bad) = (1, 0);
        my $before = $faults->failed($call);
        $faults->arm($call, @$plan);
        while ($whole && $faults->seen($call) <= $plan->[-1]) {
            $whole = $srv->renewed_by('USR1', 15);
            $bad += $srv->get('/index.html')->{status} != 200;
        }
        ok($whole, "$call: all children are there");
        is($bad, 0, "$call: requests are served");
        is($faults->failed($call) - $before, scalar @$plan, "$call: has failed for each n");
    }
    $faults->recovers($srv, $call, $workers);
}
# All are lost at once, and nobody can take their places at first.
my @lost = $srv->children;
$faults->arm(fork => 0 .. 4);
kill 'KILL', @lost;
ok($srv->wait_for(sub { $srv->get('/index.html', timeout => 5)->{status} == 200 }, 15), 'killed: serves again');
ok($srv->wait_for(sub { $srv->children == $many }, 15), 'killed: all children are there');
$faults->recovers($srv, 'killed', $workers);

my $lines = $srv->logged(qr/cannot create a child process/);
ok($lines >= 1 && $lines <= 2 + (time - $since) / 60, 'said once a minute') or diag("$lines lines");
$srv->finish(qr/exit signal Killed/);
done_testing;
