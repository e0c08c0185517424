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

# The server must be left alone until the time has come: a request would wake
# a poller that had forgotten its timer.
sub one {
    my ($delay, $again) = @_;
    my $n = () = fired_us();
    like($srv->get("/timers/add?1,$delay,$again")->{body}, qr/added=1 failed=0/, "a callback in $delay ms, then $again times more");
    ok($srv->wait_for(sub { my $now = () = fired_us(); $now >= $n + 1 + $again }, ($again + 1) * $delay / 1000 + 5), 'all fired');
    my @us = fired_us();
    splice @us, 0, $n;
    my ($first, @rest) = sort { $a <=> $b } @us;
    cmp_ok($first, '>', ($delay - 1) * 1000, "none early ($first us)");
    my $last = @rest ? $rest[-1] : $first;
    cmp_ok($last, '<', ($delay + 500 * $slow) * 1000, "none late ($last us)");
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

my $before = seen();
# What all have done since then; left alone first, for longer than the last one may be late.
sub all_since {
    my ($then) = @_;
    sleep 0.8 + $slow;
    my $now;
    $srv->wait_for(sub { $now = seen(); ($now->{fired} || 0) - $then->{fired} >= 1000 }, 10);
    return $now;
}

like($srv->get('/timers/add?1000,700')->{body}, qr/added=1000 failed=0/, 'a thousand at once');
my $after = all_since($before);
is($after->{fired} - $before->{fired}, 1000, 'all fired');
is($after->{early}, 0, 'none early');
cmp_ok($after->{latest}, '<', 1_000_000 * $slow, "none late ($after->{latest} us)");

like($srv->get('/timers/spread?1000,1000')->{body}, qr/added=1000 failed=0/, 'a thousand over a second, shuffled');
my $end = all_since($after);
is($end->{fired} - $after->{fired}, 1000, 'all fired');
is($end->{early}, 0, 'none early');
cmp_ok($end->{latest}, '<', 1_000_000 * $slow, "none late ($end->{latest} us)");
my $bad = grep { $srv->get('/index.html')->{status} != 200 } 1 .. 20;
is($bad, 0, 'still serving');
$srv->stop;

SKIP: {
    # Stock event crashes: its timers do not exist yet at that time.
    skip 'no timers in child_init', 3 if MPMX::Server->is_stock;
    $srv->write('logs/error.log', '');
    $srv->configure(conf => 'MpmxtTimerAtStart 1000');
    $srv->start;
    ok($srv->wait_for(sub { fired_us() > 0 }, 8), 'one registered in child_init fired');
    my ($us) = fired_us();
    cmp_ok($us, '>', 999_000, "not early ($us us)");
    cmp_ok($us, '<', (1500 + 500 * $slow) * 1000, 'not late');
}

$srv->finish;
done_testing;
