# What the MPM answers to modules that ask for its name, kind and sizes
# (ap_show_mpm, ap_mpm_query), and to `httpd -V`.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

MPMX::Server->need_modules('status');

my $mpm = MPMX::Server::mpm();
my %name = (event => 'event', worker => 'worker', winnt => 'WinNT');
my $srv = MPMX::Server->new(
    handlers => 1,
    modules  => ['status'],
    sizing   => { StartServers => 2, ServerLimit => 3, ThreadLimit => 24, ThreadsPerChild => 8, MaxRequestWorkers => 24,
                  MinSpareThreads => 6, MaxSpareThreads => 20 },
    conf     => 'MaxConnectionsPerChild 1234',
);

# Slots for those that only finish what they have come on top of ServerLimit, see
# docs/internals/processes.md.
my $extra = MPMX::Server->is_stock ? 0 : 8;
my %answer = MPMX::Server::single()
    ? (HARD_LIMIT_DAEMONS => 2, MAX_THREADS => 24, MIN_SPARE_THREADS => 0, MAX_SPARE_THREADS => 0, MAX_DAEMONS => 1)
    : (HARD_LIMIT_DAEMONS => 3 + $extra, MAX_THREADS => 8, MIN_SPARE_THREADS => 6, MAX_SPARE_THREADS => 20, MAX_DAEMONS => 3);
my $async = $mpm eq 'worker' ? 'ENOTIMPL' : 1;
%answer = (%answer, IS_THREADED => 1, IS_FORKED => 2, HARD_LIMIT_THREADS => 24, MIN_SPARE_DAEMONS => 0, MAX_SPARE_DAEMONS => 0,
           MAX_REQUESTS_DAEMON => 1234, MPM_STATE => 1, IS_ASYNC => $async, GENERATION => 0, HAS_SERF => 'ENOTIMPL');
$answer{CAN_WAITIO} = $async if MPMX::Server::Toolchain::httpd_version() >= 2_004_063;
my %code = (MAX_DAEMON_USED => 1, IS_THREADED => 2, IS_FORKED => 3, HARD_LIMIT_DAEMONS => 4, HARD_LIMIT_THREADS => 5,
            MAX_THREADS => 6, MIN_SPARE_DAEMONS => 7, MIN_SPARE_THREADS => 8, MAX_SPARE_DAEMONS => 9,
            MAX_SPARE_THREADS => 10, MAX_REQUESTS_DAEMON => 11, MAX_DAEMONS => 12, MPM_STATE => 13, IS_ASYNC => 14,
            GENERATION => 15, HAS_SERF => 16, CAN_WAITIO => 19);

sub ask { return { $srv->get('/mpmxt/query')->{body} =~ /^(\d+)=(\S+)/mg } }

my ($rc, $out) = $srv->httpd('-V');
like($out, qr/^Server MPM:\s+$name{$mpm}$/m, 'httpd -V names the MPM');
$srv->start;
is($srv->status->{ServerMPM}, $name{$mpm}, 'and so does mod_status');
my $is = ask();
is($is->{ $code{$_} }, $answer{$_}, "$_ $answer{$_}") for sort keys %answer;
# In a child: as it was when it was forked.
cmp_ok($is->{1}, '<=', $is->{4}, 'MAX_DAEMON_USED is within HARD_LIMIT_DAEMONS');

for my $i (1 .. 3) {
    ok($srv->renewed_by('USR1'), "graceful restart $i");
    $is = ask();
    is($is->{15}, $i, "GENERATION $i");
    is("$is->{4} $is->{13}", "$answer{HARD_LIMIT_DAEMONS} 1", 'the rest is as before');
    cmp_ok($is->{1}, '<=', $is->{4}, 'MAX_DAEMON_USED is within HARD_LIMIT_DAEMONS');
}

$srv->finish;
done_testing;
