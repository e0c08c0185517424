# Near the limit of open files (the hard one: children raise their own to it) the
# connections that have been idle the longest are closed, properly, and every new
# client is served at once. The log says so once, not for each of them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Sleepers;
use Time::HiRes qw(time sleep);

MPMX::Sleepers->only_here;
my $slow = MPMX::Server::slowness();
my $srv = MPMX::Sleepers->server(conf => 'KeepAliveTimeout 120', nofile => '120:300');
$srv->start;
my ($child) = $srv->children;
SKIP: {
    my $text = MPMX::Server::Proc::slurp("/proc/$child/limits");
    skip 'the system does not show limits', 1 unless defined $text && $text =~ /^Max open files\s+(\d+)\s+(\d+)/m;
    is("$1 $2", '300 300', 'a child raises its limit of open files to the hard one');
}

# Some are asleep when the others come; two of them are in use again then.
my (@c, $served, $worst);
sub come {
    my ($n) = @_;
    ($served, $worst) = (0, 0);
    for (1 .. $n) {
        my $t0 = time;
        my $c = $srv->connect(timeout => 10 * $slow);
        $served++ if MPMX::Sleepers->watch($c)->{status} == 200;
        push @c, $c;
        my $took = time - $t0;
        $worst = $took if $took > $worst;
    }
    return;
}

come(150);
is($served, 150, '150 clients');
ok(MPMX::Sleepers->all_asleep($srv), 'fall asleep');
my @awake = splice @c, 10, 2;
for my $c (@awake) {
    is(MPMX::Sleepers->watch($c)->{status}, 200, 'one of the first is awake again');
}
is(scalar(grep { $_->still_open } @c), 148, 'all are there');
my @old = @c;
come(70);
push @old, splice @c, 148;
is($served, 70, '70 more');
push @c, @awake;
sleep 1.2 * $slow;                       # ages are kept in seconds
come(200);
is($served, 200, '200 more, each served');
cmp_ok($worst, '<', 2 * $slow, sprintf 'soon (%.0f ms at most)', 1000 * $worst);
@c = (@old, @awake, @c[-200 .. -1]);

# Idle the longest first: about so, as many go at a time.
my @open = map { $_->still_open } @c;
my ($first_open) = grep { $open[$_] } 0 .. $#open;
my ($last_closed) = grep { !$open[$_] } reverse 0 .. $#open;
my $n = grep { $_ } @open;
cmp_ok($n, '>', 200, "$n of them are open");
cmp_ok($n, '<', 300, 'which is not all');
is(scalar(grep { $_ } @open[-200 .. -1]), 200, 'all of those that came last');
cmp_ok($last_closed - $first_open, '<', 64, 'those that were idle the longest have gone')
    or diag("first open: $first_open, last closed: $last_closed");
is(scalar(grep { !$_->{error} || $_->{error} eq 'eof' } @c), scalar @c, 'properly: none was reset');
is(scalar(grep { $_->request('/mpmxt-conn/about')->{status} == 200 } @c[-50 .. -1]), 50, 'the last ones are served again');
is(join(' ', $srv->children), $child, 'by the same child');
my $lines = $srv->logged(qr/\n[^\n]*open files[^\n]*\(ulimit/);
cmp_ok($lines, '>=', 1, 'the log says it');
cmp_ok($lines, '<=', 2, 'not again and again') or diag("$lines lines");
$_->close for @c;
$srv->finish;
done_testing;
