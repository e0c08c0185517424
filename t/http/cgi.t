# Promise: CGI scripts run (through mod_cgid's daemon): output of any size arrives whole, POSTed
# bodies reach them, slow ones do not disturb others, and of what they do afterwards nobody takes notice.
use MPMX::Test;
need_module('cgid', 'alias');

my $c = client();
my $res = $c->request('/cgi-bin/env.cgi?a=b');
is($res->{status}, 200, 'a script runs');
like($res->{body}, qr/method=GET query=a=b length= protocol=HTTP\/1\.1/, 'and knows what was asked');

$res = $c->request('/cgi-bin/big.cgi?20000');
is(length $res->{body}, 20_000_000, '20 MB of output');
my $n = 0;
my $in_order = !grep { substr($_, 0, 10) != ++$n } split /\n/, $res->{body};
ok($in_order && $n == 20_000, 'in order');

my $body = doc('large.bin');
open my $sum, '-|', 'cksum', docs_dir() . '/large.bin' or die "cksum: $!\n";
my ($want) = <$sum> =~ /^(\d+ \d+)/;
close $sum;
$res = $c->request('/cgi-bin/post.cgi', method => 'POST', body => $body);
is($res->{body}, "$want\n", 'a script reads 10 MB');
is($c->request('/small.bin')->{status}, 200, 'all on one connection');
$c->close;

my @slow = map { client() } 1 .. 8;
$_->send_request('/cgi-bin/slow.cgi') for @slow;
others_are_served('beside slow scripts', 20);
my $right = grep { $_->response->{body} eq join '', map { "part $_\n" } 1 .. 5 } @slow;
is($right, 8, 'slow scripts are waited for');
$_->close for @slow;

# Until its script has ended, a request is not let go of. The kernel keeps back the end of a response
# for 200 ms, if it is told to (tcp(7), TCP_CORK); the machine may be late, but not always.
for my $port ('', 'tls') {
    SKIP: {
        skip('no TLS', 1) if $port && !eval { client('tls', tls => {})->close; 1 };
        my $late = 9;
        for (my $n = 0; $n < 10 && $late > 0.15; ++$n) {
            my $l = $port ? client($port, tls => {}) : client();
            $l->send_request('/cgi-bin/lasting.cgi', close => 1);
            my ($at) = $l->response->{body} =~ /^([\d.]+)$/m;
            $late = time - $at if $at && time - $at < $late;
            $l->close;
        }
        ok($late <= 0.15, 'the client of a script that goes on has its response at once') or diag("$late s");
    }
}

is(get('/cgi-bin/none.cgi')->{status}, 404, 'no such script');
done();
