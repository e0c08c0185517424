# httpd -k start, stop, restart, graceful and graceful-stop do what they are
# named for, under load, and say so when there is nothing to do.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Load;

my $srv = MPMX::Server->new(handlers => 1);
$srv->start;
my $parent = $srv->pid;
my ($rc, $out) = $srv->httpd('-k', 'start');
like($out, qr/already running/, 'start: already running');
is($srv->read_pid, $parent, 'start: nothing changed');

for my $verb (qw(graceful restart)) {
    my $load = MPMX::Load->start(port => $srv->port, clients => 8);
    my %old = map { $_ => 1 } $srv->children;
    my $resumed = $srv->logged('resuming normal operations');
    ($rc, $out) = $srv->httpd('-k', $verb);
    is($rc, 0, "$verb: accepted") or diag($out);
    ok($srv->wait_for(sub { $srv->logged('resuming normal operations') > $resumed }, 15), "$verb: configuration read again");
    ok($srv->wait_for(sub { my @now = $srv->children; @now && !grep { $old{$_} } @now }, 15), "$verb: all children are new");
    is($srv->read_pid, $parent, "$verb: same parent");
    is($srv->get('/index.html')->{status}, 200, "$verb: serving");
    my $n = $load->stop;
    cmp_ok($n->{ok}, '>', 0, "$verb: the load went on");
    is($n->{refused} + $n->{timeout} + $n->{bad}, 0, "$verb: nobody was refused") or diag(MPMX::Load->text($n));
    is($n->{reset} + $n->{eof}, 0, "$verb: no request lost") or diag(MPMX::Load->text($n)) if $verb eq 'graceful' || MPMX::Server::single();
}

my ($slow) = $srv->hold(1, 'slow');
($rc, $out) = $srv->httpd('-k', 'graceful-stop');
is($rc, 0, 'graceful-stop: accepted') or diag($out);
ok($srv->wait_for(sub { $srv->connect->{error} =~ /refused/ }, 10), 'graceful-stop: new connections are refused');
ok($srv->running, 'graceful-stop: waits for the running request');
is($srv->release('slow', $slow), 1, 'graceful-stop: which is answered');
ok($srv->wait_for(sub { !$srv->all_pids }, 10), 'graceful-stop: then everything ends');
ok(!-e $srv->path('run/httpd.pid'), 'graceful-stop: no pid file left');

($rc, $out) = $srv->httpd('-k', $_), like($out, qr/not running/, "$_: not running") for qw(stop graceful-stop);

# restart and graceful start a server that is not there.
($rc, $out) = $srv->httpd('-k', 'restart');
like($out, qr/not running, trying to start/, 'restart: says that it starts');
ok($srv->wait_for(sub { $srv->get("/index.html")->{status} == 200 && $srv->read_pid }, 15), 'restart: and does');

my $load = MPMX::Load->start(port => $srv->port, clients => 8);
($rc, $out) = $srv->httpd('-k', 'stop');
is($rc, 0, 'stop: accepted') or diag($out);
ok($srv->wait_for(sub { !$srv->all_pids }, 6), 'stop: everything ends, also under load');
ok(!-e $srv->path('run/httpd.pid'), 'stop: no pid file left');
$load->stop;

$srv->finish;
done_testing;
