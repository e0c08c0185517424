# A graceful stop finishes what is in progress and closes the rest: each kind of
# client sees what docs/restarts.md says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Restarts;

my $bed = MPMX::Restarts->new('Graceful stop');
$bed->begin;
my $said = MPMX::Server->ah('graceful_stop');
$bed->queue_while(sub {
    $bed->{srv}->signal('WINCH');
    ok($bed->{srv}->wait_logged($said, 10), 'the parent has told its child');
});
ok(MPMX::Server::wait_for(sub { $bed->leaves(1) }, 10), 'the child finishes');
ok(MPMX::Server::wait_for(sub { $bed->{srv}->connect->{error} }, 10), 'and has let go of the port');
$bed->knock_until(sub { 1 });
$bed->compare;
ok(MPMX::Server::wait_for(sub { !$bed->{srv}->all_pids }, 20), 'the server ends when its clients are gone');
$bed->finish;
done_testing;
