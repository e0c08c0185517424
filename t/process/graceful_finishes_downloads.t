# Downloads that run across several graceful restarts finish intact, also when
# every slot of ServerLimit has one; meanwhile new requests are served.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my $slow = MPMX::Server::slowness();
my $srv = MPMX::Server->new(
    handlers => 1,
    sizing   => { StartServers => 2, ServerLimit => 2, ThreadsPerChild => 8, MaxRequestWorkers => 16,
                  MinSpareThreads => 8, MaxSpareThreads => 16 },
);
# A file that no socket buffer swallows, with a body that tells misplaced parts.
my $file = join '', map { sprintf '%015d' . "\n", $_ } 1 .. 1_250_000;
$srv->write('htdocs/large.bin', $file);
$srv->start;

my (@streams, @files);
for (1 .. 6) {
    my $c = $srv->connect;
    $c->send_request('/mpmxt/stream?200', close => 1);
    push @streams, [$c, $c->response_head];
}
for (1 .. 3) {
    my $c = $srv->connect;
    $c->send_request('/large.bin', close => 1);
    push @files, [$c, $c->response_head];
}
is(scalar(grep { $_->[1] && $_->[1]{status} == 200 } @streams, @files), 9, 'nine downloads have begun');

for my $i (1 .. 3) {
    my $resumed = $srv->logged('resuming normal operations');
    my ($rc, $out) = $srv->httpd('-k', 'graceful');
    is($rc, 0, "graceful restart $i") or diag($out);
    ok($srv->wait_for(sub { $srv->logged('resuming normal operations') > $resumed }, 10), 'configuration read again');
    my $r = $srv->get('/index.html', timeout => 5 * $slow);
    is($r->{status}, 200, 'a new request is served meanwhile') or diag($r->{error});
}

MPMX::Server::Client->read_all(20 * $slow, map { $_->[0] } @streams, @files);
my $want = join '', map { chr(ord('a') + $_ % 26) x 65536 } 0 .. 199;
my $good = 0;
for my $s (@streams) {
    my $res = $s->[0]->body($s->[1], 25 * $slow);
    $good++ if $res->{status} == 200 && $res->{body} eq $want;
}
is($good, 6, 'all generated downloads are intact');
$good = 0;
for my $s (@files) {
    my $res = $s->[0]->body($s->[1], 25 * $slow);
    $good++ if $res->{status} == 200 && $res->{body} eq $file;
}
is($good, 3, 'all file downloads are intact');
ok(!$srv->logged(qr/AH03490|AH00288/), 'the scoreboard was not full');

$srv->finish;
done_testing;
