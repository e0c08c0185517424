# What the parent says to a child that does not listen (here it is stopped by SIGSTOP), and whose
# socket another one has filled, is said when there is room: it takes part in a graceful stop.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

plan skip_all => 'httpd has one pipe for all children' if MPMX::Server->is_stock;
MPMX::Server->only_for([qw(event worker)], 'one child');

my $srv = MPMX::Server->new(
    c_modules => ['mod_mpmxt_shout'],
    handlers  => 1,
    conf      => "<Location /shout>\nSetHandler mpmxt-shout\n</Location>",
    sizing    => { StartServers => 2, ServerLimit => 2, ThreadsPerChild => 4, MaxRequestWorkers => 8,
                   MinSpareThreads => 1, MaxSpareThreads => 8 },
);
$srv->start(mode => 'foreground');
ok($srv->wait_for(sub { $srv->children == 2 }, 10), 'two children');

my ($stopped) = $srv->children;
kill 'STOP', $stopped;
ok($srv->wait_for(sub { ((MPMX::Server::Proc::stat_of($stopped))[0] || '') eq 'T' }, 5), 'one of them is stopped');
my ($shouter) = grep { $_ != $stopped } $srv->children;
my $shouts;
ok($srv->wait_for(sub {
    my $c = $srv->connect(timeout => 1);
    $c->send_request('/shout?F', close => 1);
    my $head = $c->response_head;
    return $shouts = $head && $head->{status} == 200;
}, 15), 'the other one makes the parent tell it, again and again, to look at the sockets');
# Some hundred words are enough, and take some milliseconds. Without them the rest is easier, not wrong.
sleep 1;
$srv->signal('WINCH');
ok($srv->wait_for(sub { !grep { $_ == $shouter } $srv->children }, 15), 'graceful stop: the one that listens ends');
kill 'CONT', $stopped;
ok($srv->wait_for(sub { !$srv->all_pids }, 15), 'and the other one when it goes on');
$srv->finish;
done_testing;
