# An idle connection travels at a graceful restart only to where the new configuration
# listens as before. Where it does not listen any more, or treats what comes in another
# way, the connection stays with the old child, is answered once more and told to close;
# so is one with TLS, and one on which a module keeps something. Meanwhile those that
# can travel have gone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Client;
use MPMX::Server;
use MPMX::Server::Certificate;
use MPMX::Sleepers;
use Time::HiRes qw(time sleep);

MPMX::Sleepers->only_here;
my $slow = MPMX::Server::slowness();
my $tls = MPMX::Server::Certificate::can_tls();

# Ports: 0 stays, 1 is closed, 2 has TLS, 3 has another AcceptFilter afterwards.
my $srv = MPMX::Sleepers->server(listen => 4, log_level => 'info', modules => ['status', $tls ? 'ssl' : ()]);
my @port = @{ $srv->{ports} };
my $base = "<Location /mpmxt-conn>\nSetHandler mpmxt-conn\n</Location>\nKeepAliveTimeout 60\nAcceptFilter http data\nAcceptFilter odd data\n";
$base .= <<"CONF" if $tls;
<VirtualHost 127.0.0.1:$port[2]>
ServerName localhost
SSLEngine on
SSLCertificateFile \@DIR\@/pem
SSLCertificateKeyFile \@DIR\@/key
</VirtualHost>
CONF
$srv->configure(conf => $base);
MPMX::Server::Certificate::make(map { $srv->path($_) } qw(pem key)) if $tls;
$srv->start;
my ($old) = $srv->children;

sub ask { my ($c, $verb) = @_; return $c->request("/mpmxt-conn/$verb", timeout => 10 * $slow) }
sub who { my ($r) = @_; return MPMX::Sleepers->pairs($r)->{pid} || 0 }

my %at = map { my $n = $_; $_ => [ map { $srv->connect(port => $port[$n]) } 1 .. 6 ] } 0, 1, 3;
$at{2} = $tls ? [ map { MPMX::Client->new(port => $port[2], timeout => 20 * $slow, tls => {}) } 1 .. 3 ] : [];
my @kept = map { $srv->connect(port => $port[0]) } 1 .. 2;
is(ask($kept[0], 'config?x')->{status}, 200, 'a module keeps something');
is(ask($kept[1], 'input?x')->{status}, 200, 'in two places');
for my $n (sort keys %at) {
    is(scalar(grep { ask($_, 'about')->{status} == 200 } @{ $at{$n} }), scalar @{ $at{$n} }, "port $n: connections with a request each");
}

ok($srv->wait_for(sub { ($srv->status->{ConnsAsyncKeepAlive} || 0) >= 20 + @{ $at{2} } }, 10), 'all are idle');
# Here "odd" is a protocol that nobody knows.
my @less = ($port[0], $tls ? $port[2] : ());
my ($other) = $port[3];
$srv->configure(ports => \@less, conf => "Listen 127.0.0.1:$other odd\n" . $base);
my $resumed = $srv->logged('resuming normal operations');
$srv->signal('USR1');
ok($srv->wait_for(sub { $srv->logged('resuming normal operations') > $resumed && $srv->logged('has handed \d+ idle') }, 15),
   'restarted with one port less');
# By a thread that looks first who has come meanwhile.
ok($srv->wait_for(sub { $srv->connect(port => $port[1])->{error} =~ /refused/ }, 5), 'it is closed');

my @r = map { ask($_, 'about') } @{ $at{0} };
is(scalar(grep { $_->{status} == 200 && !$_->{closing} && who($_) && who($_) != $old } @r), 6, 'port 0: its connections go on in the new child');
my %why = (1 => 'closed port', 2 => 'TLS');
for my $n (1, 2) {
    @r = map { ask($_, 'about') } @{ $at{$n} };
    is(scalar(grep { $_->{status} == 200 && who($_) == $old } @r), scalar @{ $at{$n} }, "$why{$n}: the old child answers");
    next if $n == 2;
    is(scalar(grep { $_->{closing} } @r), scalar @{ $at{$n} }, "$why{$n}: for the last time");
    is(scalar(grep { $_->closed_within(5 * $slow) } @{ $at{$n} }), scalar @{ $at{$n} }, "$why{$n}: then they are closed");
}
@r = map { ask($_, 'kept') } @kept;
is(join(' ', map { my $is = MPMX::Sleepers->pairs($_); "$is->{config} $is->{input} $_->{closing}" } @r), 'x - 1 - x 1', 'what a module keeps is there, for the last time');
@r = map { ask($_, 'about') } @{ $at{3} };
is(scalar(grep { $_->{status} == 200 } @r), 6, 'port 3: whatever has become of it, all are served');
$_->close for map { @$_ } values %at, \@kept;
ok($srv->wait_for(sub { !grep { $_ == $old } $srv->children }, 10), 'the old child ends');

# The same with another AcceptFilter.
($old) = $srv->children;
my @c = map { $srv->connect(port => $port[0]) } 1 .. 6;
is(scalar(grep { ask($_, 'about')->{status} == 200 } @c), 6, 'connections again');
ok($srv->wait_for(sub { ($srv->status->{ConnsAsyncKeepAlive} || 0) >= 6 }, 10), 'idle again');
$srv->configure(conf => $base . "AcceptFilter http none\n");
$resumed = $srv->logged('has handed \d+ idle');
$srv->signal('USR1');
ok($srv->wait_for(sub { $srv->logged('has handed \d+ idle') > $resumed }, 15), 'restarted with another AcceptFilter');
@r = map { ask($_, 'about') } @c;
is(scalar(grep { $_->{status} == 200 && $_->{closing} && who($_) == $old } @r), 6, 'the old child answers for the last time');
$_->close for @c;
$srv->finish;
done_testing;
