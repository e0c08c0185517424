# A server that cannot have all it needs at its very start either comes up all the same, or says why
# not and is gone: it neither hangs nor crashes, and leaves no process behind.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Faults;
use MPMX::Server;

my $faults = MPMX::Faults->new;
my $srv = MPMX::Server->new(preload => $faults->so);
my %times;

for my $row ([fork => 0 .. 2], [mmap => 0 .. 3], [socketpair => 0], [pipe => 0, 1], [thread => 0], [epoll_ctl => 0, 2],
             [memory => 0 .. 3]) {
    my ($call, @each) = @$row;
    SKIP: {
        my $why = MPMX::Faults::excuse($call);
        skip "$call: $why", 1 if $why;
        for my $n (@each) {
            my $what = "$call, $n";
            my $said = length $srv->error_log;
            $faults->arm($call, $n);
            $srv->start(no_wait => 1);
            my $up = $srv->wait_for(sub {
                my $answers = $srv->read_pid && $srv->get('/index.html', timeout => 3)->{status} == 200;
                return $answers ? 'up' : !$srv->all_pids ? 'gone' : '';
            }, 15);
            ok($up, "$what: " . ($up || 'neither up nor gone'));
            # The first child may answer before the parent says that it has come up.
            ok($srv->wait_for(sub { length($srv->error_log) + length($srv->{start_output}) > $said }, 5), "$what: it has said something");
            $faults->disarm;
            $srv->stop;
            $times{$up}++;
        }
    }
}
cmp_ok($times{up} || 0, '>', 5, 'most often it came up');
$srv->start;
is($srv->get('/index.html')->{status}, 200, 'and does when there is everything');
$srv->finish(qr/cannot detach|Cannot allocate memory|Resource temporarily unavailable|AH00004|AH00016/);
done_testing;
