# Timed callbacks (ap_mpm_register_timed_callback) run on time, never early, on
# an otherwise idle server: single ones, ones that register again, a thousand
# at once, and ones registered in child_init. An MPM that is not asynchronous
# says that it has none.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(sleep);

my $srv = MPMX::Server->new(
    c_modules => ['mod_mpmxt_proc_timers'],
    conf      => "<Location /timers>\nSetHandler mpmxt-timers\n</Location>",
    sizing    => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 8, MaxRequestWorkers => 8,
                   MinSpareThreads => 1, MaxSpareThreads => 8 },
);
my $slow = MPMX::Server::slowness();

sub seen { return { $srv->get('/timers/seen')->{body} =~ /(\w+)=(-?\d+)/g } }
sub fired_us { return $srv->error_log =~ /mpmxt: timer of \d+ ms fired after (\d+) us/g }

# A busy machine may be late now and then, a timer that is forgotten is so each time.
my $rounds = 3;

# The server must be left alone until the time has come: a request would wake
# a poller that had forgotten its timer.
sub one {
    my ($delay, $again) = @_;
    my $most = ($delay + 500 * $slow) * 1000;
    my $last;
    for my $round (1 .. $rounds) {
        my $n = () = fired_us();
        like($srv->get("/timers/add?1,$delay,$again")->{body}, qr/added=1 failed=0/,
             "a callback in $delay ms, then $again times more");
        ok($srv->wait_for(sub {
            my $now = () = fired_us();
            return $now >= $n + 1 + $again;
        }, ($again + 1) * $delay / 1000 + 5), 'all fired');
        my @us = fired_us();
        splice @us, 0, $n;
        my ($first, @rest) = sort { $a <=> $b } @us;
        cmp_ok($first, '>', ($delay - 1) * 1000, "none early ($first us)");
        $last = @rest ? $rest[-1] : $first;
        last if $last < $most;
        diag("round $round: $last us");
    }
    cmp_ok($last, '<', $most, "none late ($last us)");
    return;
}

$srv->start;
if (MPMX::Server::mpm() eq 'worker') {
    like($srv->get('/timers/add?1,20')->{body}, qr/added=0 failed=1/, 'there are none, and the caller is told');
    is($srv->get('/index.html')->{status}, 200, 'still serving');
    $srv->finish;
    done_testing;
    exit 0;
}
one(1000, 1);
one(200, 5);
one(20, 30);

# A long one must not delay a short one that comes after it.
$srv->get('/timers/add?1,60000');
one(300, 1);

sub thousand {
    my ($ask, $what) = @_;
    my $most = 1_000_000 * $slow;
    my $latest;
    for my $round (1 .. $rounds) {
        my $before = seen();
        like($srv->get("/timers/$ask")->{body}, qr/added=1000 failed=0/, $what);
        # Left alone first, for longer than the last one may be late.
        sleep 1.1 + $slow;
        my $now;
        $latest = 0;
        $srv->wait_for(sub {
            $now = seen();
            # Each look tells of those since the one before.
            $latest = $now->{latest} if ($now->{latest} || 0) > $latest;
            return ($now->{fired} || 0) - $before->{fired} >= 1000;
        }, 10);
        is($now->{fired} - $before->{fired}, 1000, 'all fired');
        is($now->{early}, 0, 'none early');
        last if $latest < $most;
        diag("round $round: $latest us");
    }
    cmp_ok($latest, '<', $most, "none late ($latest us)");
    return;
}

thousand('add?1000,700', 'a thousand at once');
thousand('spread?1000,1000', 'a thousand over a second, shuffled');
my $bad = grep { $srv->get('/index.html')->{status} != 200 } 1 .. 20;
is($bad, 0, 'still serving');
$srv->stop;

SKIP: {
    # Stock event crashes: its timers do not exist yet at that time.
    skip 'no timers in child_init', 3 if MPMX::Server->is_stock;
    $srv->write('logs/error.log', '');
    $srv->configure(conf => 'MpmxtTimerAtStart 1000');
    $srv->start;
    my $most = (1500 + 500 * $slow) * 1000;
    my $us;
    for my $round (1 .. $rounds) {
        # Each child has one; each round has a new child.
        my $n = $round - 1;
        ok($srv->renewed_by('USR1'), "round $round: a new child") if $round > 1;
        ok($srv->wait_for(sub { my $now = () = fired_us(); $now > $n }, 8), 'one registered in child_init fired');
        $us = (fired_us())[$n];
        cmp_ok($us, '>', 999_000, "not early ($us us)");
        last if $us < $most;
        diag("round $round: $us us");
    }
    cmp_ok($us, '<', $most, 'not late');
}

$srv->finish;
done_testing;
