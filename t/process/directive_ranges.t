# Numbers out of range are corrected with httpd's own warnings, at -t, at start
# and again (with the messages for the log) at restarts.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

MPMX::Server->only_for(qw(event worker));

my $worker = MPMX::Server::mpm() eq 'worker';
my $max_threads = $worker ? 20_000 : 100_000;
# What is wrong, the lines, the message at start and the one at a restart.
my @cases = (
    ['ServerLimit too large',     "ServerLimit 20001",   $worker ? qw(00300 00301) : qw(00497 00498)],
    ['ServerLimit 0',             "ServerLimit 0",       $worker ? qw(00302 00303) : qw(00499 00500)],
    ['ServerLimit negative',      "ServerLimit -3",      $worker ? qw(00302 00303) : qw(00499 00500)],
    ['ThreadLimit too large',     'ThreadLimit ' . ($max_threads + 1), $worker ? qw(00305 00306) : qw(00502 00503)],
    ['ThreadLimit 0',             "ThreadLimit 0\nThreadsPerChild 1\nMaxRequestWorkers 4", $worker ? qw(00307 00308) : qw(00504 00505)],
    ['ThreadsPerChild > ThreadLimit', "ThreadLimit 64\nThreadsPerChild 65\nMaxRequestWorkers 128", $worker ? qw(00310 00311) : qw(00507 00508)],
    ['ThreadsPerChild 0',         "ThreadsPerChild 0\nMaxRequestWorkers 4", $worker ? qw(00312 00313) : qw(00509 00510)],
    ['MaxRequestWorkers < ThreadsPerChild', "ThreadsPerChild 8\nMaxRequestWorkers 5", $worker ? qw(00314 00315) : qw(00511 00512)],
    ['MaxRequestWorkers negative', "MaxRequestWorkers -1", $worker ? qw(00314 00315) : qw(00511 00512)],
    ['MaxRequestWorkers no multiple', "ThreadsPerChild 8\nMaxRequestWorkers 30", $worker ? qw(00316 00317) : qw(00513 00514)],
    ['MaxRequestWorkers > ServerLimit * ThreadsPerChild', "ServerLimit 4\nThreadsPerChild 8\nMaxRequestWorkers 80", $worker ? qw(00318 00319) : qw(00515 00516)],
    ['StartServers 0',            "StartServers 0",      $worker ? qw(00320 00321) : qw(00517 00518)],
    ['MinSpareThreads 0',         "MinSpareThreads 0",   $worker ? qw(00322 00323) : qw(00519 00520)],
);

my $srv = MPMX::Server->new(sizing => {});
for my $case (@cases) {
    my ($what, $lines, $at_start) = @$case;
    my ($rc, $out) = $srv->check_config($lines);
    is($rc, 0, "$what: accepted") or diag($out);
    like($out, qr/AH$at_start: /, "$what: AH$at_start at -t") or diag($out);
    my ($first) = $lines =~ /^(\w+)/;
    $first = 'MaxRequestWorkers' if $what =~ /^MaxRequestWorkers/;
    like($out, qr/AH$at_start: .*$first/, "$what: which names the directive");
}

my ($rc, $out) = $srv->check_config("StartServers 2\nServerLimit 4\nThreadLimit 16\nThreadsPerChild 8\nMaxRequestWorkers 32\nMinSpareThreads 8\nMaxSpareThreads 24");
is($rc, 0, 'good values are accepted');
unlike($out, qr/AH00[345]/, 'without a warning') or diag($out);
($rc, $out) = $srv->check_config("ServerLimit 20000\nThreadLimit $max_threads\nMaxSpareThreads 1");
is($rc, 0, 'so are the largest ones');
unlike($out, qr/AH00[345]/, 'without a warning') or diag($out);
($rc, $out) = $srv->check_config('MaxClients 50', '-e', 'info');
is($rc, 0, 'MaxClients is still known');
like($out, qr/AH00521|AH00324/, 'and called deprecated') or diag($out);

# One server goes through all of them by restarts.
$srv->start;
for my $case (@cases) {
    my ($what, $lines, $at_start, $at_restart) = @$case;
    my $before = $srv->logged("AH$at_restart: ");
    my $resumed = $srv->logged('resuming normal operations');
    $srv->configure(conf => $lines);
    $srv->signal('USR1');
    ok($srv->wait_for(sub { $srv->logged('resuming normal operations') > $resumed }, 10), "$what: restarted");
    cmp_ok($srv->logged("AH$at_restart: "), '>', $before, "$what: AH$at_restart in the log");
}
is($srv->get('/index.html')->{status}, 200, 'still serving');

$srv->finish;
done_testing;
