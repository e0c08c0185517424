# MinSpareThreads, MaxSpareThreads: the number of children grows while threads
# are busy, so that spare ones remain, and shrinks again when they are not;
# nobody's request is lost over it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

MPMX::Server->only_for([qw(event worker)], 'one child, which has all workers from the start');

my $srv = MPMX::Server->new(
    handlers => 1,
    modules  => ['status'],
    # One of four threads may be busy, or not there yet, when the parent looks first.
    sizing   => { StartServers => 1, ServerLimit => 8, ThreadsPerChild => 4, MaxRequestWorkers => 32,
                  MinSpareThreads => 3, MaxSpareThreads => 8 },
);
$srv->start;
is(scalar $srv->children, 1, 'StartServers 1: one child');

my @held = $srv->hold(16, 'busy');
is(scalar @held, 16, '16 requests are being handled');
ok($srv->wait_for(sub { $srv->children >= 5 }, 15), 'five children: 16 busy threads and 3 to spare at least')
    or diag(scalar $srv->children . ' children');
# A child's threads begin after it does, and who was asked before may not be at rest again.
my $st;
$srv->wait_for(sub { $st = $srv->status; ($st->{BusyWorkers} || 0) == 17 && $st->{IdleWorkers} >= 3 }, 5);
is($st->{BusyWorkers}, 17, 'mod_status counts the busy ones (and its own)');
cmp_ok($st->{IdleWorkers}, '>=', 3, 'and the idle ones');

is($srv->release('busy', @held), 16, 'all 16 were answered');
ok($srv->wait_for(sub { $srv->children <= 2 }, 30), 'at most MaxSpareThreads remain')
    or diag(scalar $srv->children . ' children');
sleep 1;
cmp_ok(scalar $srv->children, '>=', 1, 'and not fewer than MinSpareThreads');
is($srv->get('/index.html')->{status}, 200, 'still serving');
ok(!$srv->logged(qr/AH00484|AH03490/), 'no complaint about limits');

$srv->finish;
done_testing;
