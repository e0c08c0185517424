# MaxConnectionsPerChild with ListenCoresBucketsRatio: each set of listening
# sockets belongs to some of the children, and the kernel spreads connections
# over all sets; so while worn children are replaced there is always somebody
# for each of them, and every connection is answered, soon.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Load;

my $cores = MPMX::Server::Proc::cores();
plan(skip_all => 'needs at least two cores') if $cores < 2;
plan(skip_all => "httpd's own MPMs lose connections then") if MPMX::Server::is_stock();

my $srv = MPMX::Server->new(
    handlers => 1,
    sizing   => { StartServers => $cores, ServerLimit => 4 * $cores, ThreadsPerChild => 4, MaxRequestWorkers => 16 * $cores,
                  MinSpareThreads => 4 * $cores, MaxSpareThreads => 8 * $cores },
    conf     => "ListenCoresBucketsRatio 1\nMaxConnectionsPerChild 25",
);
my ($rc) = $srv->httpd('-t');
plan(skip_all => 'this httpd has no ListenCoresBucketsRatio') if $rc;
$srv->start;

# Alone, one after the other: nobody else is there to take a set's connections along.
my $slow = MPMX::Server::slowness();
my %seen;
for my $round (1 .. 4) {
    my $bad = 0;
    for (1 .. 60) {
        my $r = $srv->get('/mpmxt/id', timeout => 5 * $slow);
        if ($r->{body} =~ /pid=(\d+)/) { $seen{$1}++ } else { $bad++ }
    }
    is($bad, 0, "one after the other, round $round: every connection is answered");
}
# A worn child goes on until another one is there, which may take until now.
my $lost = 0;
$srv->wait_for(sub {
    my $r = $srv->get('/mpmxt/id', timeout => 5 * $slow);
    if ($r->{body} =~ /pid=(\d+)/) { $seen{$1}++ } else { $lost++ }
    return $lost || keys %seen >= 3;
}, 10);
is($lost, 0, 'and until others are there');
cmp_ok(scalar keys %seen, '>=', 3, 'by several children, because they wear') or diag(scalar keys %seen);

$seen{$_} = 1 for $srv->children;
my $before = keys %seen;
my $short = MPMX::Load->start(port => $srv->port, clients => 4, keepalive => 0, pause => 0.03, patience => 5 * $slow);
my $long = MPMX::Load->start(port => $srv->port, clients => 6, pause => 0.02, patience => 5 * $slow);
ok($srv->wait_for(sub { $seen{$_} = 1 for $srv->children; keys %seen >= $before + 2 * $cores }, 15), 'under load all are replaced');
for my $n ($short->stop, $long->stop) {
    is(MPMX::Load->failures($n), 0, 'no request fails for it') or diag(MPMX::Load->text($n));
    cmp_ok($n->{slowest}, '<', 3 * $slow, 'none is late') or diag($n->{slowest});
}
$srv->finish;
done_testing;
