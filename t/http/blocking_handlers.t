# Promise: handlers that block get as many threads as are configured, and small requests are served
# promptly beside them as long as one thread is free.
use MPMX::Test;
use MPMX::Server;

my $server = MPMX::Server->new(
    sizing => { StartServers => 1, ServerLimit => 1, ThreadLimit => 8, ThreadsPerChild => 8,
                MaxRequestWorkers => 8, MinSpareThreads => 1, MaxSpareThreads => 8 },
    c_modules => ['mod_mpmxt_serving'],
    conf => "<Location /sleep>\nSetHandler mpmx-sleep\n</Location>\n",
);
$server->start;
my $connect = sub { MPMX::Client->new(port => $server->port, timeout => seconds(20)) };

# all but one asleep
my @asleep = map { $connect->() } 1 .. 7;
$_->send_request('/sleep?ms=4000', close => 1) for @asleep;
my $began = time;
my @took;
for my $i (1 .. 100) {
    my $at = time;
    my $c = $connect->();
    my $res = $c->request('/index.html', close => 1);
    $c->close;
    last if $res->{status} != 200;
    push @took, time - $at;
}
is(scalar @took, 100, '100 small requests beside seven sleeping handlers');
cmp_ok(time - $began, '<', seconds(4), 'before the sleepers woke up');
note(sprintf 'median %.1f ms, slowest %.1f ms', 1000 * median(@took), 1000 * (sort { $b <=> $a } @took)[0]);
# one that waits for a sleeper, or for a tick of a slow clock, takes far longer
cmp_ok(median(@took), '<', 0.2 * factor(), 'each of them promptly');

# the same with requests on one connection
my $c = $connect->();
my $good = grep { $c->request('/index.html')->{status} == 200 } 1 .. 200;
is($good, 200, 'and 200 on one connection');
$c->close;
is(scalar(grep { $_->response->{status} == 200 } @asleep), 7, 'the sleepers finish');

# all eight at once
$began = time;
@asleep = map { $connect->() } 1 .. 8;
$_->send_request('/sleep?ms=1500', close => 1) for @asleep;
is(scalar(grep { $_->response->{status} == 200 } @asleep), 8, 'eight sleepers on eight threads');
cmp_ok(time - $began, '<', 1.5 + 1.4 * factor(), 'at the same time, not one after the other');

# and more than there are threads
@asleep = map { $connect->() } 1 .. 20;
$_->send_request('/sleep?ms=200', close => 1) for @asleep;
is(scalar(grep { $_->response->{status} == 200 } @asleep), 20, 'twenty sleepers on eight threads');

$server->finish(qr/AH00484/);
done();
