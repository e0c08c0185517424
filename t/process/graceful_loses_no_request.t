# Graceful restarts under load lose no request: keep-alive clients that honour
# Connection: close see neither a reset nor an early end of file. Also when
# all of ServerLimit's children are there from the start.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Load;
use Time::HiRes qw(sleep);

my @cases = (
    ['room for more children', { StartServers => 2, ServerLimit => 8 }],
    ['StartServers is ServerLimit', { StartServers => 2, ServerLimit => 2, MaxRequestWorkers => 32 }],
);
for my $case (@cases) {
    my ($name, $sizing) = @$case;
    my $srv = MPMX::Server->new(sizing => { ThreadsPerChild => 16, MinSpareThreads => 16, MaxRequestWorkers => 64, %$sizing });
    $srv->start;
    my $load = MPMX::Load->start(port => $srv->port, clients => 16);
    for my $i (1 .. 5) {
        my %old = map { $_ => 1 } $srv->children;
        my ($rc, $out) = $srv->httpd('-k', 'graceful');
        is($rc, 0, "$name: graceful restart $i") or diag($out);
        ok($srv->wait_for(sub { my @now = $srv->children; @now && !grep { $old{$_} } @now }, 15),
           "$name: all children are new") or diag(join ' ', keys %old, '->', $srv->children);
        sleep 0.3;
    }
    my $n = $load->stop;
    is(MPMX::Load->failures($n), 0, "$name: no failed request") or diag(MPMX::Load->text($n));
    cmp_ok($n->{ok}, '>', 100, "$name: the load went on");
    cmp_ok($n->{slowest}, '<', 3 * MPMX::Server::slowness(), "$name: nobody waited long");
    ok(!$srv->logged(qr/AH03490|AH00288/), "$name: the scoreboard was not full");
    $srv->finish;
}
done_testing;
