# Where one child serves everything, another takes its place within moments of
# its death, whatever it died of: only requests that were in it are lost; who
# comes before the other is there waits for it, and is answered.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

my $slow = MPMX::Server::slowness();
my $delay = 0.4 * $slow;
my $srv = MPMX::Server->new(
    handlers  => 1,
    c_modules => ['mod_mpmxt_proc_exit'],
    sizing    => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 16, MaxRequestWorkers => 16,
                   MinSpareThreads => 1, MaxSpareThreads => 16 },
    conf      => "MpmxtStartDelay ${\ int(1000 * $delay)} \@DIR\@/marks/slow",
);
$srv->start;

# Sanitizers have their own opinion of SIGABRT.
my @deaths = ('signal?9', $slow > 1 ? () : 'signal?6', 'exit?0', 'exit?3');
my ($died, $within) = (0, {});
while (@deaths) {
    my $death = shift @deaths;
    # Three in a row are replaced at once, for more of them see crash_loop.t.
    sleep 1.2 if ++$died > 2;
    my ($victim) = $srv->children;
    my @inside = $srv->hold(3, 'inside');
    my $idle = $srv->connect;
    is($idle->request('/index.html')->{status}, 200, "$death: an idle connection");
    my $c = $srv->connect;
    $c->send_request("/mpmxt/$death", close => 1);
    my $t0 = time;
    ok($srv->wait_for(sub { my @now = $srv->children; @now && !grep { $_ == $victim } @now }, 10), "$death: another child is there");
    my $took = time - $t0;
    my $r = $srv->get('/mpmxt/id?0', timeout => 5);
    is($r->{status}, 200, "$death: and serves");
    my $served = time - $t0;
    note(sprintf '%s: started after %.0f ms, served after %.0f ms', $death, 1e3 * $took, 1e3 * $served);
    # A busy machine may spoil one, so there are some.
    $within->{$death} = $served if !$within->{$death} || $served < $within->{$death};
    push @deaths, $death if $served >= 0.5 && $died < 12;
    is(scalar(grep { my $body = $_->[0]->body($_->[1], 5); $body->{error} } @inside), 3, "$death: requests in it are lost");
    is($c->response(5)->{status}, 0, "$death: as is that which ended it");
    ok($idle->closed_within(5) || $idle->{error} eq 'reset', "$death: and the idle connection");
}

cmp_ok($within->{$_}, '<', 0.5 * $slow, "$_: within moments") for sort keys %$within;

$srv->write('marks/slow', '');
my ($victim) = $srv->children;
my $t0 = time;
kill 'KILL', $victim;
$srv->wait_for(sub { !MPMX::Server::Proc::alive($victim) }, 5);
my @early = map { my $c = $srv->connect; $c->send_request('/index.html', close => 1); $c } 1 .. 10;
is(scalar(grep { $_->response(10)->{status} == 200 } @early), 10, 'who comes before the other is there is answered');
cmp_ok(time - $t0, '>', 0.7 * $delay, sprintf 'by that one (%.2f s)', time - $t0);
ok($srv->wait_for(sub { $srv->children == 1 }, 5), 'there is one child again');

$srv->finish(qr/AH0005[12]: child pid \d+ exit signal/);
done_testing;
