# A graceful restart cuts nobody off: each kind of client sees what
# docs/restarts.md says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Restarts;

my $bed = MPMX::Restarts->new('Graceful restart');
$bed->begin;
# The old child stands still: only the new one can take the client from the queue.
$bed->queue_while(sub {
    $bed->{srv}->signal('USR1');
    $bed->knock_until(sub { $bed->renewed });
});
$bed->finishes;
$bed->compare;
ok(MPMX::Server::wait_for(sub { $bed->old_is_gone }, 20), 'and is gone when its clients are');
$bed->finish;
done_testing;
