# Promise: one connection serves many requests, of all kinds, and the server counts them as one
# connection's.
use MPMX::Test;

my $c = client();
my $right = 0;
my $last;
for my $i (1 .. 400) {
    my $path = $i % 7 ? '/small.bin' : '/gen?bytes=20000';
    my $res = $c->request($path);
    last if $res->{status} != 200;
    ++$right if $i % 7 ? $res->{body} eq doc('small.bin')
                       : sha1_hex($res->{body}) eq $res->{headers}{'x-sha1'};
}
is($right, 400, '400 requests on one connection');
my ($nth) = $c->request('/whoami')->{body} =~ /request=(\d+)/;
is($nth, 401, 'the server counted them as requests of one connection');

# errors, redirects and empty answers do not end a connection either
my @seen = map { $c->request($_)->{status} } '/none', '/slowline', '/small.bin';
is("@seen", '404 301 200', 'after an error and a redirect the connection goes on');
is($c->request('/sink', method => 'POST', body => 'x' x 5000)->{status}, 200, 'a POST');
is($c->request('/none', method => 'POST', body => 'x' x 5000)->{status}, 404, 'a POST nobody reads');
is($c->request('/small.bin')->{status}, 200, 'and the connection is usable still');
$c->close;

done();
