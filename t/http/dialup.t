# Promise: a suspended request (mod_dialup: the handler comes back by timed callbacks) holds no
# thread, is finished in its own time, and the connection goes on afterwards.
use MPMX::Test;
need_module('dialup');
need_async('a request cannot be suspended');

my $began = time;
my @c = map { client() } 1 .. 40;     # more than there are threads
$_->send_request('/slowline/modem.bin') for @c;
sleep 0.5;
# Each callback takes a thread for a moment, so one look may see some of them.
my $busy;
my $few = wait_until { $busy = busy_workers(); defined $busy && $busy <= 4 } 5;
my $under_way = grep { $_->still_open && length $_->{buf} < length doc('slowline/modem.bin') } @c;
ok($few && $under_way == 40, 'no thread stays with them')
    or diag('busy: ' . (defined $busy ? $busy : 'no answer') . ", under way: $under_way");
others_are_served('meanwhile');

my $until = time + seconds(20);
my $whole = grep {
    my $left = $until - time;
    $_->response(timeout => $left > 0 ? $left : 0)->{body} eq doc('slowline/modem.bin')
} @c;
is($whole, 40, 'the responses are whole');
cmp_ok(time - $began, '>', 1.5, 'and took their time');
note(sprintf '%.1f s', time - $began);

my $more = grep { $_->request('/small.bin', timeout => seconds(5))->{status} == 200 } @c[0 .. 4];
is($more, 5, 'the connections are usable afterwards');
my $again = $c[0]->request('/slowline/modem.bin', timeout => seconds(12));
ok($again->{body} eq doc('slowline/modem.bin'), 'also for another such request');
$_->close for @c;

done();
