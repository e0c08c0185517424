# Promise: clients that send the beginning of a second request with their first get the first answer
# at once, hold no thread while the rest is missing, and are served when it comes.
use MPMX::Test;
need_async();

my $get = "GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n";
my $n = 50;     # more than the server has threads
my @cut = map { 1 + ($_ * 7) % (length($get) - 1) } 1 .. $n;

my @held;
my $answered = 0;
for my $i (0 .. $n - 1) {
    my $c = MPMX::Client->new(port => port(), timeout => seconds(3));
    $c->send($get . substr $get, 0, $cut[$i]);
    push @held, $c;
}
for my $c (@held) {
    ++$answered if $c->response->{status} == 200;
    last if $c->{error};
}
is($answered, $n, 'the first answers come at once');

others_are_served('meanwhile');
my $busy = busy_workers();
ok(defined $busy && $busy <= 2, 'no thread waits for the missing parts')
    or diag('busy: ' . (defined $busy ? $busy : 'no answer'));

my $second = 0;
for my $i (0 .. $#held) {
    $held[$i]->send(substr $get, $cut[$i]);
    ++$second if $held[$i]->response->{status} == 200;
}
is($second, $n, 'the rest arrives and is answered');
$_->close for @held;

done();
