# A child that dies takes its clients with it, and nobody else: each kind of
# client sees what docs/restarts.md says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Restarts;

my $bed = MPMX::Restarts->new('A child dies');
my $old = $bed->begin;
$bed->queue_while(sub {
    kill 'KILL', $old;
    ok(MPMX::Server::wait_for(sub { $bed->old_is_gone }, 10), 'the child is gone');
});
$bed->knock_until(sub { $bed->renewed });
$bed->compare;
$bed->finish(qr/AH00052: child pid \d+ exit signal Killed/);
done_testing;
