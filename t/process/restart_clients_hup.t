# A restart at once: each kind of client sees what docs/restarts.md says. Where
# there is only the kind of restart that overlaps, that is the same as there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Restarts;

my $bed = MPMX::Restarts->new('Restart');
$bed->begin;
if (MPMX::Server::single()) {
    $bed->queue_while(sub {
        $bed->{srv}->signal('HUP');
        $bed->knock_until(sub { $bed->renewed });
    });
    $bed->finishes;
}
else {
    $bed->queue_while(sub { $bed->{srv}->signal('HUP') });
    ok(MPMX::Server::wait_for(sub { $bed->old_is_gone }, 20), 'the old child ends');
    $bed->knock_until(sub { $bed->renewed });
}
$bed->compare;
ok(MPMX::Server::wait_for(sub { $bed->old_is_gone }, 20), 'and is gone when its clients are');
$bed->finish;
done_testing;
