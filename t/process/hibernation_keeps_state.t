# A connection on which a module keeps something does not hibernate: what is in
# the module's slot of conn_config, in the connection's notes or in a connection
# filter is still there however long the client pauses. Where a module that is
# not known hooks into the life of connections none does, which is said at start:
# each connection is seen to begin once and to end once. KeepAliveHibernate off:
# nobody sleeps; nor does a connection with TLS. The modules that most servers have
# are no reason to stay awake.
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
my $many = 8;
my $says = qr/\[(?:[\w-]+:)?info\][^\n]*(?:KeepAliveHibernate|hibernat)[^\n]*/i;

# A server for each way, all idle at the same time.
my %with = (none => { defines => [] }, off => { conf => 'KeepAliveHibernate off' });
for my $hook (qw(CREATE PRE PROCESS PRE_CLOSE SUSPEND RESUME)) {
    $with{$hook} = { defines => ["MPMXT_HOOK_$hook"] };
}
my @usual = grep { defined MPMX::Server::Toolchain::load_line($_) }
    qw(log_config logio version watchdog unixd reqtimeout mime dir alias autoindex negotiation setenvif env filter
       deflate headers rewrite authn_core authn_file auth_basic authz_host authz_user access_compat status);
$with{usual} = {
    modules => [ grep { !/^(?:unixd|authz_core)$/ } @usual ],
    conf    => "<IfModule reqtimeout_module>\nRequestReadTimeout header=5-20,MinRate=500 body=5\n</IfModule>\n"
        . "<IfModule mime_module>\nTypesConfig /dev/null\n</IfModule>\n",
};
my (%srv, %clients);
for my $way (sort keys %with) {
    my %how = %{ $with{$way} };
    # Nobody's time is over before the end of all this, on a busy machine either.
    $how{conf} = "KeepAliveTimeout 120\n" . ($how{conf} || '');
    my $srv = $srv{$way} = MPMX::Sleepers->server(log_level => 'info', %how);
    $srv->start;
    $clients{$way} = [ map { $srv->connect } 1 .. $many ];
    my $served = grep { MPMX::Sleepers->watch($_)->{status} == 200 } @{ $clients{$way} };
    is($served, $many, "$way: clients are served");
}

# With TLS, whose state is large and nowhere else.
my ($tls, @tls);
SKIP: {
    skip 'no mod_ssl, openssl or IO::Socket::SSL', 1 unless MPMX::Server::Certificate::can_tls();
    $tls = MPMX::Sleepers->server(modules => ['status', 'ssl'], listen => 2, conf => <<'CONF');
KeepAliveTimeout 120
<VirtualHost 127.0.0.1:@PORT1@>
ServerName localhost
SSLEngine on
SSLCertificateFile @DIR@/pem
SSLCertificateKeyFile @DIR@/key
</VirtualHost>
CONF
    MPMX::Server::Certificate::make(map { $tls->path($_) } qw(pem key));
    $tls->start;
    @tls = map { MPMX::Client->new(port => $tls->port(1), timeout => 20 * $slow, tls => {}) } 1 .. 3;
    is(scalar(grep { MPMX::Sleepers->watch($_)->{status} == 200 } @tls), 3, 'with TLS: clients are served');
}

# Some keep something where connections may sleep.
my $srv = $srv{none};
my %keeper = map { $_ => $srv->connect } qw(config note input output);
for my $what (sort keys %keeper) {
    is($keeper{$what}->request("/mpmxt-conn/$what?of-$what")->{status}, 200, "something is kept in $what");
    MPMX::Sleepers->watch($keeper{$what});
}

ok($srv->wait_for(sub { MPMX::Sleepers->alive($srv) <= keys %keeper }, 10), 'those without fall asleep');
sleep 2.5 * $slow;
is(MPMX::Sleepers->alive($srv), scalar keys %keeper, 'those on which a module keeps something do not');
for my $round (1, 2) {
    for my $what (sort keys %keeper) {
        my $said = MPMX::Sleepers->pairs($keeper{$what}->request('/mpmxt-conn/kept'));
        is(join(' ', map { "$_=" . ($said->{$_} || '') } qw(config note input output)),
           join(' ', map { "$_=" . ($_ eq $what ? "of-$what" : '-') } qw(config note input output)),
           "$what: it is all there, look $round");
    }
    sleep 1.5 * $slow if $round == 1;
}
my $is = grep { my $s = MPMX::Sleepers->pairs($_->request('/mpmxt-conn/kept')); join('', map { $s->{$_} || '' } qw(config note input output)) eq '----' }
    @{ $clients{none} };
is($is, $many, 'who slept has nothing of others');
my @lines = $srv->error_log =~ /$says/g;
is(scalar @lines, 0, 'no reason to say something at start') or diag(@lines);

for my $hook (qw(CREATE PRE PROCESS PRE_CLOSE SUSPEND RESUME)) {
    is(MPMX::Sleepers->alive($srv{$hook}), $many, "$hook: with a module that hooks into it nobody sleeps");
    my @said = $srv{$hook}->error_log =~ /$says/g;
    is(scalar @said, 1, "$hook: which is said once") or diag("@said");
    like("@said", qr/mpmxt_connections/, "$hook: and who it is");
}
ok(MPMX::Sleepers->all_asleep($srv{usual}), 'with the modules that most servers have all sleep');
is(scalar(grep { MPMX::Sleepers->pairs($_->request('/mpmxt-conn/about'))->{keepalives} == 1 } @{ $clients{usual} }), $many, 'and are served again');
SKIP: {
    skip 'no TLS', 2 unless @tls;
    is(MPMX::Sleepers->alive($tls), 3, 'with TLS nobody sleeps');
    is(scalar(grep { $_->request('/mpmxt-conn/about')->{status} == 200 } @tls), 3, 'and is served again');
    $_->close for @tls;
    $tls->finish;
}
is(MPMX::Sleepers->alive($srv{off}), $many, 'KeepAliveHibernate off: nobody sleeps');
@lines = $srv{usual}->error_log =~ /$says/g;
is(scalar @lines, 0, 'with the modules that most servers have: nothing to be said') or diag(@lines);
@lines = $srv{off}->error_log =~ /$says/g;
is(scalar @lines, 0, 'off: no more to be said');

# Each connection begins once and ends once, for who counts them.
$srv = $srv{PRE};

# Asks until so many are there; one that has asked before may still be on its way out. Who asks has begun,
# too: {others} is how many have but those.
my $asked = 0;
sub live_are {
    my ($live) = @_;
    my $counts = {};
    $srv->wait_for(sub {
        $counts = MPMX::Sleepers->counts($srv);
        $asked++;
        return ($counts->{live} || 0) == $live;
    }, 5);
    $counts->{others} = ($counts->{pre} || 0) - $asked;
    return $counts;
}

my $before = live_are($many + 1);
is($before->{live}, $many + 1, 'as many connections as there are, and the one that asks');
my $again = grep { MPMX::Sleepers->watch($_)->{status} == 200 } @{ $clients{PRE} };
is($again, $many, 'each has another request');
my $after = live_are($many + 1);
is($after->{others}, $before->{others}, 'none is seen to begin again');
is($after->{live}, $many + 1, 'and none to end');
my @ends = splice @{ $clients{PRE} }, 0, 3;
$_->close for @ends;
my $rest = live_are($many - 2);
is($rest->{live}, $many - 2, 'three are seen to end, with them');
is($rest->{others}, $before->{others}, 'no other was seen to begin');

$_->close for values %keeper, map { @$_ } values %clients;
$srv{$_}->finish for sort keys %srv;
done_testing;
