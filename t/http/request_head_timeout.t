# Promise: a request head that is not complete within RequestHeadTimeout (10 s here) ends the
# connection: with a 408 if its request line had come, silently (as the core does) if not. Neither
# a byte now and then nor an earlier request on the connection changes that. (Where a connection has a
# thread, that reads its later heads itself, each pause within Timeout.)
use MPMX::Test;
need_mpmx();

my $get = "GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n";
my $began = time;
my @slow = ('silent', 'partial', 'dripping', is_async() ? 'second' : ());
my %c = map { $_ => client() } @slow, 'idle';
$c{partial}->send("GET /whoami HTTP/1.1\r\nHost: loc");
$c{second}->send($get . "GET /whoami HTTP/1.1\r\nHo") if $c{second};
# An empty line, because a kernel that defers accepting (TCP_DEFER_ACCEPT) keeps a client that has
# sent nothing at all from the server.
$c{silent}->send("\r\n");
is($c{second}->response->{status}, 200, 'a first request is answered') if $c{second};
is($c{idle}->request('/whoami')->{status}, 200, 'an idle connection is not the subject');

# one byte of a header line each half second
my %ended;
$c{dripping}->send("GET /whoami HTTP/1.1\r\nX-Drip: ");
while (time - $began < seconds(20) && keys %ended < @slow) {
    for my $name (@slow) {
        next if $ended{$name};
        if ($name eq 'dripping') {
            $c{$name}->send('x');
        }
        $ended{$name} = time - $began unless $c{$name}->still_open;
    }
    sleep 0.5;
}

for my $name (@slow) {
    my $after = $ended{$name};
    ok(defined $after, "$name: closed") or next;
    cmp_ok($after, '>', 8, 'not before the timeout');
    note(sprintf '%s: %.1f s', $name, $after);
    my $text = $c{$name}{buf};
    if ($name eq 'silent') {
        is($text, '', 'without a word');
    }
    else {
        like($text, qr/\AHTTP\/1\.1 408 /, 'with a 408');
    }
}
# KeepAliveTimeout is 15 s: on a very busy machine that may be over as well.
ok($c{idle}->still_open || time - $began > 14.5, 'the idle connection has its own timeout');
$_->close for values %c;

done();
