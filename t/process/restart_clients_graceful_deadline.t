# A graceful stop with GracefulShutdownTimeout ends everybody then: each kind of
# client sees what docs/restarts.md says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Restarts;

# Time runs while the child stands still, too; then it serves, and closes properly, who need not be cut off.
my $bed = MPMX::Restarts->new('When GracefulShutdownTimeout is over', conf => "GracefulShutdownTimeout 5\n");
$bed->begin;
my $said = MPMX::Server->ah('graceful_stop');
$bed->queue_while(sub {
    $bed->{srv}->signal('WINCH');
    ok($bed->{srv}->wait_logged($said, 10), 'the parent has told its child');
});
ok(MPMX::Server::wait_for(sub { !$bed->{srv}->all_pids }, 20), 'the server ends while it has clients');
$bed->knock_until(sub { 1 });
$bed->compare;
$bed->finish;
done_testing;
