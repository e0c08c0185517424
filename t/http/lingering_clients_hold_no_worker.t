# Promise: clients that keep their side of a connection open after the server has closed its side
# (lingering close) hold no thread: neither those that say nothing more nor those that talk on.
use MPMX::Test;
plan(skip_all => "httpd's own worker lingers in its threads") if is_stock() && !is_async();

# A thread that lingers is away for 2 s with a client that is silent. On a busy machine so many answers
# may take as long, so one good round of some is enough to tell.
my $n = threads() + 8;
my (@idle, $took);
for my $round (1 .. 5) {
    $_->close for splice @idle;
    my $began = time;
    @idle = hold($n, sub {
        $_[0]->send("GET /small.bin HTTP/1.1\r\nHost: never.localhost\r\n\r\n");
    }, 'vhosts');
    my $served = 0;
    for my $c (@idle) {
        my $res = $c->response;
        ++$served if $res->{closing} && $res->{body} eq doc('small.bin');
    }
    is($served, $n, "$n clients get their only answer, round $round");
    $took = time - $began;
    last if $took < 1.5;
}
cmp_ok($took, '<', 1.5 * factor(), 'without waiting for each other');

# the server has closed its side; nobody here does
is(scalar(grep { $_->closed_within(seconds(5)) } @idle), $n, 'and the end of it');
others_are_served('beside those that say nothing more', 20);
my $none_is_busy = sub { my $busy = busy_workers(); defined $busy && $busy == 0 };
ok(wait_until(\&$none_is_busy, 5), 'no thread is busy with them');

$_->send('more ' x 100) for @idle;
others_are_served('beside those that talk on', 20);
ok(wait_until(\&$none_is_busy, 5), 'and no thread is busy with them');
$_->close for @idle;
done();
