# Promise: mod_ratelimit slows a response down as configured and the response is whole.
use MPMX::Test;
need_module('ratelimit');

my $began = time;
my @c = map { client() } 1 .. 5;
$_->send_request('/limited/medium.bin') for @c;
is(scalar(grep { $_->response->{body} eq doc('medium.bin') } @c), 5, 'five limited responses, whole');
my $took = time - $began;
# 100 kB at 100 KiB/s
cmp_ok($took, '>', 0.6, 'and slow');
note(sprintf '%.2f s', $took);
is(scalar(grep { $_->request('/small.bin')->{status} == 200 } @c), 5, 'their connections go on');
$_->close for @c;

done();
