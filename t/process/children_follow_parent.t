# When the parent is killed its children end by themselves within five seconds,
# idle ones and ones with connections alike, so that a new server can start.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

my $most = 5 * MPMX::Server::slowness();
my $srv = MPMX::Server->new(handlers => 1);
for my $case ('idle', 'with connections') {
    my ($gone, $took);
    # Once more if they did end, but late, as they may on a busy machine.
    for (1, 2) {
        $srv->start;
        ok($srv->wait_for(sub { $srv->children >= 1 }, 5), "$case: children run");
        my @c = $case eq 'idle' ? () : map { $srv->connect } 1 .. 6;
        for my $i (0 .. $#c) { $c[$i]->request('/index.html') if $i % 2 }
        kill 'KILL', $srv->pid;
        my $t0 = time;
        $gone = $srv->wait_for(sub { !$srv->all_pids }, 10);
        $took = time - $t0;
        kill 'KILL', $srv->all_pids if !$gone;
        $srv->wait_for(sub { !$srv->all_pids }, 5);
        # It names the killed parent, which may still be there as a zombie.
        unlink $srv->path('run/httpd.pid');
        last if !$gone || $took < $most;
    }
    ok($gone && $took < $most, sprintf '%s: all children ended within five seconds (%.1f s)', $case, $took);
}
$srv->start;
is($srv->get('/index.html')->{status}, 200, 'a new server starts and serves');

$srv->finish;
done_testing;
