# Where clients may speak HTTP/2, those that do not sleep all the same; those that do stay awake, since
# a session is nothing that could be begun anew. One that upgrades after its sleep is as good as any.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Client;
use MPMX::H2;
use MPMX::Server;
use MPMX::Sleepers;
use Time::HiRes qw(sleep);

MPMX::Sleepers->only_here;
MPMX::Server->need_modules('http2');
my $slow = MPMX::Server::slowness();
my $secs = 20 * $slow;
my $many = 8;

my $srv = MPMX::Sleepers->server(modules => ['status', 'http2'], log_level => 'info',
    conf => "Protocols h2c http/1.1\nKeepAliveTimeout 120\n");
$srv->start;
sub client { return MPMX::Client->new(port => $srv->port, timeout => $secs) }

my @h2 = map { MPMX::H2->new(client()) } 1 .. 3;
# (A stream of HTTP/2 has a conn_rec of its own, which ends with it.)
my @told = map { $_->body($_->get('/mpmxt-conn/about'), $secs) || '' } @h2;
is(scalar(grep { /\bkeepalives=/ } @told), @h2, 'clients that speak HTTP/2 are served');
my @h1 = map { client() } 1 .. $many;
is(scalar(grep { MPMX::Sleepers->watch($_)->{status} == 200 } @h1), $many, 'and those that speak HTTP/1.1');
ok(MPMX::Sleepers->all_asleep($srv, 10), 'these fall asleep') or diag(MPMX::Sleepers->alive($srv) . ' do not');
sleep 1.5 * $slow;
is(scalar(grep { $_->ping($secs) } @h2), @h2, 'sessions of HTTP/2 answer a ping');
is(scalar(grep { ($_->body($_->get('/mpmxt-conn/about'), $secs) || '') =~ /\bkeepalives=/ } @h2), @h2, 'and requests');

# On a connection that has had a request before.
sub upgrade {
    my ($c) = @_;
    return $c->request('/mpmxt-conn/about', headers => {
        Connection => 'Upgrade, HTTP2-Settings', Upgrade => 'h2c', 'HTTP2-Settings' => 'AAMAAABkAAQAAP__' })->{status};
}
my ($upgrades, $awake) = (pop @h1, client());
$awake->request('/mpmxt-conn/about');
my $usual = upgrade($awake);
is($usual, 101, 'a client may change to HTTP/2');
is(upgrade($upgrades), $usual, 'also after sleep');
my @counts = map { MPMX::Sleepers->pairs($_->request('/mpmxt-conn/about'))->{keepalives} || 0 } @h1;
is("@counts", join(' ', (1) x @h1), 'the others go on where they were');
ok(!$srv->logged(qr/KeepAliveHibernate has no effect/), 'nobody is kept awake for it');

$_->close for @h1, $upgrades, $awake, map { $_->{client} } @h2;
$srv->finish;
done_testing;
