# While many short connections come that one child copes with, the other children are not told of each: they
# do not listen. They do again at once when that child stands still, or the connections end, and nobody waits.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Load;
use MPMX::Server;
use Time::HiRes qw(time sleep);

MPMX::Server->only_for(['event'], 'one child, or a thread goes with each connection');
plan(skip_all => "httpd's own MPMs do not do that") if MPMX::Server::is_stock();
plan(skip_all => 'the system does not show what a process waits for') unless -r "/proc/$$/fdinfo/0" && -r '/proc/net/tcp';
my $srv = MPMX::Server->new(
    sizing => { StartServers => 2, ServerLimit => 2, ThreadsPerChild => 8, MaxRequestWorkers => 16,
                MinSpareThreads => 1, MaxSpareThreads => 16 },
);
$srv->start;

sub told { return grep { MPMX::Server::Proc::waits_for($_, $srv->port) } $srv->children }

# Seldom enough not to mistake for it what lasts a moment.
sub lasts {
    my ($what) = @_;
    for (1 .. 5) {
        return 0 unless $what->();
        sleep 0.02;
    }
    return 1;
}

sub one_accepts { return $srv->wait_for(sub { lasts(sub { told() == 1 }) }, 15) }

ok($srv->wait_for(sub { $srv->children == 2 && lasts(sub { told() == 2 }) }, 15), 'two children listen');
my $began = time;
my @loads = map { MPMX::Load->start(port => $srv->port, clients => 8, keepalive => 0, pause => 0.005, secs => 120) } 1 .. 2;
my $one = one_accepts();
my ($first) = told();
if ($one) {
    MPMX::Server::Proc::freeze($first);
    ok($srv->wait_for(sub { grep { $_ != $first } told() }, 5), 'when it stands still, the other one listens');
    is($srv->get('/index.html')->{status}, 200, 'and serves');
    kill 'CONT', $first;
    ok(one_accepts(), 'when it goes on, one is enough again');
}
my $secs = time - $began;
my %n;
for my $done (map { $_->stop } @loads) {
    $n{$_} += $done->{$_} for keys %$done;
}
SKIP: {
    # Where a core is not enough for them, or few come, both are needed.
    skip(sprintf('%d connections per second on this machine', $n{conns} / $secs), 1)
        if !$one && ($n{conns} < 3000 * $secs || MPMX::Server::slowness() > 1);
    ok($one, sprintf('one child listens while %d connections come each second', $n{conns} / $secs));
}
is($n{$_}, 0, "no client met $_") for qw(reset eof timeout refused bad);
ok($srv->wait_for(sub { lasts(sub { told() == 2 }) }, 15), 'when they end, both listen');
$srv->finish;
done_testing;
