# A suspended connection that a module finished is continued, across a graceful
# restart too; and neither such a one nor one that nobody ever continues keeps a
# server from ending.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

MPMX::Server->only_for([qw(event winnt)], 'not asynchronous, no connection is ever suspended');
MPMX::Server->need_modules('dialup');

my $slow = MPMX::Server::slowness();
my $srv = MPMX::Server->new(
    handlers => 1,
    modules  => ['dialup'],
    conf     => "<Location /dialup>\nModemStandard V.92\n</Location>\nTimeout 5\n",
);
mkdir $srv->path('htdocs/dialup');
# V.92 is 56 kbit/s, so this takes some two seconds.
my $body = join '', map { sprintf "%07d\n", $_ } 1 .. 1_800;
$srv->write('htdocs/dialup/file.txt', $body);
$srv->start;

my $c = $srv->connect;
my $t0 = time;
my $r = $c->request('/dialup/file.txt', timeout => 8 * $slow);
ok($r->{status} == 200 && $r->{body} eq $body, sprintf 'a file sent by timed callbacks is complete (%.1f s)', time - $t0);
cmp_ok(time - $t0, '>', 1, 'at the speed of a modem');
$r = $c->request('/index.html', timeout => 5 * $slow);
is($r->{status}, 200, 'then the connection takes another request') or diag($r->{error});

# One on its way across a graceful restart.
my $way = $srv->connect;
$way->send_request('/dialup/file.txt');
my $head = $way->response_head;
ok($head, 'another one is on its way');
my %old = map { $_ => 1 } $srv->children;
$srv->signal('USR1');
ok($srv->wait_for(sub { grep { !$old{$_} } $srv->children }, 10), 'graceful restart');
$r = $head ? $way->body($head, 8 * $slow) : { status => 0, body => '' };
ok($r->{status} == 200 && $r->{body} eq $body, 'it comes in complete');
$_->close for $c, $way;
ok($srv->wait_for(sub { !grep { $old{$_} } $srv->children }, 10), 'and the old children end');

# One that was given up by its module.
my $lost = $srv->connect;
$lost->send_request('/mpmxt/suspend');
$srv->wait_for(sub { !$lost->still_open }, 0.5);
%old = map { $_ => 1 } $srv->children;
$srv->signal('USR1');
ok($srv->wait_for(sub { grep { !$old{$_} } $srv->children }, 10), 'graceful restart with an abandoned one');
is($srv->get('/index.html')->{status}, 200, 'serving');
ok($srv->wait_for(sub { !grep { $old{$_} } $srv->children }, 15), 'the old children end although nobody continues it');

my $took = $srv->stop;
cmp_ok($took, '<', 5 * $slow, sprintf 'and the server stops at once (%.1f s)', $took);

$srv->finish;
done_testing;
