# A graceful restart leaves idle keep-alive connections usable for one more
# request at least, and where the MPM is asynchronous as they were, in the new
# children: it is answered, without Connection: close (a thread that waits for its
# client stays in the old child, and says so), and none of them is closed before its
# KeepAliveTimeout.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

# An MPM that is not asynchronous needs a thread for each of them.
my $slow = MPMX::Server::slowness();
# Longer than all this takes on a busy machine: what is closed before is closed for the restart.
my $srv = MPMX::Server->new(conf => 'KeepAliveTimeout 60', sizing => { ThreadsPerChild => 16, MaxRequestWorkers => 64, MinSpareThreads => 1, MaxSpareThreads => 64 });
$srv->start;

my @idle = map { $srv->connect } 1 .. 30;
is(scalar(grep { $_->request('/index.html')->{status} == 200 } @idle), 30, '30 connections had a request each');
my %old = map { $_ => 1 } $srv->children;
my $resumed = $srv->logged('resuming normal operations');
$srv->signal('USR1');
ok($srv->wait_for(sub { $srv->logged('resuming normal operations') > $resumed
                            && grep { !$old{$_} } $srv->children }, 15), 'restarted gracefully');
is($srv->get('/index.html')->{status}, 200, 'serving');
sleep 2;
is(scalar(grep { $_->still_open } @idle), 30, 'all connections are still there');

my $travel = !MPMX::Server->is_stock && MPMX::Server::mpm() ne 'worker';
ok($srv->wait_for(sub { !grep { $old{$_} } $srv->children }, 5), 'the old children have handed them over') if $travel;

my ($served, $told) = (0, 0);
for my $c (@idle) {
    my $r = $c->request('/index.html', timeout => 5 * $slow);
    next unless $r->{status} == 200;
    $served++;
    next unless $r->{closing};
    $told++;
    $c->{told} = 1;
}
is($served, 30, 'and all were served once more');
is($told, 0, 'none was told to close') if $travel;
my @kept = grep { !$_->{told} } @idle;
is(scalar(grep { $_->request('/index.html')->{status} == 200 } @kept), scalar @kept, 'those not told to close once again');
is(scalar(grep { $_->{told} && $_->closed_within(5 * $slow) } @idle), $told, 'those told to close were closed properly');
$_->close for @idle;
ok($srv->wait_for(sub { !grep { $old{$_} } $srv->children }, 10), 'then the old children are gone');

$srv->finish;
done_testing;
