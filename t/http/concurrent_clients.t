# Promise: many requests by several clients at once are all answered rightly, on lasting and on
# one-request connections.
use MPMX::Test;

my @answers = in_parallel(6, sub {
    my $who = shift;
    my %want = map { $_ => doc($_) } qw(small.bin medium.bin);
    my ($c, $right) = (undef, 0);
    for my $i (1 .. 400) {
        $c ||= client(undef, timeout => seconds(30));
        my $last = ($i + $who) % 20 == 0 || $who == 5;
        my $kind = $i % 10;
        if ($kind == 3) {
            my $n = 1 + ($i * 7919) % 30_000;
            my $body = substr $want{'medium.bin'}, $i, $n;
            my $res = $c->request('/sink', method => 'POST', body => $body, close => $last);
            ++$right if $res->{body} eq "length=$n sha1=" . sha1_hex($body) . "\n";
        }
        elsif ($kind == 6) {
            my $res = $c->request("/gen?bytes=${\ ($i * 100)}", close => $last);
            ++$right if length $res->{body} == $i * 100
                && sha1_hex($res->{body}) eq $res->{headers}{'x-sha1'};
        }
        else {
            my $name = $kind == 9 ? 'medium.bin' : 'small.bin';
            my $res = $c->request("/$name", close => $last);
            ++$right if $res->{body} eq $want{$name};
        }
        if ($last) {
            $c->close;
            undef $c;
        }
    }
    return $right;
});
is("@answers", '400 400 400 400 400 400', '2400 answers of 2400 are right');

done();
