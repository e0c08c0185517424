# A child that ends with APEXIT_CHILDSICK is replaced. Even when every child
# ends so for a while, the server neither stops nor spins, and it serves again
# as soon as the cause is gone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my $srv = MPMX::Server->new(
    handlers  => 1,
    c_modules => ['mod_mpmxt_proc_exit'],
    conf      => 'MpmxtExit child_init 7 @DIR@/marks/sick',
    sizing    => { StartServers => 2, MinSpareThreads => 16 },
);
$srv->start;
my @before = $srv->children;
my $r = $srv->get('/mpmxt/exit?7', timeout => 5);
is($r->{status}, 0, 'a handler ended its process with that code');
ok($srv->wait_for(sub { my @now = $srv->children; @now >= $srv->first_children && "@now" ne "@before" }, 8), 'another child took its place');
is($srv->get('/index.html')->{status}, 200, 'still serving');

SKIP: {
    skip 'httpd stops when all children are sick', 3 if MPMX::Server->is_stock;
    $srv->write('marks/sick', '');
    my $at = $srv->logged('mpmxt: ending');
    kill 'KILL', $srv->children;
    $srv->wait_for(sub { 0 }, 4 / MPMX::Server::slowness());
    ok($srv->running, 'all children sick: the server goes on');
    my $forks = $srv->logged('mpmxt: ending') - $at;
    cmp_ok($forks, '<=', 60, "no spin: $forks children in four seconds");
    unlink $srv->path('marks/sick');
    ok($srv->wait_for(sub { $srv->get('/index.html', timeout => 15)->{status} == 200 }, 20), 'cause gone: serves again');
}

$srv->finish(qr/exit signal Killed/);
done_testing;
