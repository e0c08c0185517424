# Idle connections survive the child that has them: at a graceful restart, and when a
# child has had MaxConnectionsPerChild, they go on in another one, whether they are
# asleep, awake or new. Nobody is told to close, the old children end at once, the
# count of requests and MaxKeepAliveRequests go on, and so do the timeouts of the
# virtual host. GracefulHandover Off: the old child answers once more, and says so.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Sleepers;
use POSIX ();
use Time::HiRes qw(time sleep);

MPMX::Sleepers->only_here;
my $slow = MPMX::Server::slowness();
# Otherwise the kernel keeps new connections to itself for long, until they have sent something.
my $no_defer = "ListenTCPDeferAccept 1\n";
my ($rc) = MPMX::Server->new->check_config($no_defer);
$no_defer = '' if $rc;

my %sizing = (sizing => { StartServers => 2, ServerLimit => 4, ThreadsPerChild => 8, MaxRequestWorkers => 16,
                          MinSpareThreads => 1, MaxSpareThreads => 32 });

# Opens some that say nothing, and waits until the server has them.
sub mute {
    my ($srv, $n) = @_;
    return if !$no_defer;
    my $before = $srv->status->{ConnsTotal};
    my @new = map { $srv->connect } 1 .. $n;
    ok($srv->wait_for(sub { ($srv->status->{ConnsTotal} || 0) >= $before + $n }, 15), "$n connections without a request are accepted");
    return @new;
}

sub about { my ($c) = @_; return MPMX::Sleepers->pairs($c->request('/mpmxt-conn/about', timeout => 10 * $slow)) }

# --- over several restarts -----------------------------------------------------------------

my $srv = MPMX::Sleepers->server(%sizing, log_level => 'info', conf => <<"CONF");
${no_defer}KeepAliveTimeout 120
RequestHeadTimeout 120
<VirtualHost 127.0.0.1:\@PORT\@>
ServerName localhost
</VirtualHost>
<VirtualHost 127.0.0.1:\@PORT\@>
ServerName few
MaxKeepAliveRequests 3
</VirtualHost>
CONF
$srv->start;
my $many = 24;
my @idle = map { $srv->connect } 1 .. $many;
my %was = map { $_ => about($_) } @idle;
is(scalar(grep { $was{$_}{keepalives} eq '0' } @idle), $many, 'connections with a request each');
my $few = $srv->connect;
is($few->request('/mpmxt-conn/about', headers => { Host => 'few' })->{status}, 200, 'and one that may be kept for three');
sleep 1.5 * $slow;                       # most of them sleep by now
my @awake = splice @idle, 0, $many / 3;
about($_) for @awake;                    # and these do not
for my $round (1 .. 4) {
    my %old = map { $_ => 1 } $srv->children;
    my @new = $round == 2 ? mute($srv, 4) : ();
    ok($srv->renewed_by('USR1'), "restart $round: no old child is left, though nobody has closed");
    my ($told, $counts, $same, %pids) = (0, 0, 0);
    for my $c (@idle, @awake) {
        my $r = $c->request('/mpmxt-conn/about', timeout => 10 * $slow);
        my $is = MPMX::Sleepers->pairs($r);
        $told++ if $r->{status} != 200 || $r->{closing};
        $pids{ $is->{pid} || 0 }++;
        my $want = $round + (grep({ $_ == $c } @awake) ? 1 : 0);
        $counts++ if defined $is->{keepalives} && $is->{keepalives} == $want;
        $same++ if ($is->{client} || '') eq $was{$c}{client} && ($is->{local} || '') eq $was{$c}{local};
    }
    is($told, 0, "restart $round: all are served, and nobody is told to close");
    is(scalar(grep { $old{$_} } keys %pids), 0, '... by new children') or diag(join ' ', %pids);
    is($counts, $many, '... as the request that it is of its connection');
    is($same, $many, '... with the same addresses');
    my $r = $few->request('/mpmxt-conn/about', headers => { Host => 'few' });
    is("$r->{status} $r->{closing}", '200 ' . ($round == 3 ? 1 : 0), "MaxKeepAliveRequests: request " . ($round + 1)) if $round <= 3;
    $few->close if $round == 3;
    is(scalar(grep { about($_)->{keepalives} eq '0' } @new), scalar @new, 'who has just come is served, too') if @new;
    $_->close for @new;
}
my ($gone, $stay) = (0, 0);
my $log = $srv->error_log;
while ($log =~ /mpm_\w+:info\].* child \d+ has handed (\d+) idle connections over; \d+ stay: \d+ with a request in progress, (\d+) idle/g) { $gone += $1; $stay += $2 }
cmp_ok($gone, '>=', 4 * $many, 'the old children say how many have gone');
is($stay, 0, 'and that none stays of those that are idle');
# On and off by a restart: what counts is what the new configuration says.
my $conf = $srv->{conf};
my ($c) = @idle;
$srv->configure(conf => "GracefulHandover Off\n$conf");
my %old = map { $_ => 1 } $srv->children;
my $ready = $srv->logged('resuming normal operations');
$srv->signal('USR1');
ok($srv->wait_for(sub {
    my ($by) = $srv->get('/mpmxt-conn/about')->{body} =~ /pid=(\d+)/;
    return $by && !$old{$by} && $srv->logged('resuming normal operations') > $ready;
}, 15), 'restarted with GracefulHandover Off');
# The old children may not have been told yet. 1: answered by them until they said it was the last one.
sub ends_there {
    my ($c) = @_;
    return 1 == $srv->wait_for(sub {
        my $r = $c->request('/mpmxt-conn/about', timeout => 10 * $slow);
        return 2 if $r->{status} != 200 || !$old{ MPMX::Sleepers->pairs($r)->{pid} };
        return $r->{closing};
    }, 10);
}
is(scalar(grep { ends_there($_) } @idle, @awake), $many, 'Off: the old children answer, and say that it was the last one');
ok($c->closed_within(5 * $slow), 'as it is');
$_->close for @idle, @awake;
$srv->configure(conf => "GracefulHandover On\n$conf");
my @again = map { $srv->connect } 1 .. 4;
about($_) for @again;
ok($srv->renewed_by('USR1'), 'On again: the old children end');
is(scalar(grep { about($_)->{keepalives} eq '1' } @again), 4, 'and their connections go on');
$_->close for @again;
$srv->finish;

# --- timeouts go on, and MaxConnectionsPerChild -----------------------------------------------

# How long after its request, or its beginning without one, a connection ended, seen by a process of its
# own. (The server's clock may be ahead when the answer is looked at here.)
sub end_of {
    my ($srv, $host) = @_;
    my $child = open(my $out, '-|');
    die "fork: $!\n" unless defined $child;
    return $out if $child;
    my $last = time;
    my $c = $srv->connect(timeout => 20 * $slow);
    my $r = $host ? $c->request('/mpmxt-conn/about', headers => { Host => $host }) : { status => 200 };
    $c->closed_within(20 * $slow);
    syswrite STDOUT, sprintf '%d %s %.2f', $r->{status}, $c->{error}, time - $last;
    POSIX::_exit(0);
}

my $secs = 6 * $slow;
$srv = MPMX::Sleepers->server(%sizing, conf => <<"CONF");
${no_defer}KeepAliveTimeout 120
RequestHeadTimeout $secs
<VirtualHost 127.0.0.1:\@PORT\@>
ServerName localhost
</VirtualHost>
<VirtualHost 127.0.0.1:\@PORT\@>
ServerName short
KeepAliveTimeout $secs
</VirtualHost>
CONF
$srv->start;
my %end = (KeepAliveTimeout => end_of($srv, 'short'), $no_defer ? (RequestHeadTimeout => end_of($srv)) : ());
sleep 0.75 * $secs;
ok($srv->renewed_by('USR1'), 'restart: old children have gone while timeouts run');
for my $what (sort keys %end) {
    my $fh = $end{$what};
    my ($status, $how, $took) = split ' ', do { local $/; <$fh> };
    is("$status $how", '200 eof', "$what: the connection is closed");
    # Begun anew at the restart, it would have taken at least three quarters as long again. The kernel
    # has kept the one that says nothing for a second.
    cmp_ok($took, '>', 0.85 * $secs, "$what: not before its time ($took s)");
    cmp_ok($took, '<', 1.7 * $secs, '... nor long after it');
}
$srv->finish;
# High enough that the next one is not worn, too, when the first one has gone.
$srv = MPMX::Sleepers->server(conf => "KeepAliveTimeout 120\nMaxConnectionsPerChild 60\n");
$srv->start;
my %first = map { $_ => 1 } $srv->children;
my @stayed = map { $srv->connect } 1 .. 6;
about($_) for @stayed;
ok($srv->wait_for(sub { $srv->get('/index.html') for 1 .. 5; !grep { $first{$_} } $srv->children }, 20), 'MaxConnectionsPerChild: the child is replaced, though it has idle connections');
my @r = map { $_->request('/mpmxt-conn/about') } @stayed;
is(scalar(grep { $_->{status} == 200 && !$_->{closing} && MPMX::Sleepers->pairs($_)->{keepalives} == 1 } @r), 6, 'which go on');
$_->close for @stayed;
$srv->finish;
done_testing;
