# Connections that are asleep fare in restarts and stops as those that are awake:
# a graceful restart leaves them as they were, in the new child; without
# GracefulHandover they are good for one more request at least; a graceful
# stop closes them, properly, and ends without waiting for them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Sleepers;
use Time::HiRes qw(time sleep);

MPMX::Sleepers->only_here;
my $slow = MPMX::Server::slowness();
my $srv = MPMX::Sleepers->server(conf => "KeepAliveTimeout 30\nGracefulHandover Off",
                                 c_modules => [qw(mod_mpmxt_connections mod_mpmxt_proc_hooks)]);
$srv->start;

my $many = 20;
sub sleepers {
    my ($what) = @_;
    my @c = map { $srv->connect } 1 .. $many;
    is(scalar(grep { MPMX::Sleepers->watch($_)->{status} == 200 } @c), $many, "$what: connections with a request each");
    ok(MPMX::Sleepers->all_asleep($srv), "$what: asleep");
    return @c;
}

my @c = sleepers('graceful restart');
my ($old) = $srv->children;
$srv->signal('USR1');
ok($srv->wait_for(sub { $srv->logged('resuming normal operations') == 2 && grep { $_ != $old } $srv->children }, 15), 'restarted');
# The new one is there before it accepts, and only then the old one is told.
ok($srv->wait_logged("mpmxt: child_stopping pid $old graceful 1\\b", 10), 'the old child drains');
is($srv->get('/index.html')->{status}, 200, 'serving');
sleep 0.5 * $slow;
is(scalar(grep { $_->still_open } @c), $many, 'all connections are still there');

# In pieces, too, while the child drains.
my $first = shift @c;
$first->send("GET /mpmxt-conn/about HTTP/1.1\r\nHo");
sleep 0.2;
$first->send("st: localhost\r\n\r\n");
my $r = $first->response;
is($r->{status}, 200, 'a head in two pieces is answered');
is(MPMX::Sleepers->pairs($r)->{keepalives}, 1, 'as the second of its connection');
my ($served, $told, $ended) = (0, 0, 0);
for my $c (@c) {
    $r = $c->request('/mpmxt-conn/about', timeout => 5 * $slow);
    $served++ if $r->{status} == 200 && MPMX::Sleepers->pairs($r)->{keepalives} == 1;
    next unless $r->{closing};
    $told++;
    $ended++ if $c->closed_within(5 * $slow);
}
is($served, $many - 1, 'so is one more request on each of the others');
is($ended, $told, 'those told that it is the last are closed, properly');
$_->close for $first, @c;
ok($srv->wait_for(sub { !grep { $_ == $old } $srv->children }, 10), 'then the old child ends');
is($told, $many - 1, 'all were told, without GracefulHandover');

$srv->configure(conf => "$srv->{conf}\nGracefulHandover On");
ok($srv->renewed_by('USR1'), 'from now on with it');
@c = sleepers('handover');
ok($srv->renewed_by('USR1'), 'restarted: the old child has ended');
ok(MPMX::Sleepers->all_asleep($srv), 'handover: still asleep');
$first = shift @c;
$first->send("GET /mpmxt-conn/about HTTP/1.1\r\nHo");
sleep 0.2;
$first->send("st: localhost\r\n\r\n");
$r = $first->response;
is("$r->{status} $r->{closing} " . MPMX::Sleepers->pairs($r)->{keepalives}, '200 0 1', 'a head in two pieces is answered there');
$served = grep { my $a = $_->request('/mpmxt-conn/about', timeout => 5 * $slow); $a->{status} == 200 && !$a->{closing} && MPMX::Sleepers->pairs($a)->{keepalives} == 1 } @c;
is($served, $many - 1, 'so is a request on each of the others, and none is told to close');
$_->close for $first, @c;

for my $how (['WINCH', 'graceful stop'], ['TERM', 'stop']) {
    my ($sig, $what) = @$how;
    @c = sleepers($what);
    my $t0 = time;
    $srv->signal($sig);
    my $closed = grep { $_->closed_within(5 * $slow) } @c;
    is($closed, $many, "$what: all are closed, none is reset");
    ok($srv->wait_for(sub { !$srv->all_pids }, 10), "$what: the server ends");
    cmp_ok(time - $t0, '<', 5 * $slow, 'soon');
    $_->close for @c;
    $srv->start if $sig ne 'TERM';
}

$srv->finish;
done_testing;
