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
# Each of them accepts; otherwise the first has all those that are kept.
my %answers;
$srv->wait_for(sub {
    $answers{$1} = 1 if $srv->get('/mpmxt/id?0')->{body} =~ /pid=(\d+)/;
    return keys %answers >= $srv->first_children;
}, 5);

my %unique;
my $repeated = 0;
sub id_of {
    my ($r) = @_;
    my ($id, $unique, $from, $until) = $r->{body} =~ /id=(-?\d+) .*unique=(\S+) from=(\d+) until=(\d+)/ or return;
    $repeated++ if $unique{$unique}++;
    return { id => $id, from => $from, until => $until };
}

# Pairs with the same id whose handlers ran at the same time. A thread that is through with
# one request may give the next one, which had to wait for it, the same id.
sub shared {
    my @all = @_;
    my @pairs;
    while (my $one = shift @all) {
        push @pairs, map { $_->{id} } grep {
            $_->{id} == $one->{id} && $_->{from} < $one->{until} && $one->{from} < $_->{until}
        } @all;
    }
    return @pairs;
}

# Connections with a past, so that whatever they were numbered then is taken
# into account when they run together.
my $ms = 700 * MPMX::Server::slowness();
my @kept = map { $srv->connect } 1 .. 12;
for (1 .. 3) { id_of($_->request('/mpmxt/id?0')) for @kept }
for my $round (1 .. 3) {
    my $together;
    # Again if this process was held up between two of them.
    for (1 .. 4) {
        my @new = map { $srv->connect } 1 .. 8;
        $_->send_request("/mpmxt/id?$ms") for @kept, @new;
        my @ids = map { id_of($_->response) } @kept, @new;
        is(scalar @ids, 20, "round $round: twenty answers");
        is(join(' ', shared(@ids)), '', "round $round: no two at a time with the same connection id");
        $together = grep {
            my $one = $_;
            12 <= grep { $_->{from} < $one->{until} && $one->{from} < $_->{until} } @ids;
        } @ids;
        $_->close for @new;
        last if $together >= 12;
    }
    cmp_ok($together, '>=', 12, "round $round: at least a dozen ran together");
}
for (1 .. 300) { id_of($srv->get('/mpmxt/id?0')) }
for my $c (@kept) { id_of($c->request('/mpmxt/id?0')) for 1 .. 20 }
is($repeated, 0, scalar(keys %unique) . ' UNIQUE_IDs, all different');

$srv->finish;
done_testing;
