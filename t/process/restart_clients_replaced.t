# MaxConnectionsPerChild cuts nobody off: each kind of client sees what
# docs/restarts.md says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Restarts;

my $bed = MPMX::Restarts->new('A child is replaced', conf => "MaxConnectionsPerChild 40\n");
$bed->begin;
ok(!$bed->leaves(1), 'the child has its clients');
my ($tries, $served) = (0, 0);
# Each of them waits in the queue, also the one that is the child's last.
while (!$bed->leaves(1) && $tries < 60) {
    $tries++;
    $bed->queue_while(sub { });
    $served++ if $bed->{queued}->response->{status} == 200;
    $bed->{queued}->close;
}
is($served, $tries, 'clients are served until it has had enough');
$bed->{seen}{'in the queue'} = 'served';
delete $bed->{queued};
$bed->knock_until(sub { $bed->renewed });
$bed->finishes;
$bed->compare;
ok(MPMX::Server::wait_for(sub { $bed->old_is_gone }, 20), 'and is gone when its clients are');
$bed->finish;
done_testing;
