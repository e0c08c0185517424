# Connections that are served at the same time have different ids (c->id) in the
# whole server, new ones and kept ones alike, and UNIQUE_ID never repeats.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

MPMX::Server->need_modules('unique_id');

my $srv = MPMX::Server->new(
    handlers => 1,
    modules  => ['unique_id'],
    sizing   => { StartServers => 3, ServerLimit => 4, ThreadsPerChild => 8, MaxRequestWorkers => 32, MinSpareThreads => 24 },
);
$srv->start;
$srv->wait_for(sub { $srv->children >= 3 }, 5);

my %unique;
my $repeated = 0;
sub id_of {
    my ($r) = @_;
    my ($id, $unique) = $r->{body} =~ /id=(-?\d+) .*unique=(\S+)/ or return;
    $repeated++ if $unique{$unique}++;
    return $id;
}

# Connections with a past, so that whatever they were numbered then is taken
# into account when they run together.
my @kept = map { $srv->connect } 1 .. 12;
for (1 .. 3) { id_of($_->request('/mpmxt/id?0')) for @kept }
for my $round (1 .. 3) {
    my @new = map { $srv->connect } 1 .. 8;
    $_->send_request('/mpmxt/id?700') for @kept, @new;
    my @ids = map { id_of($_->response) } @kept, @new;
    my %count;
    $count{$_}++ for @ids;
    is(scalar @ids, 20, "round $round: twenty answers at a time");
    is(join(' ', grep { $count{$_} > 1 } keys %count), '', "round $round: twenty different connection ids");
    $_->close for @new;
}
for (1 .. 300) { id_of($srv->get('/mpmxt/id?0')) }
for my $c (@kept) { id_of($c->request('/mpmxt/id?0')) for 1 .. 20 }
is($repeated, 0, scalar(keys %unique) . ' UNIQUE_IDs, all different');

$srv->finish;
done_testing;
