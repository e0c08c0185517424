# MaxConnectionsPerChild: a child that has served its share is replaced by a
# new one, again and again under load, and no request fails for it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Load;

my $srv = MPMX::Server->new(
    sizing => { StartServers => 2, ServerLimit => 8, ThreadsPerChild => 8, MaxRequestWorkers => 32,
                MinSpareThreads => 8, MaxSpareThreads => 32 },
    conf   => 'MaxConnectionsPerChild 60',
);
$srv->start;

my %seen = map { $_ => 1 } $srv->children;
my $short = MPMX::Load->start(port => $srv->port, clients => 4, keepalive => 0, pause => 0.06);
my $long  = MPMX::Load->start(port => $srv->port, clients => 6, pause => 0.02);
my $new = $srv->wait_for(sub { $seen{$_} = 1 for $srv->children; keys %seen >= 7 }, 15);
ok($new, 'at least five children were replaced') or diag('pids: ' . join ' ', sort keys %seen);

my ($s, $l) = ($short->stop, $long->stop);
is(MPMX::Load->failures($s), 0, 'no failed request, a connection each') or diag(MPMX::Load->text($s));
is(MPMX::Load->failures($l), 0, 'no failed request, keep-alive') or diag(MPMX::Load->text($l));
cmp_ok($s->{ok}, '>=', 200, 'enough connections to tell');
ok($srv->wait_for(sub { $srv->children >= 1 && $srv->get('/index.html')->{status} == 200 }, 5), 'still serving');
ok(!$srv->logged(MPMX::Server->ah('full') . '|AH03490'), 'no complaint about limits');

$srv->finish;
done_testing;
