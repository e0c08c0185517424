# Promise: idle HTTP/2 connections hold no thread (unless each has one of its own) and stay usable
# until KeepAliveTimeout (3 s on the virtual host with TLS) closes them with a GOAWAY.
use MPMX::Test;
use MPMX::H2;
need_module('http2');

my @h2 = map { MPMX::H2->new(client('h2c', timeout => seconds(10))) } 1 .. 40;
my $served = grep { my $body = $_->body($_->get('/small.bin'), seconds(10)); ($body || '') eq doc('small.bin') } @h2;
is($served, 40, '40 connections, one request on each');
SKIP: {
    skip 'a thread per connection', 1 unless is_async();
    my $free = wait_until { my $busy = busy_workers(); defined $busy && $busy == 0 } 5;
    ok($free, 'idle they hold no thread');
}
others_are_served('meanwhile', 20);

sleep 1;
is(scalar(grep { $_->ping(seconds(5)) } @h2), 40, 'they answer a ping');
sleep 1;
$served = grep { defined $_->body($_->get('/whoami'), seconds(10)) } @h2;
is($served, 40, 'and another request');

# a connection on which nothing was ever asked
my $mute = MPMX::H2->new(client('h2c', timeout => seconds(10)));
ok($mute->ping(seconds(5)), 'a connection without a request answers a ping');
is(length($mute->body($mute->get('/medium.bin'), seconds(10)) || ''), 100_000, 'and then a request');
$mute->{client}->close;

SKIP: {
    skip 'no TLS', 4 unless Apache::Test::vars('have_tls') && eval { require IO::Socket::SSL };
    my %alpn = (SSL_alpn_protocols => ['h2']);
    # One after the other: with a thread for each, the first request has no more time than a later one.
    my (@tls, $began);
    $served = 0;
    for (1 .. 10) {
        push @tls, MPMX::H2->new(client('h2', tls => \%alpn, timeout => seconds(10)));
        $began = time;
        $served++ if ($tls[-1]->body($tls[-1]->get('/small.bin'), seconds(10)) || '') eq doc('small.bin');
    }
    is($served, 10, '10 over TLS');
    SKIP: {
        skip 'a thread per connection', 1 unless is_async();
        my $free = wait_until { my $busy = busy_workers(); defined $busy && $busy == 0 } 2;
        ok($free, 'idle they hold no thread either');
    }
    is(scalar(grep { $_->goodbye(seconds(12)) } @tls), 10, 'and are closed with a GOAWAY');
    cmp_ok(time - $began, '>', 2, 'not before their time');
    note(sprintf 'after %.1f s', time - $began);
}
$_->{client}->close for @h2;

done();
