# A stop at once cuts off what is in progress and nothing else: each kind of
# client sees what docs/restarts.md says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Restarts;

my $bed = MPMX::Restarts->new('Stop');
$bed->begin;
$bed->queue_while(sub { $bed->{srv}->signal('TERM') });
ok(MPMX::Server::wait_for(sub { !$bed->{srv}->all_pids }, 20), 'the server ends');
$bed->knock_until(sub { 1 });
$bed->compare;
$bed->finish;
done_testing;
