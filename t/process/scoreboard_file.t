# ScoreBoardFile: with a scoreboard that has a name the server starts, restarts,
# replaces children, answers /server-status, and leaves nothing that would keep
# the next one from starting.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

MPMX::Server->need_modules('status');

my $srv = MPMX::Server->new(modules => ['status'], conf => 'ScoreBoardFile run/scoreboard');
my $file = $srv->path('run/scoreboard');

for my $round (1, 2) {
    $srv->start;
    is($srv->status->{ServerMPM}, MPMX::Server::single() ? 'WinNT' : MPMX::Server::mpm(), "start $round: mod_status answers");
    for my $sig (qw(USR1 HUP)) {
        my %old = map { $_ => 1 } $srv->children;
        $srv->signal($sig);
        ok($srv->wait_for(sub { my @now = $srv->children; @now && !grep { $old{$_} } @now }, 15), "$sig: all children are new");
        ok($srv->wait_for(sub { my $st = $srv->status; ($st->{IdleWorkers} || 0) >= 8 }, 5), "$sig: mod_status shows their threads");
    }
    my ($victim) = $srv->children;
    kill 'KILL', $victim;
    ok($srv->wait_for(sub { !grep { $_ == $victim } $srv->children }, 5), 'a child is killed');
    ok($srv->wait_for(sub { ($srv->status->{BusyWorkers} || 0) == 1 }, 5), 'mod_status: one busy thread, its own');
    $srv->stop;
    # Whether such memory is a file is up to APR.
    ok(!-e $file, "stop $round: no file is left");
}

$srv->finish(qr/exit signal Killed/);
done_testing;
