# Numbers out of range are corrected with httpd's own warnings, at -t, at start
# and again (with the messages for the log) at restarts.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my $mpm = MPMX::Server::mpm();
my $max_threads = { event => 100_000, worker => 20_000, winnt => 15_000 }->{$mpm};
my $workers = MPMX::Server::single() ? '' : "\nMaxRequestWorkers 4";
my $too_many = MPMX::Server::single() ? 'ThreadsPerChild 1921' : "ThreadsPerChild 65\nMaxRequestWorkers 128";
# What is wrong, the lines and which messages tell.
my @cases = (
    ['ServerLimit too large',     'ServerLimit 20001', 'ServerLimit_high'],
    ['ServerLimit 0',             'ServerLimit 0', 'ServerLimit_low'],
    ['ServerLimit negative',      'ServerLimit -3', 'ServerLimit_low'],
    ['ThreadLimit too large',     'ThreadLimit ' . ($max_threads + 1), 'ThreadLimit_high'],
    ['ThreadLimit 0',             "ThreadLimit 0\nThreadsPerChild 1$workers", 'ThreadLimit_low'],
    ['ThreadsPerChild > ThreadLimit', $too_many, 'ThreadsPerChild_high'],
    ['ThreadsPerChild 0',         "ThreadsPerChild 0$workers", 'ThreadsPerChild_low'],
    ['ThreadsPerChild negative',  "ThreadsPerChild -7$workers", 'ThreadsPerChild_low'],
    ['MaxRequestWorkers < ThreadsPerChild', "ThreadsPerChild 8\nMaxRequestWorkers 5", 'MaxRequestWorkers_low'],
    ['MaxRequestWorkers negative', 'MaxRequestWorkers -1', 'MaxRequestWorkers_low'],
    ['MaxRequestWorkers no multiple', "ThreadsPerChild 8\nMaxRequestWorkers 30", 'MaxRequestWorkers_odd'],
    ['MaxRequestWorkers > ServerLimit * ThreadsPerChild', "ServerLimit 4\nThreadsPerChild 8\nMaxRequestWorkers 80", 'MaxRequestWorkers_high'],
    ['StartServers 0',            'StartServers 0', 'StartServers_low'],
    ['MinSpareThreads 0',         'MinSpareThreads 0', 'MinSpareThreads_low'],
);
# One that this MPM has no such limit for is no directive of it.
@cases = grep { MPMX::Server::Messages::clamp($_->[2]) } @cases;

my $srv = MPMX::Server->new(sizing => {});
for my $case (@cases) {
    my ($what, $lines, $which) = @$case;
    my ($at_start) = MPMX::Server::Messages::clamp($which);
    my ($rc, $out) = $srv->check_config($lines);
    is($rc, 0, "$what: accepted") or diag($out);
    my ($directive) = $which =~ /^(\w+)_/;
    like($out, qr/$at_start: .*\b$directive\b/, "$what: $at_start at -t names the directive") or diag($out);
}

my ($good, $most) = MPMX::Server::single()
    ? ("ThreadLimit 16\nThreadsPerChild 16", "ThreadLimit $max_threads\nThreadsPerChild $max_threads")
    : ("StartServers 2\nServerLimit 4\nThreadLimit 16\nThreadsPerChild 8\nMaxRequestWorkers 32\nMinSpareThreads 8\nMaxSpareThreads 24",
       "ServerLimit 20000\nThreadLimit $max_threads\nMaxSpareThreads 1");
my ($rc, $out) = $srv->check_config($good);
is($rc, 0, 'good values are accepted');
unlike($out, qr/AH00[345]|AH0044/, 'without a warning') or diag($out);
($rc, $out) = $srv->check_config($most);
is($rc, 0, 'so are the largest ones');
unlike($out, qr/AH00[345]|AH0044/, 'without a warning') or diag($out);

# One server goes through all of them by restarts.
$srv->start;
for my $case (@cases) {
    my ($what, $lines, $which) = @$case;
    my $at_restart = (MPMX::Server::Messages::clamp($which))[1];
    my $before = $srv->logged("$at_restart: ");
    my $resumed = $srv->logged('resuming normal operations');
    $srv->configure(conf => $lines);
    $srv->signal('USR1');
    ok($srv->wait_for(sub { $srv->logged('resuming normal operations') > $resumed }, 10), "$what: restarted");
    cmp_ok($srv->logged("$at_restart: "), '>', $before, "$what: $at_restart in the log");
}
is($srv->get('/index.html')->{status}, 200, 'still serving');

$srv->finish;
done_testing;
