# One child serves everything: ThreadsPerChild requests at a time, one more waits,
# and there is never a second process that serves, except for the change from one
# to the next.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(sleep);

MPMX::Server->only_for(['winnt'], 'has many children');

my $srv = MPMX::Server->new(handlers => 1, modules => ['status'], conf => "ThreadsPerChild 12\nThreadLimit 12\n", sizing => { ThreadsPerChild => undef });
$srv->start;

for my $round ('started', 'USR1', 'HUP') {
    ok($srv->renewed_by($round), "$round: restarted") if $round ne 'started';
    my @children = $srv->children;
    is(scalar @children, 1, "$round: one child");
    my @held = $srv->hold(12, 'busy');
    is(scalar @held, 12, "$round: ThreadsPerChild requests at a time");
    my $more = $srv->connect;
    $more->send_request('/mpmxt/id', close => 1);
    ok(!$more->response_head(1.5), "$round: one more waits");
    is(join(' ', $srv->children), "@children", "$round: no other child was started for it");
    is($srv->release('busy', @held), 12, "$round: all were answered");
    like($more->response->{body}, qr/pid=$children[0]\b/, "$round: and the one that waited, by the same child");
    my $status;
    $srv->wait_for(sub { $status = $srv->status; ($status->{IdleWorkers} || 0) + ($status->{BusyWorkers} || 0) == 12 }, 5);
    is($status->{IdleWorkers} + $status->{BusyWorkers}, 12, "$round: mod_status counts its threads");
}
is($srv->logged('AH00326: server reached ThreadsPerChild setting'), 1, 'that all were busy was logged once');

$srv->finish;
done_testing;
