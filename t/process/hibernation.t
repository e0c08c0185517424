# An idle keep-alive connection gives its conn_rec back after KeepAliveHibernate
# (1 s by default). No client notices: its next request is answered on the same
# connection, in one piece or in several, alone or with more behind it; its count
# of requests goes on, and so does its KeepAliveTimeout.
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

# Runs in a process of its own from now on: how long after a connection's last request it ended, and
# how. With again => S it has another request after S seconds. (The server's clock may be ahead when
# the answer is looked at here.)
sub end_of {
    my ($srv, %o) = @_;
    my $pid = open(my $out, '-|');
    die "fork: $!\n" unless defined $pid;
    return $out if $pid;
    my $c = $srv->connect(timeout => 20 * $slow);
    my $last = time;
    my $r = MPMX::Sleepers->watch($c);
    if ($o{again}) {
        sleep $o{again};
        $last = time;
        $r = MPMX::Sleepers->watch($c);
    }
    $c->closed_within(20 * $slow);
    syswrite STDOUT, sprintf '%d %s %.2f', $r->{status}, $c->{error}, time - $last;
    POSIX::_exit(0);
}

# Asleep after 4 s, closed after 8.
my $sleep = $slow > 1 ? 6 : 4;
my $keep = 2 * $sleep;
my $timing = MPMX::Sleepers->server(conf => "KeepAliveHibernate $sleep\nKeepAliveTimeout 60\n"
    . "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName short\nKeepAliveTimeout $keep\n</VirtualHost>");
$timing->start;
my %end = (once => end_of($timing), 'once more' => end_of($timing, again => $sleep + $slow));

my $head_secs = $slow > 1 ? 6 : 3;
my $srv = MPMX::Sleepers->server(conf => <<"CONF");
RequestHeadTimeout $head_secs
KeepAliveTimeout 60
<VirtualHost 127.0.0.1:\@PORT\@>
ServerName localhost
</VirtualHost>
<VirtualHost 127.0.0.1:\@PORT\@>
ServerName few
MaxKeepAliveRequests 2
</VirtualHost>
CONF
$srv->start;

sub count_is {
    my ($st, $what, $n, $more) = @_;
    # The connection that asks may have been seen at any moment of its life.
    return defined $st->{$what} && $st->{$what} >= $n && $st->{$what} <= $n + $more;
}

# Waits for the numbers of mod_status: those idle, all.
sub numbers_are {
    my ($idle, $what) = @_;
    my $st;
    my $good = $srv->wait_for(sub {
        $st = $srv->status;
        return count_is($st, 'ConnsTotal', $idle, 1) && count_is($st, 'ConnsAsyncKeepAlive', $idle, 0)
            && $st->{BusyWorkers} == 1;
    }, 5);
    ok($good, $what) or diag(join ' ', map { "$_=$st->{$_}" } grep { /^Conns|Busy/ } sort keys %$st);
    return;
}

my %in_few = (headers => { Host => 'few', Connection => 'keep-alive' });
# What a client that does not pause is told.
my $quick = $srv->connect;
my @max = map { my $r = $quick->request('/index.html', %in_few); $r->{closing} ? 'close' : $r->{headers}{'keep-alive'} } 1 .. 3;
is($max[2], 'close', 'MaxKeepAliveRequests: the third answer is the last for a client that does not pause');
$quick->close;

my @plain = map { $srv->connect } 1 .. 6;
my ($few, $pieces, $never, $eight, $gone, $reset, $half) = map { $srv->connect } 1 .. 7;
my @all = (@plain, $few, $pieces, $never, $eight, $gone, $reset, $half);

my ($served, $awake) = (0, 0);
for my $c (@all) {
    $served++ if MPMX::Sleepers->watch($c, $c == $few ? %in_few : ())->{status} == 200;
    $awake = 1 if MPMX::Sleepers->alive($srv) > 0;
}
is($served, scalar @all, 'each connection has a request');
ok($awake, 'they are awake at first');
ok(MPMX::Sleepers->all_asleep($srv), 'then all fall asleep') or diag(MPMX::Sleepers->alive($srv) . ' do not');
is(scalar(grep { $_->still_open } @all), scalar @all, 'none of them is closed');
numbers_are(scalar @all, 'asleep, they are idle keep-alive connections for mod_status');

# One request each after the first sleep.
for my $c (@plain) {
    my $r = MPMX::Sleepers->watch($c);
    my $said = MPMX::Sleepers->pairs($r);
    my $is = ($said->{keepalives} || 0) . ' ' . ($said->{client} || '') . ' ' . ($said->{local} || '');
    is($is, '1 127.0.0.1:' . $c->local_port . ' 127.0.0.1:' . $srv->port, 'the next request finds its connection as it was');
    ok(!$r->{closing}, 'and it is kept');
}
my $r = MPMX::Sleepers->watch($few, %in_few);
is($r->{closing} || 0, 0, 'MaxKeepAliveRequests: one more after the second');
is($r->{headers}{'keep-alive'}, $max[1], 'with the same words');

# A head in pieces, the first byte alone; one that stays incomplete; an empty line before eight.
my $text = "GET /mpmxt-conn/about HTTP/1.1\r\nHost: localhost\r\nX-Long: " . 'x' x 3000 . "\r\n\r\n";
my $late = time;
$never->send("GET /index.html HTTP/1.1\r\nHost: loc");
for my $part (substr($text, 0, 1), substr($text, 1, 40), substr($text, 41, 2000), substr $text, 2041) {
    $pieces->send($part);
    sleep 0.15;
}
$r = $pieces->response;
is($r->{status}, 200, 'a head in pieces is answered');
is(MPMX::Sleepers->pairs($r)->{keepalives}, 1, 'on the same connection');
$eight->send("\r\n" . "GET /mpmxt-conn/about?" . 'q' x 100 . " HTTP/1.1\r\nHost: localhost\r\n\r\n"
    . "GET /mpmxt-conn/about HTTP/1.1\r\nHost: localhost\r\n\r\n" x 7);
my @counts = map { MPMX::Sleepers->pairs($eight->response)->{keepalives} || 0 } 1 .. 8;
is("@counts", '1 2 3 4 5 6 7 8', 'eight pipelined requests are answered, in order');

# Clients that leave while they are asleep.
$gone->close;
$reset->reset;
shutdown $half->fh, 1;
ok($half->closed_within(5 * $slow), 'a client that sends no more: closed, properly');
$half->close;

my $answer = $never->response_head(4 * $head_secs);
my $took = time - $late;
is($answer ? $answer->{status} : 0, 408, 'a head that never becomes complete: 408');
cmp_ok($took, '>', 0.9 * $head_secs, 'after RequestHeadTimeout');
cmp_ok($took, '<', $head_secs + 3 * $slow, sprintf 'and not long after (%.1f s)', $took);
ok($never->closed_within(5 * $slow), 'and the end');
$never->close;

# Once more asleep.
ok(MPMX::Sleepers->all_asleep($srv), 'those that had a second request fall asleep again');
numbers_are(@plain + 3, 'mod_status: the others are still there, and they alone');
$r = $few->request('/mpmxt-conn/about', %in_few);
is($r->{closing} || 0, 1, 'MaxKeepAliveRequests: so it is for one that sleeps twice');
is(MPMX::Sleepers->pairs($r)->{keepalives}, 2, 'and is the third');
ok($few->closed_within(5 * $slow), 'then the connection is closed, properly');
$few->close;
@counts = map { MPMX::Sleepers->pairs($_->request('/mpmxt-conn/about'))->{keepalives} || 0 } @plain;
is("@counts", join(' ', (2) x @plain), 'without such a limit they go on');
is(MPMX::Sleepers->pairs($eight->request('/mpmxt-conn/about'))->{keepalives}, 9, 'a ninth after eight');

# A body of a request that arrives after sleep, and one that is large.
ok($srv->wait_for(sub { my $st = $srv->status; count_is($st, 'ConnsAsyncKeepAlive', @plain + 2, 0) }, 5), 'idle again');
sleep 1.5 * $slow;
$srv->write('htdocs/large.bin', 'abcdefgh' x 200_000);
$r = $plain[0]->request('/large.bin');
is(length $r->{body}, 1_600_000, 'a large response after sleep is whole');
$r = $plain[1]->request('/mpmxt-conn/about', method => 'POST', body => 'x' x 300_000);
is($r->{status}, 200, 'a large body after sleep');
is(MPMX::Sleepers->pairs($plain[1]->request('/mpmxt-conn/about'))->{keepalives} || 0, 4, 'is read to its end');
$_->close for @plain, $pieces, $eight;
numbers_are(0, 'nothing is left of them');

for my $which ('once', 'once more') {
    my $fh = $end{$which};
    my ($status, $how, $secs) = split ' ', scalar <$fh>;
    close $fh;
    is("$status $how", '200 eof', "served $which: closed in the end, properly");
    cmp_ok($secs, '>', $keep - 0.2, 'not before the KeepAliveTimeout of its host');
    cmp_ok($secs, '<', $keep + 0.75 * $sleep, "counted from its last answer ($secs s)");
}
$timing->finish;
$srv->finish;
done_testing;
