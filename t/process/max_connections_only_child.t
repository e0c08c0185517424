# MaxConnectionsPerChild where one child serves everything: it goes on accepting
# until its replacement accepts, however long that takes to start, so that no
# client fails or waits.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Load;
use Time::HiRes qw(time sleep);

plan skip_all => 'httpd stops accepting first' if MPMX::Server->is_stock;

my $slow = MPMX::Server::slowness();
# Long enough to tell those who wait for a child that starts from those who wait for a busy machine.
my $delay = $slow > 1 ? 4 : 3;
my $limit = 60;
my $srv = MPMX::Server->new(
    handlers  => 1,
    c_modules => ['mod_mpmxt_proc_exit'],
    sizing    => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 24, MaxRequestWorkers => 24,
                   MinSpareThreads => 1, MaxSpareThreads => 24 },
    conf      => "MaxConnectionsPerChild $limit\nMpmxtStartDelay ${\ int(1000 * $delay)} \@DIR\@/marks/slow",
);
$srv->start;
$srv->write('marks/slow', '');

# Children in the order in which they begin to answer, and how often each did.
my (@pids, %answers);
my $failed = 0;
my $short = MPMX::Load->start(port => $srv->port, clients => 4, keepalive => 0, pause => 0.03);
my $long  = MPMX::Load->start(port => $srv->port, clients => 6, pause => 0.02);
my $most = 0;
$srv->wait_for(sub {
    my $r = $srv->get('/mpmxt/id?0', timeout => 5);
    my ($pid) = $r->{body} =~ /pid=(\d+)/;
    if ($pid) { push @pids, $pid unless $answers{$pid}++ } else { $failed++ }
    my $n = $srv->children;
    $most = $n if $n > $most;
    return @pids > 3;
}, 20);
my ($s, $l) = ($short->stop, $long->stop);
cmp_ok(scalar @pids, '>', 3, 'one child after the other had its share') or diag("@pids");
is($failed, 0, 'every question was answered');
is(MPMX::Load->failures($s), 0, 'no failed request, a connection each') or diag(MPMX::Load->text($s));
is(MPMX::Load->failures($l), 0, 'no failed request, keep-alive') or diag(MPMX::Load->text($l));
# Somebody comes every few milliseconds, and would wait for nearly all of it.
cmp_ok($_->{slowest}, '<', 0.9 * $delay, "nobody waited for a child to start (slowest $_->{slowest} s)") for $s, $l;
cmp_ok($s->{ok}, '>', $limit, 'enough connections to tell');
cmp_ok($most, '<=', 4, 'no crowd of children') or diag($most);
unlink $srv->path('marks/slow');

# Those before the last one do not take part in what follows.
ok($srv->wait_for(sub { my %is = map { $_ => 1 } $srv->children; !grep { $is{$_} } @pids[0 .. $#pids - 1] }, 20), 'those that were worn are gone');

# A child that is worn out leaves although nobody comes any more; its replacement stays.
$srv->get('/index.html') for 1 .. 2 * $limit + 10;
# Alone at one look may be who is about to be replaced; who stays is alone at two.
my $last = 0;
my $stays = $srv->wait_for(sub {
    my @now = $srv->children;
    my $same = @now == 1 && $now[0] == $last && !$answers{$last};
    $last = @now == 1 ? $now[0] : 0;
    sleep 0.3 unless $same;
    return $same;
}, 10);
ok($stays, 'one child in the end, which stays');
ok(!$answers{$last}, 'a new one');
ok(!$srv->logged(MPMX::Server->ah('crashes')), 'nobody was taken for crashed');

$srv->finish;
done_testing;
