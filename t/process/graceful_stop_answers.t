# A graceful stop answers every request that has come before it is carried out, on
# connections that were idle, asleep or new, the first of several in a row, and what is
# being served. Idle connections are closed, and whoever was answered. Nobody is reset,
# and the server ends soon.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

plan skip_all => 'httpd closes idle connections without a look' if MPMX::Server->is_stock;
my $slow = MPMX::Server::slowness();
my $async = MPMX::Server::mpm() ne 'worker';
# Otherwise the kernel keeps new connections to itself until they have sent something.
my $no_defer = "ListenTCPDeferAccept 1\n";
my ($rc) = MPMX::Server->new->check_config($no_defer);
$no_defer = '' if $rc;
# A thread waits for its client until then, whatever happens.
my $keep = $async ? 60 : 5 * $slow;
my $srv = MPMX::Server->new(handlers => 1, modules => ['status'], conf => "${no_defer}KeepAliveTimeout $keep\nRequestHeadTimeout 30",
    sizing => { StartServers => 2, ServerLimit => 4, ThreadsPerChild => 32, MaxRequestWorkers => 64, MinSpareThreads => 1, MaxSpareThreads => 64 });
$srv->start;

sub opened {
    my ($n) = @_;
    my @c = map { $srv->connect } 1 .. $n;
    is(scalar(grep { $_->request('/index.html')->{status} == 200 } @c), $n, "$n connections with a request each");
    return @c;
}

my @asleep = opened(8);
sleep 1.3 * $slow if $async;
my @awake = opened(8);
my @row = opened(4);
my @silent = opened(6);
# Only where the MPM is asynchronous mod_status tells how many there are. What it says is some time ago,
# so it is an exact number that is waited for.
my $look = $srv->connect;
sub total { return $look->request('/server-status?auto')->{body} =~ /^ConnsTotal: (\d+)/m ? $1 : undef }
my @mute = map { $srv->connect } $no_defer && defined total() ? (1 .. 4) : ();
my $all = @asleep + @awake + @row + @silent + 1 + @mute;
ok($srv->wait_for(sub { total() == $all }, 15), 'and some without') or diag(total()) if @mute;
$look->close;
my @new = map { $srv->connect } 1 .. 4;
my @held = $srv->hold(2, 'long');
is(scalar @held, 2, 'two are being served');
# Nothing is taken while the children are stopped, so all of this comes at the same moment.
my @children = $srv->children;
MPMX::Server::Proc::freeze(@children);
$_->send_request('/index.html') for @asleep, @awake, @new;
for my $c (@row) { $c->send_request('/index.html') for 1 .. 3 }
$srv->signal('WINCH');
ok($srv->wait_for(sub { $srv->logged('shutting down gracefully') }, 10), 'a graceful stop while requests arrive');
kill 'CONT', @children;
my $t0 = time;
my %of = (asleep => \@asleep, awake => \@awake, new => \@new);
for my $what (sort keys %of) {
    my @r = map { $_->response(10 * $slow) } @{ $of{$what} };
    is(scalar(grep { $_->{status} == 200 } @r), scalar @r, "$what: answered") or diag(join ' ', map { $_->{error} || '' } @r);
    is(scalar(grep { $_->closed_within(15 * $slow) } @{ $of{$what} }), scalar @r, "$what: and closed");
}
my $first = grep { my $r = $_->response(10 * $slow); $r->{status} == 200 && $_->closed_within(15 * $slow) } @row;
is($first, 4, 'requests in a row: the first is answered, then the connection is closed');
is(scalar(grep { $_->closed_within(15 * $slow) } @silent), 6, 'idle ones are closed') or diag(join ' ', map { $_->{error} } @silent);
is(scalar(grep { $_->closed_within(15 * $slow) } @mute), scalar @mute, 'and those that have never said a word') or diag(join ' ', map { $_->{error} } @mute);
is($srv->release('long', @held), 2, 'those being served are answered');
$_->close for map { @$_ } values %of, \@row, \@silent, \@mute;
ok($srv->wait_for(sub { !$srv->all_pids }, 20), 'the server ends');
$srv->check_log;
$srv->remove;
done_testing;
