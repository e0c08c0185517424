# MaxRequestWorkers limits how many requests are handled at once, ServerLimit
# how many children there are (where there is one child, ThreadsPerChild is the
# limit); reaching it is logged once, the requests beyond it wait and are served.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

sub new_server {
    my $new = MPMX::Server->new(
        handlers => 1,
        sizing   => { StartServers => 1, ServerLimit => 4, ThreadsPerChild => 4, MaxRequestWorkers => 8,
                      MinSpareThreads => 4, MaxSpareThreads => 8 },
    );
    $new->start;
    return $new;
}

my $srv = new_server();

my @held = $srv->hold(8, 'full');
is(scalar @held, 8, 'as many requests as allowed are being handled');
my @more = map { my $c = $srv->connect; $c->send_request('/mpmxt/hold?full', close => 1); $c } 1 .. 3;
my $full = MPMX::Server->ah('full');
my ($directive, $children) = MPMX::Server::single() ? ('ThreadsPerChild', 1) : ('MaxRequestWorkers', 2);
ok($srv->wait_logged($full, 8), "$full tells that the limit is reached");
like($srv->error_log, qr/$full: .*$directive/, 'and names the directive');

# Several maintenance rounds: the children must stay two, the message one.
my $most = 0;
my $begun = 0;
my $until = time + 4;
while (time < $until) {
    my $n = $srv->children;
    $most = $n if $n > $most;
    $begun += $_->response_head(0.1) ? 1 : 0 for @more;
}
is($begun, 0, 'the requests beyond the limit wait');
is($most, $children, 'as many children as that takes, not more');
is($srv->logged($full), 1, 'logged once');

is($srv->release('full', @held), 8, 'the running ones were answered');
my $served = grep { my $r = $_->response(10); $r->{status} == 200 } @more;
is($served, 3, 'and so were those that had to wait');

$srv->finish;

# Who has come near the limit before, and was told, is told when it is reached.
SKIP: {
    skip "httpd's own says it otherwise", 4 if MPMX::Server::is_stock();
    skip 'nobody is spare where there is one child', 4 if MPMX::Server::single();
    $srv = new_server();
    @held = $srv->hold(5, 'some');
    ok($srv->wait_logged('server is within MinSpareThreads of MaxRequestWorkers', 8), 'nearly all are busy, which is told');
    push @held, $srv->hold(3, 'rest');
    ok($srv->wait_logged($full, 8), 'then all are, which is told, too');
    unlink $srv->path('marks/rest');
    is($srv->release('some', @held), 8, 'they were answered');
    $srv->finish;
}
done_testing;
