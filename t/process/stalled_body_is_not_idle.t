# Where each connection keeps a thread, the one that has been idle the longest
# makes room for those who wait. A client in the middle of a request is not idle:
# one whose head came together with the request before, and whose body has stopped
# coming, keeps its thread, and is answered when it goes on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

MPMX::Server->only_for(['worker'], 'idle connections need no threads');
plan(skip_all => "httpd's own worker calls nobody back") if MPMX::Server::is_stock();
# A pollset of APR does not show the descriptor that would tell.
plan(skip_all => 'with this poller nobody learns that requests wait')
    unless MPMX::Server::Proc::slurp(MPMX::Server::Toolchain::mpm_so()) =~ /\bepoll_create1\b/;

my $slow = MPMX::Server::slowness();
my $srv = MPMX::Server->new(
    handlers => 1,
    sizing   => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 3, MaxRequestWorkers => 3,
                  MinSpareThreads => 1, MaxSpareThreads => 3 },
    conf     => "KeepAliveTimeout 60\nTimeout 60",
);
$srv->start;

# Before a POST whose body stops: another request, in one piece with it; nothing but a first answer.
my $get = "GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n";
my $post = "POST /mpmxt/sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc";
my %stalled = (pipelined => $srv->connect(timeout => 10 * $slow), later => $srv->connect(timeout => 10 * $slow));
$stalled{pipelined}->send($get . $post);
is($stalled{pipelined}->response->{status}, 200, 'pipelined: the request before is answered');
is($stalled{later}->request('/index.html')->{status}, 200, 'later: a first request');
$stalled{later}->send($post);
my $idle = $srv->connect;
is($idle->request('/index.html')->{status}, 200, 'a third client, which is idle then');
sleep 1.3;

# Each takes the place of the one before.
my $calls = 0;
for my $i (1 .. 3) {
    my $next = $srv->connect(timeout => 10 * $slow);
    is($next->request('/index.html')->{status}, 200, "client $i that comes is served");
    $calls++ if $idle->closed_within(3 * $slow);
    is(scalar(grep { $_->still_open } values %stalled), 2, 'and those in the middle of a body stay');
    $idle = $next;
}
is($calls, 3, 'in the place of the idle one');
for my $what (sort keys %stalled) {
    $stalled{$what}->send('defghij');
    my $r = $stalled{$what}->response;
    is("$r->{status} $r->{body}", "200 read 10\n", "$what: answered when the body is whole") or diag($r->{error});
}
$srv->finish;
done_testing;
