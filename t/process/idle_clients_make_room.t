# Where each connection keeps a thread, idle clients do not keep others out:
# while requests wait for a thread, the connection that has been idle the
# longest, a second at least, is given up, properly, one for each that waits.
# Active connections are not touched, nor is any while nobody has to wait.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Load;
use Time::HiRes qw(time sleep);

MPMX::Server->only_for(['worker'], 'idle connections need no threads');
plan(skip_all => "httpd's own worker keeps idle connections whoever waits") if MPMX::Server::is_stock();
# A pollset of APR does not show the descriptor that would tell.
plan(skip_all => 'with this poller nobody learns that requests wait')
    unless MPMX::Server::Proc::slurp(MPMX::Server::Toolchain::mpm_so()) =~ /\bepoll_create1\b/;

my $slow = MPMX::Server::slowness();
my $soon = 3 * $slow;

sub server {
    my ($children) = @_;
    my $srv = MPMX::Server->new(
        handlers => 1,
        sizing   => { StartServers => $children, ServerLimit => $children, ThreadsPerChild => 4,
                      MaxRequestWorkers => 4 * $children, MinSpareThreads => 1, MaxSpareThreads => 4 * $children },
        conf     => 'KeepAliveTimeout 60',
    );
    return $srv->start;
}

# A connection that has had an answer; {asked} and {since} are when that was due and there. The server's
# clock has started in between.
sub served {
    my ($srv) = @_;
    my $c = $srv->connect;
    $c->{asked} = time;
    my $r = $c->request('/index.html');
    $c->{since} = time;
    return $r->{status} == 200 ? $c : ();
}

sub open_ones { return scalar grep { $_->still_open } @_ }

my $srv = server(1);

# Nobody waits.
my @old = map { sleep 0.9 if $_ > 1; served($srv) } 1 .. 4;
is(scalar @old, 4, 'four clients keep four threads');
sleep 2;
is(open_ones(@old), 4, 'while nobody waits they are left alone');

# Somebody waits, one after the other: with a pause, so that it is clear who has been idle the longest.
my (@new, $t0);
for my $i (1 .. 4) {
    $t0 = time;
    push @new, served($srv);
    is(scalar @new, $i, "client $i that comes now is served");
    cmp_ok(time - $t0, '<', $soon, 'soon');
    ok((shift @old)->closed_within($soon), 'the one that was idle the longest is closed, not reset');
    is(open_ones(@old, @new), 4, 'and no other');
    sleep 0.22 if $i < 4;
}

# Those four have not had their second yet.
my ($first) = @new;
my $more = served($srv);
ok($more, 'a client that comes before any of them has been idle for a second is served');
ok($first->closed_within($soon), 'in the place of the first');
cmp_ok($more->{since} - $first->{asked}, '>=', 0.95, 'which had its second');
cmp_ok($more->{since} - $first->{since}, '<', 1 + $soon, 'and not much more');
$_->close for @new, $more;

# Many wait at the same time.
@old = map { served($srv) } 1 .. 4;
$t0 = time;
my @waiting = map { my $c = $srv->connect; $c->send_request('/index.html', close => 1); $c } 1 .. 12;
is(scalar(grep { $_->response(2 * $soon)->{status} == 200 } @waiting), 12, 'twelve that wait together are served');
note(sprintf 'the last one after %.1f s', time - $t0);
$_->close for @old;

# Heads that became complete while their threads were about to be taken.
@old = map { served($srv) } 1 .. 3;
@waiting = map { my $c = $srv->connect; $c->send('GET /index.html HT'); $c } 1 .. 3;
sleep 0.2 * $slow;
my $busy = $srv->connect;
$busy->send_request('/mpmxt/quiet?' . int(400 * $slow), close => 1);
sleep 0.1 * $slow;
$_->send("TP/1.1\r\nHost: localhost\r\n\r\n") for @waiting;
is($busy->response(2 * $soon)->{status}, 200, 'the last thread is busy for a while');
is(scalar(grep { $_->response(2 * $soon)->{status} == 200 } @waiting), 3, 'then heads that were complete by then are served, each');
$_->close for @old, @waiting, $busy;

# Three clients that pause for less than a second, one that does not come back, and others that do
# not get a thread but in its place.
my ($came, $n);
for my $round (1 .. 4) {
    my $active = MPMX::Load->start(port => $srv->port, clients => 3, pause => 0.3);
    sleep 0.5;
    my $idle = served($srv);
    $came = 0;
    for (1 .. 3) {
        my $next = $idle && served($srv) or last;
        $came++ if $idle->closed_within($soon) && $next->{since} - $idle->{asked} >= 0.95;
        $idle = $next;
    }
    $n = $active->stop;
    $idle->close if $idle;
    # Otherwise they have overslept, as they may on a busy machine, and were not active.
    last if $n->{idlest} + $n->{slowest} <= 0.9;
    diag("round $round: " . MPMX::Load->text($n));
}
is($came, 3, 'others come in one after the other, each a second after the last');
is(MPMX::Load->failures($n), 0, 'active connections go on meanwhile') or diag(MPMX::Load->text($n));
is($n->{conns}, 3, 'none of them is given up') or diag(MPMX::Load->text($n));
cmp_ok($n->{ok}, '>', 15, 'and they were active');

# More clients than threads, whose next requests come when they are about to be given up.
my $load = MPMX::Load->start(port => $srv->port, clients => 9, pause => 1.5, patience => 10 * $slow);
sleep 5;
$n = $load->stop;
is($n->{reset} + $n->{timeout} + $n->{refused} + $n->{bad}, 0, 'who comes back just then is served, or finds the connection closed')
    or diag(MPMX::Load->text($n));
note(MPMX::Load->text($n));
cmp_ok($n->{conns}, '>', 9, 'that happened');
$srv->finish;

# Two children; all threads of one of them are kept by idle clients.
$srv = server(2);
my (%of, $full, %there);
ok($srv->wait_for(sub { $there{$1} = 1 if $srv->get('/mpmxt/id?0')->{body} =~ /pid=(\d+)/; keys %there == 2 }, 15), 'two children serve');
while (!$full) {
    my $c = $srv->connect;
    my ($pid) = $c->request('/mpmxt/id?0')->{body} =~ /pid=(\d+)/ or last;
    push @{ $of{$pid} }, $c;
    $full = $pid if @{ $of{$pid} } == 4;
}
my @kept = @{ delete $of{$full} };
$_->close for map { @$_ } values %of;
$load = MPMX::Load->start(port => $srv->port, clients => 2, keepalive => 0, pause => 0.001);
sleep 5;
$n = $load->stop;
is(MPMX::Load->failures($n), 0, 'another child has threads for those who come') or diag(MPMX::Load->text($n));
is(open_ones(@kept), 4, 'then no idle client has to make room for them');
$srv->finish;
done_testing;
