# A single connection wakes one of the idle children, not all of them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

MPMX::Server->only_for(['event', 'worker'], 'one child has them all');
plan(skip_all => "httpd's own MPMs do not promise it") if MPMX::Server::is_stock();
plan(skip_all => 'the system does not show context switches') unless MPMX::Server::Proc::HAVE_PROC();
plan(skip_all => 'with this poller every child is told')
    unless MPMX::Server::Proc::slurp(MPMX::Server::Toolchain::mpm_so()) =~ /\bepoll_create1\b/;

my $children = 4;
my $srv = MPMX::Server->new(
    sizing => { StartServers => $children, ServerLimit => $children, ThreadsPerChild => 4, MaxRequestWorkers => 4 * $children,
                MinSpareThreads => 1, MaxSpareThreads => 4 * $children },
);
$srv->start;
ok($srv->wait_for(sub { $srv->children == $children }, 10), 'four children');
sleep 1;

# How often the workers of each child have been scheduled. The first thread keeps the clock, and is
# no worker.
sub switches {
    my %n;
    for my $pid ($srv->children) {
        my $use = MPMX::Server::Proc::thread_usage($pid);
        for my $tid (grep { $_ != $pid } keys %$use) {
            $n{$pid} += $use->{$tid}{voluntary} + $use->{$tid}{involuntary};
        }
    }
    return \%n;
}

# Since the last look; waits until nothing goes on any more.
sub woken {
    my ($before) = @_;
    my $now = switches();
    for (1 .. 50) {
        sleep 0.02;
        my $later = switches();
        last if join(' ', map { $later->{$_} } sort keys %$later) eq join ' ', map { $now->{$_} } sort keys %$now;
        $now = $later;
    }
    return ($now, scalar grep { $now->{$_} > $before->{$_} } keys %$now);
}

# The first good round counts: on a busy machine the one that was woken may be kept from accepting for so
# long that the kernel asks another one.
my (%sum, $n, $now);
for my $round (1 .. 6) {
    ($now) = woken(switches());
    %sum = (connection => 0, request => 0);
    $n = 25;
    my $served = 0;
    for my $i (1 .. $n) {
        my $c = $srv->connect;
        $served++ if $c->request('/index.html')->{status} == 200;
        ($now, my $woken) = woken($now);
        $sum{connection} += $woken;
        $served++ if $c->request('/index.html', close => 1)->{status} == 200;
        ($now, $woken) = woken($now);
        $sum{request} += $woken;
        $c->close;
        ($now) = woken($now);
    }
    is($served, 2 * $n, "all are served, round $round");
    last if $sum{connection} <= 1.2 * $n && $sum{request} <= 1.2 * $n;
}
# One more now and then: a listener that changes places in the kernel's queue may be told as well.
cmp_ok($sum{connection}, '<=', 1.2 * $n, "$n connections, each alone: about one child wakes for each") or diag($sum{connection});
cmp_ok($sum{request}, '<=', 1.2 * $n, 'a later request wakes the child that has the connection') or diag($sum{request});
note("woken: $sum{connection} for $n connections, $sum{request} for $n requests");
$srv->finish;
done_testing;
