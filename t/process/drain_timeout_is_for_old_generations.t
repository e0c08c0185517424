# GracefulDrainTimeout is for old configurations: a child that is replaced because of
# MaxConnectionsPerChild may take as long as it needs. With the next restart it becomes one of an
# old generation like any other, and its time begins.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

plan skip_all => 'stock has no such deadline' if MPMX::Server->is_stock;

my $secs = 1;
my $srv = MPMX::Server->new(
    handlers => 1,
    conf     => "MaxConnectionsPerChild 5\nGracefulDrainTimeout $secs",
    sizing   => { StartServers => 1, ServerLimit => 2, ThreadsPerChild => 4, MaxRequestWorkers => 4,
                  MinSpareThreads => 1, MaxSpareThreads => 4 },
);
$srv->start;
my @held = $srv->hold(1, 'held');
# With every request the child that serves comes nearer to its end; the one with ours does, too.
my %others;
ok($srv->wait_for(sub { my ($by) = $srv->get('/mpmxt/id?0')->{body} =~ / pid=(\d+) /; $others{ $by || 0 } = 1; keys %others > 2 }, 15),
   'children are replaced, also the one that is at work');
my $client = $held[0][0];
sleep 2.5 * $secs;
ok($client->still_open, 'it is not cut off after GracefulDrainTimeout');
ok(!$srv->logged('GracefulDrainTimeout'), 'nor does the log say so');

my $t0 = time;
$srv->signal('USR1');
ok($srv->wait_for(sub { !$client->still_open }, 15), 'after a restart it is');
my $took = time - $t0;
cmp_ok($took, '>', $secs - 0.1, sprintf 'not before its time (%.2f s)', $took);
cmp_ok($took, '<', $secs + 5 * MPMX::Server::slowness(), 'but then');
ok($srv->wait_logged("generation 0: GracefulDrainTimeout \\($secs s\\) is over", 5), 'as the log says');
unlink $srv->path('marks/held');

$srv->finish;
done_testing;
