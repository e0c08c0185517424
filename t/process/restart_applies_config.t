# A changed configuration really takes effect at the next restart, graceful or
# not: sizes, timeouts, content and listening ports.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my $srv = MPMX::Server->new(handlers => 1, modules => ['alias'], listen => 2,
                            sizing => { StartServers => 1, ServerLimit => 8, ThreadLimit => 48, ThreadsPerChild => 4, MaxRequestWorkers => 8 });
my @all = @{ $srv->{ports} };

sub mpm_says {
    my %is = $srv->get('/mpmxt/query')->{body} =~ /^(\d+)=(\S+)/mg;
    $is{4} += 8 if MPMX::Server->is_stock;
    return "threads $is{6}, children $is{12}, limits $is{4} and $is{5}, spare $is{8} to $is{10}";
}

# What it should say. A scoreboard has ServerLimit slots and as many again (8 to 64) for processes
# that only finish what they have (one, for a child that is alone), see docs/internals/processes.md.
sub expect {
    my ($threads, $children, $min, $max) = @_;
    return 'threads ' . $threads * $children . ', children 1, limits 2 and 48, spare 0 to 0' if MPMX::Server::single();
    return "threads $threads, children $children, limits 16 and 48, spare $min to $max";
}

# Waits until the restart has been done; the same request may still reach an
# old child before.
sub restart {
    my ($sig) = @_;
    return ok($srv->renewed_by($sig), "$sig: all children are new");
}

$srv->configure(ports => [ $all[0] ]);
$srv->start;
is(mpm_says(), expect(4, 2, 8, 32), 'as configured first');
like($srv->connect(port => $all[1])->{error}, qr/refused/, 'one port');

my $size = 4;
for my $sig (qw(USR1 HUP)) {
    $size += 4;
    $srv->write("htdocs/new-$sig.txt", "new $sig");
    $srv->configure(
        ports  => [@all],
        sizing => { StartServers => 1, ServerLimit => 8, ThreadLimit => 48, ThreadsPerChild => $size,
                    MaxRequestWorkers => 3 * $size, MinSpareThreads => 5, MaxSpareThreads => 40 },
        conf   => qq{Alias /moved.txt "\@DIR\@/htdocs/new-$sig.txt"\nKeepAliveTimeout 1\n},
    );
    restart($sig);
    is(mpm_says(), expect($size, 3, 5, 40), "$sig: new sizes");
    is($srv->get('/moved.txt')->{body}, "new $sig", "$sig: new content");
    is($srv->get('/index.html', port => $all[1])->{status}, 200, "$sig: the new port answers");
    my $c = $srv->connect;
    is($c->request('/index.html')->{status}, 200, "$sig: an idle connection");
    ok($c->closed_within(6), "$sig: is closed after the new KeepAliveTimeout");

    $srv->configure(ports => [ $all[0] ], conf => '');
    restart($sig);
    is($srv->get('/moved.txt')->{status}, 404, "$sig: content gone again");
    ok($srv->wait_for(sub { $srv->connect(port => $all[1])->{error} =~ /refused/ }, 5), "$sig: the port is closed again");
    is($srv->get('/index.html')->{status}, 200, "$sig: the other one still answers");
}

$srv->finish;
done_testing;
