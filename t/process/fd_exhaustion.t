# A child that runs out of file descriptors pauses accepting: it neither ends
# nor spins, logs little, and serves again as soon as there are descriptors.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

my $srv = MPMX::Server->new(
    nofile => 64,
    sizing => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 16, MaxRequestWorkers => 16,
                MinSpareThreads => 1, MaxSpareThreads => 16, AsyncRequestWorkerFactor => 100 },
    conf   => "KeepAliveTimeout 60\nAcceptFilter http none\n",
);
$srv->start;
my ($child) = $srv->children;

for my $kind ('silent', 'keep-alive') {
    # A handler that finds no descriptor for its file has a word of its own (core's), and its client a 403.
    my $without_file = $srv->logged('AH00132');
    my $logged = $srv->logged("\n") - $without_file;
    my @many = map { $srv->connect } 1 .. 120;
    if ($kind eq 'keep-alive') { $_->send_request('/index.html') for @many }
    # Let it run into the wall, and watch what it does there.
    sleep 1;
    my $cpu = MPMX::Server::Proc::cpu_seconds($child);
    sleep 2;
    $cpu = MPMX::Server::Proc::cpu_seconds($child) - $cpu;
    cmp_ok($cpu, '<', 0.6, sprintf '%s connections: no spin (%.2f s CPU in 2 s)', $kind, $cpu);
    my $now_without = $srv->logged('AH00132');
    my $lines = $srv->logged("\n") - $now_without - $logged;
    cmp_ok($lines, '<=', 8, "$kind connections: few lines logged") or diag("$lines lines");
    cmp_ok($now_without - $without_file, '<', @many / 2, "$kind connections: most requests find their files");
    is(join(' ', $srv->children), $child, "$kind connections: the child lives");
    $_->close for @many;
    ok($srv->wait_for(sub { $srv->get('/index.html', timeout => 3)->{status} == 200 }, 10),
       "$kind connections: serves again when they are gone");
}
my $bad = grep { $srv->get('/index.html')->{status} != 200 } 1 .. 20;
is($bad, 0, 'and goes on serving');
is(join(' ', $srv->children), $child, 'in the same child');

$srv->finish;
done_testing;
