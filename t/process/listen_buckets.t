# ListenCoresBucketsRatio: with a set of listening sockets for each core the
# server answers every connection, all children share the work, and both kinds
# of restart keep it so. An MPM with one child takes the directive and has one set.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my $cores = MPMX::Server::Proc::cores();
plan skip_all => 'needs at least two cores' if $cores < 2;
my ($least, $answer) = MPMX::Server::single() ? (1, 1) : ($cores, 2);

my $srv = MPMX::Server->new(
    handlers => 1,
    sizing   => { StartServers => $cores, ServerLimit => 2 * $cores, ThreadsPerChild => 4, MaxRequestWorkers => 8 * $cores,
                  MinSpareThreads => 4 * $cores, MaxSpareThreads => 8 * $cores },
    conf     => 'ListenCoresBucketsRatio 1',
);
my ($rc, $out) = $srv->httpd('-t');
plan skip_all => 'this httpd has no ListenCoresBucketsRatio' if $rc;

# How many children answer, and how many requests fail.
sub round {
    my ($what) = @_;
    my (%pids, $bad);
    $bad = 0;
    for (1 .. 60) {
        my $r = $srv->get('/mpmxt/id', timeout => 5);
        if ($r->{body} =~ /pid=(\d+)/) { $pids{$1}++ } else { $bad++ }
    }
    is($bad, 0, "$what: every connection is answered");
    cmp_ok(scalar keys %pids, '>=', $answer, "$what: by $answer children at least");
    return;
}

$srv->start;
ok($srv->wait_for(sub { $srv->children >= $least }, 5), 'a child for each bucket');
round('start');
for my $sig (qw(USR1 USR1 HUP USR1)) {
    my %old = map { $_ => 1 } $srv->children;
    $srv->signal($sig);
    ok($srv->wait_for(sub { my @now = $srv->children; @now >= $least && !grep { $old{$_} } @now }, 15), "$sig: all children are new");
    round($sig);
}
for my $victim ($srv->children) {
    kill 'KILL', $victim;
    ok($srv->wait_for(sub { my @now = $srv->children; @now >= $least && !grep { $_ == $victim } @now }, 5), 'a killed child is replaced');
}
round('after that');

$srv->finish(qr/exit signal Killed/);
done_testing;
