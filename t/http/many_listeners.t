# Promise: thirty listeners are served alike, none is forgotten for the others.
use MPMX::Test;

my @names = map { sprintf 'many%02d', $_ } 0 .. 29;
my $good = grep { get('/small.bin', port => $_)->{status} == 200 } @names;
is($good, 30, 'each listener serves');

# all at the same time, two on each if none of them keeps a thread
my @c = map { client($_) } is_async() ? (@names, @names) : @names;
$good = grep { $_->request('/whoami')->{status} == 200 } reverse @c;
is($good, scalar @c, 'many connections at the same time');
$good = grep { $_->request('/whoami')->{status} == 200 } @c;
is($good, scalar @c, 'and again on the same connections');
$_->close for @c;

my @answers = in_parallel(4, sub {
    my $who = shift;
    my $right = 0;
    for my $i (1 .. 150) {
        my $res = get('/small.bin', port => $names[($i * 7 + $who) % 30]);
        ++$right if length $res->{body} == 1000;
    }
    return $right;
});
is("@answers", '150 150 150 150', 'several clients at once, all over the place');

done();
