# A child that talks to the parent without end keeps it from nothing: the server serves, replaces
# children, restarts and stops, and there are never more children than allowed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

plan skip_all => 'httpd has one pipe for all children, which nobody reads to its end' if MPMX::Server->is_stock;

my $srv = MPMX::Server->new(
    handlers  => 1,
    c_modules => ['mod_mpmxt_shout'],
    conf      => "GracefulDrainTimeout 1\n<Location /shout>\nSetHandler mpmxt-shout\n</Location>",
    sizing    => { StartServers => 2, ServerLimit => 3, ThreadsPerChild => 4, MaxRequestWorkers => 12,
                   MinSpareThreads => 4, MaxSpareThreads => 12 },
);
my $most = MPMX::Server::single() ? 1 : 3;

$srv->start(mode => 'foreground');
# That others are to listen; garbage, and what a child says once in its life.
for my $words ('F', 'xRWL') {
    is($srv->get("/shout?$words")->{body}, "shouting\n", "a child shouts $words");
    my $victim = $srv->wait_for(sub { (reverse $srv->children)[0] }, 15) or die "no child\n";
    kill 'KILL', $victim;
    ok($srv->wait_for(sub { !grep { $_ == $victim } $srv->children }, 15), "$words: the end of a child is noticed");
    ok($srv->wait_for(sub { my $n = $srv->children; $n >= 1 && $n <= $most }, 15), 'and others are there');
    is($srv->get('/index.html', timeout => 20)->{status}, 200, 'who serve');
    is($srv->get("/shout?$words", timeout => 20)->{body}, "shouting\n", "again one shouts $words");
    ok($srv->renewed_by('USR1', 30), 'USR1 ends it');
}
is($srv->get('/shout?F')->{body}, "shouting\n", 'a child shouts');
$srv->signal('TERM');
ok($srv->wait_for(sub { !$srv->running && defined $srv->{exit_status} }, 20), 'TERM: it stops');
is($srv->{exit_status}, 0, 'as it should');

$srv->finish(qr/exit signal Killed/);
done_testing;
