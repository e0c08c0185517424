# Promise: clients that send the beginning of a second request with their first get the first answer
# at once, and are served when the rest comes; meanwhile they hold no thread, unless a connection
# has one of its own.
use MPMX::Test;
plan(skip_all => "httpd's own worker keeps the answer until the rest comes") if is_stock() && !is_async();

my $get = "GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n";
# more than the server has threads, or as many as leave some to others
my $n = is_async() ? threads() + 18 : threads() / 2;
my @cut = map { 1 + ($_ * 7) % (length($get) - 1) } 1 .. $n;

sub answered_at_once {
    my $answered = 0;
    for my $c (@_) {
        ++$answered if $c->response->{status} == 200;
        last if $c->{error};
    }
    return $answered;
}

my @held = map { client(undef, timeout => seconds(5)) } 1 .. $n;
$held[$_]->send($get . substr $get, 0, $cut[$_]) for 0 .. $#held;
is(answered_at_once(@held), $n, 'the first answers come at once');

others_are_served('meanwhile');
SKIP: {
    skip 'a thread per connection', 1 unless is_async();
    # Who waits would stay; the last of the others may not be gone yet.
    my $busy;
    my $free = wait_until { $busy = busy_workers(); defined $busy && $busy <= 2 } 3;
    ok($free, 'no thread waits for the missing parts')
        or diag('busy: ' . (defined $busy ? $busy : 'no answer'));
}

my $second = 0;
for my $i (0 .. $#held) {
    $held[$i]->send(substr $get, $cut[$i]);
    ++$second if $held[$i]->response->{status} == 200;
}
is($second, $n, 'the rest arrives and is answered');
$_->close for @held;

# The second request is whole but for its body, which its handler waits for.
@held = map { client(undef, timeout => seconds(5)) } 1 .. 4;
$_->send($get . "POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhe") for @held;
is(answered_at_once(@held), 4, 'the first answers come at once when a body is missing');
$_->send('llo') for @held;
is(scalar(grep { $_->response->{body} =~ /^length=5 / } @held), 4, 'and it is waited for');
$_->close for @held;
done();
