# A child that ends the socket by which idle connections travel does so for its generation only: at
# the next restart there is another one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Sleepers;

MPMX::Sleepers->only_here;
my $srv = MPMX::Sleepers->server(
    c_modules => ['mod_mpmxt_connections', 'mod_mpmxt_cut'],
    sizing    => { StartServers => 2, ServerLimit => 4, ThreadsPerChild => 8, MaxRequestWorkers => 16,
                   MinSpareThreads => 1, MaxSpareThreads => 32 },
    conf      => "KeepAliveTimeout 120\n<Location /cut>\nSetHandler mpmxt-cut\n</Location>",
);
$srv->start;
sub about { return MPMX::Sleepers->pairs($_[0]->request('/mpmxt-conn/about', timeout => 20)) }

for my $how (0, 2) {
    my @idle = map { $srv->connect } 1 .. 6;
    about($_) for @idle;
    is($srv->get("/cut?$how")->{body}, "cut 1\n", "$how: a child cuts it");
    is($srv->get('/index.html')->{status}, 200, 'which serves on');
    ok($srv->renewed_by('USR1'), "$how: restarted, and no old child is left, though nobody has closed");
    is(scalar(grep { (about($_)->{keepalives} || '') eq '1' } @idle), 6, 'all connections go on');
    $_->close for @idle;
}
$srv->finish;
done_testing;
