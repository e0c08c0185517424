# A child that is killed or crashes under load is replaced within two seconds,
# and nobody who comes later notices: only requests that were in the dead one
# are lost. Others go on serving meanwhile; where there is only one child, who
# comes waits a moment for the next.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Load;
use Time::HiRes qw(time sleep);

my $srv = MPMX::Server->new(
    handlers => 1,
    sizing   => { StartServers => 3, ServerLimit => 4, ThreadsPerChild => 8, MaxRequestWorkers => 32,
                  MinSpareThreads => 16, MaxSpareThreads => 32 },
);
$srv->start;
my $many = $srv->first_children;
ok($srv->wait_for(sub { $srv->children == $many }, 10), "children: $many");

# Sanitizers have their own opinion of these signals.
my @signals = $ENV{MPMX_SANITIZER_LOG} ? ('KILL') : qw(KILL SEGV ABRT);
my $clients = 12;
my $load = MPMX::Load->start(port => $srv->port, clients => $clients);
for my $sig (@signals) {
    sleep 1;
    my ($victim) = $srv->children;
    my $t0 = time;
    kill $sig, $victim;
    $srv->wait_for(sub { !MPMX::Server::Proc::alive($victim) }, 5);
    my ($bad, $gets, $took) = (0, 0, 0);
    my $whole = $srv->wait_for(sub {
        my @now = $srv->children;
        $took ||= time - $t0 if @now >= $many && !grep { $_ == $victim } @now;
        $bad++ if $srv->get('/index.html', timeout => 5)->{status} != 200;
        return ++$gets >= 20 && $took;
    }, 10);
    is($bad, 0, "SIG$sig: new connections are served at once");
    ok($whole, "SIG$sig: as many children as before");
    cmp_ok($took, '<', 2 * MPMX::Server::slowness(), sprintf 'SIG%s: within two seconds (%.2f)', $sig, $took);
}
my $n = $load->stop;
my $lost = $n->{reset} + $n->{eof};
cmp_ok($lost, '<=', $clients * @signals, 'only connections of the dead children were lost') or diag(MPMX::Load->text($n));
is($n->{refused} + $n->{timeout} + $n->{bad}, 0, 'no other failure') or diag(MPMX::Load->text($n));
# How much it is, is up to the machine.
cmp_ok($n->{ok}, '>', 10 * $clients, 'the load went on');

my $r = $srv->get('/mpmxt/signal?9', timeout => 5);
is($r->{status}, 0, 'a handler that crashes its process gets no answer out');
ok($srv->wait_for(sub { $srv->children >= $many }, 5), 'and its process is replaced');

$srv->finish(qr/AH0005[12]: child pid \d+ exit signal/);
done_testing;
