# ServerLimit and ThreadLimit size the scoreboard: a change at a restart, either
# kind, is refused with a message and the first value kept.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my ($servers) = MPMX::Server::Messages::clamp('ServerLimit_change');
my ($threads) = MPMX::Server::Messages::clamp('ThreadLimit_change');
my @changes = ([ThreadLimit => 32, $threads], [ThreadLimit => 8, $threads],
               $servers ? ([ServerLimit => 6, $servers], [ServerLimit => 3, $servers]) : ());
my %size = (StartServers => 2, ServerLimit => 4, ThreadLimit => 16, ThreadsPerChild => 4, MaxRequestWorkers => 8);
my $srv = MPMX::Server->new(handlers => 1, sizing => {%size});

# A scoreboard has ServerLimit slots and as many again (8 to 64) for processes that only finish
# what they have (one, for a child that is alone), see docs/internals/processes.md.
sub limits {
    my %is = $srv->get('/mpmxt/query')->{body} =~ /^(\d+)=(\S+)/mg;
    $is{4} += 8 if MPMX::Server->is_stock;
    return "$is{4} servers, $is{5} threads";
}

my $first = (MPMX::Server::single() ? 2 : 12) . ' servers, 16 threads';
$srv->start;
is(limits(), $first, 'as configured first');
for my $sig (qw(USR1 HUP)) {
    for my $change (@changes) {
        my ($name, $value, $message) = @$change;
        my $said = $srv->logged("$message: .*$name");
        $srv->configure(sizing => { %size, $name => $value });
        ok($srv->renewed_by($sig), "$sig, $name $value: restarted");
        cmp_ok($srv->logged("$message: .*$name"), '>', $said, "$message names $name");
        is(limits(), $first, 'the first values are kept');
    }
}
my $bad = grep { $srv->get('/index.html')->{status} != 200 } 1 .. 50;
is($bad, 0, 'still serving');

$srv->finish;
done_testing;
