# Promise: an idle keep-alive connection is closed when its virtual host's KeepAliveTimeout has
# passed, not before and not much later; the timeout is that of the virtual host that
# served the last request, and milliseconds are possible.
use MPMX::Test;

my %c;
my %since;
for my $host (qw(short millis long)) {
    $c{$host} = client('vhosts');
    # The server's clock starts after the request, and may be well ahead when its answer is looked at.
    $since{$host} = time;
    my $res = $c{$host}->request('/whoami', headers => { Host => "$host.localhost",
                                                         Connection => 'keep-alive' });
    like($res->{body}, qr/host=$host\.localhost/, "served by the virtual host $host");
    like($res->{headers}{'keep-alive'} || '', qr/timeout=\d/, 'which announces a timeout');
}

sub closed_after {
    my ($host, $earliest, $latest) = @_;
    my $closed = $c{$host}->closed_within(seconds($latest));
    my $took = time - $since{$host};
    ok($closed, "$host: closed by the server");
    cmp_ok($took, '>', $earliest, "$host: not too early");
    note(sprintf '%s: %.2f s', $host, $took);
}
closed_after('short', 0.9, 6);
closed_after('millis', 1.4, 6);
ok($c{long}->still_open, 'a longer timeout is not cut short by those');

# the same connection, another virtual host: the timeout changes with it
$since{long} = time;
my $res = $c{long}->request('/whoami', headers => { Host => 'short.localhost' });
is($res->{status}, 200, 'the long one is usable after the others have gone');
closed_after('long', 0.9, 6);

my $c;
for (1 .. 5) {
    my $began = time;
    $c = client('vhosts');
    $c->request('/whoami', headers => { Host => 'short.localhost' });
    $res = $c->request('/whoami', headers => { Host => 'long.localhost' });
    # Unless it is this side that has slept for longer than the short one.
    last if $res->{status} == 200 || time - $began < 0.9;
}
is($res->{status}, 200, 'from a short to a long one');
sleep 2.5;
ok($c->still_open, 'still there after the short timeout');
$c->close;

done();
