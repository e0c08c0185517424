# Promise: connections of an asynchronous protocol that wait for input hold no thread.
use MPMX::Test;
need_async('it is what a protocol module waits with');

for my $how (qw(wait park)) {
    my $greeted = 0;
    my @c = hold(40, sub { ++$greeted if ($_[0]->line(seconds(5)) || '') eq '220 hello' }, "line$how");
    is($greeted, 40, "$how: 40 connections are greeted");
    my $free = wait_until { my $busy = busy_workers(); defined $busy && $busy == 0 } 5;
    ok($free, 'and hold no thread');
    others_are_served('meanwhile', 20);
    $_->send("half") for @c;
    sleep 0.2;
    # Who waited for the other half would stay.
    $free = wait_until { my $busy = busy_workers(); defined $busy && $busy == 0 } 5;
    ok($free, 'nor with half a line');
    $_->send(" a line\r\n") for @c;
    is(scalar(grep { ($_->line(seconds(5)) || '') eq '250 half a line' } @c), 40, 'whole lines are answered');
    $_->close for @c;
}
done();
