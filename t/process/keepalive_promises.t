# A client that was told to keep its connection may rely on it: graceful restarts,
# children that leave because there are more than MaxSpareThreads, and (where
# idle connections are not closed then) a graceful stop neither reset nor close
# it, without a "Connection: close" in an answer before.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Load;
use Time::HiRes qw(time sleep);

my $worker = MPMX::Server::mpm() eq 'worker';
my $keep = 5 * MPMX::Server::slowness();
my $srv = MPMX::Server->new(
    handlers  => 1,
    c_modules => ['mod_mpmxt_proc_hooks'],
    sizing    => { StartServers => 2, ServerLimit => 8, ThreadsPerChild => 8, MaxRequestWorkers => 64,
                   MinSpareThreads => 8, MaxSpareThreads => 16 },
    # Longer than any client here pauses, so that the end of it is no reason to close.
    conf      => "KeepAliveTimeout $keep",
);
$srv->start;

# Busy clients, and ones that are between two requests most of the time.
sub loads {
    my (@more) = @_;
    return (MPMX::Load->start(port => $srv->port, clients => 6, pause => 0.01, @more),
            MPMX::Load->start(port => $srv->port, clients => 10, pause => 0.5, @more));
}

sub check {
    my ($what, @loads) = @_;
    for my $n (map { $_->stop } @loads) {
        is($n->{reset} + $n->{eof}, 0, "$what: no connection was lost") or diag(MPMX::Load->text($n));
        is($n->{timeout} + $n->{bad}, 0, "$what: no request, either") or diag(MPMX::Load->text($n));
        cmp_ok($n->{ok}, '>', 20, "$what: the load went on");
    }
    return;
}

my @loads = loads();
for my $i (1 .. 4) {
    ok($srv->renewed_by('USR1'), "graceful restart $i");
    sleep 0.2;
}
check('graceful restarts', @loads);

SKIP: {
    skip 'one child, which does not leave', 9 if MPMX::Server::single();
    my @held = $srv->hold(30, 'busy');
    ok($srv->wait_for(sub { $srv->children >= 5 }, 15), 'many children');
    @loads = loads();
    is($srv->release('busy', @held), 30, 'most of their threads become idle');
    # Clients of an MPM with a thread for each take as many threads as they are.
    ok($srv->wait_for(sub { $srv->children <= ($worker ? 4 : 3) }, 20), 'children leave') or diag(scalar $srv->children);
    check('MaxSpareThreads', @loads);
}

# An idle connection of a child that drains.
my ($idle, $old, $r, $stays, $began);
my $restarts = 4;
# Again if the restart took so long that the connection's own time may have been over.
for (1 .. 4) {
    $idle = $srv->connect;
    $began = time;
    ($old) = $idle->request('/mpmxt/id?0')->{body} =~ /pid=(\d+)/;
    $srv->signal('USR1');
    $restarts++;
    ok($srv->wait_for(sub { my ($new) = $srv->get('/mpmxt/id?0')->{body} =~ /pid=(\d+)/; $new && $new != $old && $srv->logged('mpm_\w+:notice.*SIGUSR1 received') >= $restarts }, 10), 'a graceful restart');
    # The new one may answer before the old one is told. (httpd's own run this hook at the end.)
    ok($srv->wait_logged("mpmxt: child_stopping pid $old graceful 1\\b", 10), 'the old child drains')
        unless MPMX::Server->is_stock;
    sleep 0.3;
    $stays = $idle->still_open;
    $r = $idle->request('/mpmxt/id?0');
    last if time - $began < 0.9 * $keep;
}
ok($stays, 'an idle connection stays');
is($r->{status}, 200, 'it is good for one more request');
SKIP: {
    skip 'others hand it over', 3 unless $worker;
    like($r->{body}, qr/pid=$old\b/, 'which the draining child serves');
    is($r->{closing}, 1, 'saying that it was the last one');
    ok($idle->closed_within(5 * MPMX::Server::slowness()), 'and then it is closed');
}
$idle->close;
ok($srv->wait_for(sub { !grep { $_ == $old } $srv->children }, 20), 'that child ends');

SKIP: {
    skip 'a graceful stop closes idle connections', 7 unless $worker;
    # Clients that stay away once they were told, because nobody is there any more.
    @loads = loads(once => 1);
    sleep 2;
    $srv->signal('WINCH');
    ok($srv->wait_for(sub { !$srv->all_pids }, 20), 'graceful stop: the server ends');
    check('graceful stop', @loads);
}

$srv->finish;
done_testing;
