# While handlers block and nothing else is to be done, the thread that looks after them sleeps: once it
# is known that they do, nobody looks at them any more. Whatever comes then is served as always, also if it blocks, too.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

plan(skip_all => 'the system does not show context switches') unless MPMX::Server::Proc::HAVE_PROC();

my $threads = 12;
my $srv = MPMX::Server->new(
    handlers => 1,
    sizing   => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => $threads, MaxRequestWorkers => $threads,
                  MinSpareThreads => 1, MaxSpareThreads => $threads },
);
$srv->start;
my ($child) = $srv->children;

# How often the first thread of the child has waited, which looks after the others.
sub waits {
    return MPMX::Server::Proc::thread_usage($child)->{$child}{voluntary};
}

sub per_second {
    my ($start, $before) = (time, waits());
    sleep 1;
    return (waits() - $before) / (time - $start);
}

sub nobody_looks {
    my ($what) = @_;
    my $rate;
    ok($srv->wait_for(sub { ($rate = per_second()) < 20 }, 15), "$what: nobody looks") or diag("$rate waits per second");
    note(sprintf '%s: %.0f waits per second', $what, $rate);
}

my @held;
for my $n (1, 4, 6) {
    push @held, $srv->hold($n, 'inside');
    my $blocked = @held;
    nobody_looks("$blocked handlers block");
    my $served = grep { $srv->get('/index.html', timeout => 10)->{status} == 200 } 1 .. 50;
    is($served, 50, 'others are served meanwhile');
    nobody_looks('and when they are');
}
# Now all threads are taken. Who comes back first serves those that come.
my @last = $srv->hold(1, 'last');
is(scalar @last, 1, 'one more');
nobody_looks('all threads are blocked');
is($srv->release('last', @last), 1, 'one of them comes back');
is($srv->get('/index.html', timeout => 10)->{status}, 200, 'and serves');
is($srv->release('inside', @held), 11, 'all go on');
nobody_looks('nobody blocks');
$srv->finish;
done_testing;
