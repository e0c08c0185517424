# A head that was whole when its time was over, and only found no thread that
# could have looked at it, is answered, however many pieces it came in.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time sleep);

plan(skip_all => 'only mpmx has this') if MPMX::Server::is_stock();
my $slow = MPMX::Server::slowness();
# A busy machine needs some of it for what has to come in time.
my $secs = $slow > 1 ? 8 : 4;
my $srv = MPMX::Server->new(
    handlers => 1,
    sizing   => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 2, MaxRequestWorkers => 2,
                  MinSpareThreads => 1, MaxSpareThreads => 2 },
    conf     => "RequestHeadTimeout $secs\nLimitRequestLine 16000\nLimitRequestFieldSize 16000",
);
$srv->start;

# name => what comes in time, in pieces, behind a part that was seen
my %rest = (
    'in two pieces'         => [20, 30],
    'in many small ones'    => [(10) x 30],
    'larger than one read'  => [900, 900, 900],
    'as large as a buffer'  => [(1400) x 10],
    'larger than any'       => [(3000) x 10],
    'the end of the client' => [20, 30],
    'and never whole'       => [20, 30],
);
my %c;
for my $what (sort keys %rest) {
    $c{$what} = $srv->connect(timeout => 20 * $slow);
    $c{$what}->send("GET /mpmxt/id HTTP/1.1\r\nHost: localhost\r\nX-Beg");
}
my $began = time;
# They have been seen by then, because these two came later.
my @held = $srv->hold(2, 'busy');
is(scalar @held, 2, 'both threads are busy');
for my $what (sort keys %rest) {
    my $n = 0;
    for my $size (@{ $rest{$what} }) {
        $c{$what}->send(($n ? "X-$n: " : 'in: ') . 'x' x $size . "\r\n");
        $n++;
    }
    $c{$what}->send("\r\n") if $what ne 'and never whole';
    shutdown $c{$what}->fh, 1 if $what eq 'the end of the client';
}
cmp_ok(time - $began, '<', $secs, 'all of it comes in time');
sleep $began + $secs + 1 - time;
is($srv->release('busy', @held), 2, 'then the threads come back');
for my $what (sort keys %rest) {
    my $r = $c{$what}->response;
    is($r->{status}, $what eq 'and never whole' ? 408 : 200, "$what: answered") or diag($r->{error});
    $c{$what}->close;
}
is($srv->get('/index.html')->{status}, 200, 'still serving');
$srv->finish;
done_testing;
