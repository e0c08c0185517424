# Promise: mod_status shows the truth, to people and to programs: the MPM's name, totals, workers
# that add up, one line per process, and with ExtendedStatus the requests being served.
use MPMX::Test;
need_module('status');

my %name = (event => 'event', worker => 'worker', winnt => 'WinNT');
my $mpm = $ENV{MPMX_MPM} || 'event';
my $threads = threads();

# Workers of children that are only just there are neither busy nor idle.
my $before;
my $workers = sub { $before = status(); $before->{BusyWorkers} + $before->{IdleWorkers} + ($before->{GracefulWorkers} || 0) };
wait_until { $workers->() == $threads } 10;
is($before->{ServerMPM}, $name{$mpm}, 'the name of the MPM');
is($before->{BusyWorkers} + $before->{IdleWorkers} + ($before->{GracefulWorkers} || 0), $threads,
   'busy and idle workers add up');
is(length $before->{Scoreboard}, $threads, 'the scoreboard has a letter for each');
unlike($before->{Scoreboard}, qr/[^_SRWKDCLGI.]/, 'and knows them all');
if ($mpm ne 'worker') {
    is($before->{Processes}, $mpm eq 'winnt' ? 1 : 2, 'processes');
    is($before->{Stopping}, 0, 'none of them stopping');
    ok(defined $before->{$_}, "$_ is there")
        for qw(ConnsTotal ConnsAsyncWriting ConnsAsyncKeepAlive ConnsAsyncClosing);
}

get('/large.bin') for 1 .. 10;
# A request is counted when it has been logged, which is after its answer was sent.
my $after = {};
wait_until {
    $after = status();
    ($after->{'Total Accesses'} || 0) >= $before->{'Total Accesses'} + 10
        && ($after->{'Total kBytes'} || 0) >= $before->{'Total kBytes'} + 10 * 9765;
} 5;
cmp_ok($after->{'Total Accesses'}, '>=', $before->{'Total Accesses'} + 10, 'accesses are counted');
cmp_ok($after->{'Total kBytes'}, '>=', $before->{'Total kBytes'} + 10 * 9765, 'and bytes');

# what is going on right now; a machine that stood still for as long as the requests take has more tries
my ($shown, $page, $most, @c) = (0, '', 0);
for my $try (1 .. 3) {
    $_->close for @c;
    @c = map { client() } 1 .. 3;
    my $sent = time;
    $_->send_request("/sleep?ms=4000&who=number-${\ fileno($_->fh)}") for @c;
    $shown = wait_until {
        my $busy = status()->{BusyWorkers} || 0;
        $most = $busy if $busy > $most;
        $page = get('/server-status')->{body};
        3 == grep { my $n = fileno $_->fh; $page =~ /GET \/sleep\?ms=4000&amp;who=number-$n HTTP/ } @c and $most >= 4;
    } 3;
    last if $shown || time - $sent < 3.5;
}
ok($shown, 'the page shows the requests being served');
like($page, qr/Server MPM: $name{$mpm}/, 'it names the MPM');
like($page, qr/127\.0\.0\.1/, 'and the client');
cmp_ok($most, '>=', 4, 'their threads are busy');
if ($mpm eq 'event') {
    my @rows = $page =~ m{<tr><td>\d+</td><td>(\d+)</td><td>no}g;
    is(scalar @rows, 2, 'a line for each process');
}
is(scalar(grep { $_->response->{status} == 200 } @c), 3, 'the requests end');
$_->close for @c;

done();
