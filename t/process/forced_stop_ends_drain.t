# A stop or restart at once is obeyed within five seconds even while children of
# an earlier generation, or the present one, are stuck in slow requests. An MPM
# with one child has only the restart that lets them finish.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

my $srv = MPMX::Server->new(handlers => 1);
my $most = 5 * MPMX::Server::slowness();
my $took;

sub drain {
    my ($name) = @_;
    my %old = map { $_ => 1 } $srv->children;
    my @stuck = $srv->hold(3, $name);
    is(scalar @stuck, 3, 'slow requests are running');
    $srv->signal('USR1');
    ok($srv->wait_for(sub { grep { !$old{$_} } $srv->children }, 10), 'a new generation serves');
    ok((grep { $old{$_} } $srv->children), 'an old child is draining');
    return @stuck;
}

for my $sig (qw(TERM INT)) {
    # Once more if it was late, as it may be on a busy machine.
    for (1, 2) {
        $srv->start;
        my @stuck = drain("drain-$sig");
        $took = $srv->stop(signal => $sig, within => 25);
        ok(!-e $srv->path('run/httpd.pid'), "$sig: no pid file left");
        $_->[0]->close for @stuck;
        last if $took < $most;
    }
    cmp_ok($took, '<', $most, sprintf '%s: all ended within five seconds (%.1f s)', $sig, $took);
}

if (MPMX::Server::single()) {
    $srv->start;
    my @stuck = drain('drain-HUP');
    my %old = map { $_ => 1 } $srv->children;
    $srv->signal('HUP');
    ok($srv->wait_for(sub { grep { !$old{$_} } $srv->children }, 10), 'HUP: a new generation serves');
    is($srv->release('drain-HUP', @stuck), 3, 'HUP: slow requests finish');
    $srv->finish(qr/AH00046/);
    done_testing;
    exit 0;
}

$srv->start;
for (1, 2) {
    my @stuck = drain('drain-HUP');
    my %old = map { $_ => 1 } $srv->children;
    my $t0 = time;
    $srv->signal('HUP');
    ok($srv->wait_for(sub { my @now = $srv->children; @now && !grep { $old{$_} } @now }, 25),
       'HUP: all children are new');
    $took = time - $t0;
    last if $took < $most;
}
cmp_ok($took, '<', $most, sprintf 'HUP: within five seconds (%.1f s)', $took);
is($srv->get('/index.html')->{status}, 200, 'HUP: serving');

$srv->finish(qr/AH00046/);
done_testing;
