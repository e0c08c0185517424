# Promise: a module sees what it knows from httpd's own MPM of that name. An asynchronous one says so,
# gives connections a state, runs timed callbacks, and tells when a connection goes on without a
# thread; the other one knows none of all that.
use MPMX::Test;

my %name = (event => 'event', worker => 'worker', winnt => 'WinNT');

# A thread that comes back from an answer late may find the next request there, and keep the connection:
# so as many requests as it takes.
sub ask {
    my ($c, $suspensions) = @_;
    my %seen;
    for (1 .. 60) {
        %seen = $c->request('/mpm')->{body} =~ /(\w+)=(\w+)/g;
        last if $_ >= 5 && (!is_async() || ($seen{suspensions} || 0) >= $suspensions);
        sleep 0.05;
    }
    return %seen;
}

my $c = client();
my %seen = ask($c, 4);
is($seen{name}, $name{ Apache::Test::vars('mpm') }, 'its name');
is($seen{threaded}, 'yes', 'threads');
my %want = is_async() ? (async => 'yes', cs => 'yes', timers => 'yes')
                      : (async => 'unknown', cs => 'no', timers => 'unknown');
is($seen{$_}, $want{$_}, "$_: $want{$_}") for sort keys %want;
if (is_async()) {
    cmp_ok($seen{suspensions}, '>=', 4, 'between its requests the connection had no thread');
    # depends on the version of httpd
    like($seen{waitio}, qr/\A(?:yes|unknown)\z/, "CAN_WAITIO: $seen{waitio}");
}
else {
    is($seen{suspensions}, 0, 'no connection goes on without its thread');
    is($seen{waitio}, 'unknown', 'CAN_WAITIO: unknown');
}
$c->close;

SKIP: {
    skip 'no TLS', 2 unless Apache::Test::vars('have_tls') && eval { require IO::Socket::SSL };
    my $tls = client('tls', tls => {});
    %seen = ask($tls, 1);
    is($seen{cs}, $want{cs}, 'the same over TLS');
    is($seen{suspensions} > 0 ? 'yes' : 'no', is_async() ? 'yes' : 'no', 'between requests, too');
    $tls->close;
}
done();
