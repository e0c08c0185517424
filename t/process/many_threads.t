# The largest ThreadLimit is accepted and served with, and a child really has the
# threads that ThreadsPerChild says, as many as hundreds: all of them serve at a
# time. Where a thread is not kept by its connection, they are started when they are
# needed; mod_status shows them as idle all the same.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

# Of event's largest, 100000, the scoreboard would take a quarter of a gigabyte.
my $limit = { event => 20_000, worker => 20_000, winnt => 15_000 }->{ MPMX::Server::mpm() };
my $threads = 400;
my $srv = MPMX::Server->new(
    handlers => 1,
    modules  => ['status'],
    # A stack each, not more than they need; sanitizers need more.
    conf     => MPMX::Server::slowness() > 1 ? '' : 'ThreadStackSize 262144',
    sizing   => { StartServers => 1, ServerLimit => 1, ThreadLimit => $limit, ThreadsPerChild => $threads,
                  MaxRequestWorkers => $threads, MinSpareThreads => 1, MaxSpareThreads => $threads },
);
$srv->start;
unlike($srv->{start_output}, qr/WARNING/, "ThreadLimit $limit: no warning") or diag($srv->{start_output});

for my $round ('started', 'USR1', 'HUP') {
    ok($srv->renewed_by($round), "$round: restarted") if $round ne 'started';
    my %is = $srv->get('/mpmxt/query')->{body} =~ /^(\d+)=(\S+)/mg;
    is("$is{5} $is{6}", "$limit $threads", "$round: limit and number as configured");
    my $shown = sub { my $s = $srv->status; ($s->{IdleWorkers} || 0) + ($s->{BusyWorkers} || 0) };
    ok($srv->wait_for(sub { $shown->() == $threads }, 10), "$round: mod_status shows so many") or diag($shown->());
    SKIP: {
        skip 'counts threads in /proc', 1 unless MPMX::Server::Proc::HAVE_PROC;
        my ($child) = $srv->children;
        my $at_once = MPMX::Server::mpm() eq 'worker' ? $threads : 3;
        my $have = $srv->wait_for(sub { threads_of($child) >= $at_once }, 10) ? threads_of($child) : 0;
        ok($have && $have <= ($at_once == $threads ? $threads + 4 : 40), "$round: a child has no more than it needs")
            or diag($have);
    }
}

sub threads_of { my $n = () = MPMX::Server::Proc::threads($_[0]); return $n }

# A mark, so that the handlers end when all have begun.
$srv->write('marks/many', '');
my @c = map { my $c = $srv->connect; $c->send_request('/mpmxt/hold?many', close => 1); $c } 1 .. $threads;
my @held = map { my $head = $_->response_head(20 * MPMX::Server::slowness()); $head ? [$_, $head] : () } @c;
is(scalar @held, $threads, 'all of them serve at a time');
SKIP: {
    skip 'counts threads in /proc', 1 unless MPMX::Server::Proc::HAVE_PROC;
    my $have = threads_of($srv->children);
    ok($have >= $threads && $have <= $threads + 4, 'each in its thread') or diag($have);
}
is($srv->release('many', @held), $threads, 'and answer');
is($srv->get('/index.html')->{status}, 200, 'serving');

$srv->finish;
done_testing;
