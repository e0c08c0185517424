# RequestHeadTimeout takes whole seconds from 1 to 3600; anything else is an
# error that names the directive, the value and the range.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

plan skip_all => 'not a directive of httpd itself' if MPMX::Server->is_stock;

my $srv = MPMX::Server->new;
for my $value (qw(1 20 3600)) {
    my ($rc, $out) = $srv->check_config("RequestHeadTimeout $value");
    is($rc, 0, "RequestHeadTimeout $value: accepted") or diag($out);
}
for my $value ('0', '3601', '-1', 'abc', '20x', '1.5', '99999999999999999999') {
    my ($rc, $out) = $srv->check_config("RequestHeadTimeout $value");
    isnt($rc, 0, "RequestHeadTimeout $value: refused");
    like($out, qr/\bRequestHeadTimeout\b/, 'names the directive');
    like($out, qr/\Q$value\E/, 'shows the value');
    like($out, qr/\b1\b.*\b3600\b/s, 'tells the range') or diag($out);
}
my ($rc) = $srv->check_config('RequestHeadTimeout');
isnt($rc, 0, 'RequestHeadTimeout without a value: refused');
done_testing;
