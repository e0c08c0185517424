# KeepAliveHibernate takes whole seconds from 1 to 3600 or "off"; anything else,
# and one inside <VirtualHost>, is an error that names the directive, the value
# and what is allowed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

plan skip_all => 'not a directive of httpd itself' if MPMX::Server->is_stock;

my $srv = MPMX::Server->new;
for my $value (qw(1 10 3600 off Off OFF)) {
    my ($rc, $out) = $srv->check_config("KeepAliveHibernate $value");
    is($rc, 0, "KeepAliveHibernate $value: accepted") or diag($out);
}
for my $value ('0', '-1', '3601', '4000', 'abc', 'on', 'offf', '1s', '1.5', '99999999999999999999') {
    my ($rc, $out) = $srv->check_config("KeepAliveHibernate $value");
    isnt($rc, 0, "KeepAliveHibernate $value: refused");
    # Line number and file say nothing about the value.
    $out =~ s/^.*Syntax error on line.*\n//m;
    like($out, qr/\bKeepAliveHibernate\b/, 'names the directive');
    like($out, qr/\Q$value\E/, 'shows the value');
    like($out, qr/\b1\b.*\b3600\b/s, 'tells the range') or diag($out);
    like($out, qr/\boff\b/i, 'and the other word') or diag($out);
}
for my $value ('', '1 2') {
    my ($rc) = $srv->check_config("KeepAliveHibernate $value");
    isnt($rc, 0, $value ? 'two values: refused' : 'without a value: refused');
}
my ($rc, $out) = $srv->check_config("<VirtualHost *:80>\nKeepAliveHibernate 2\n</VirtualHost>");
isnt($rc, 0, 'in <VirtualHost>: refused');
like($out, qr/\bKeepAliveHibernate\b.*VirtualHost/s, 'and the message says why') or diag($out);
done_testing;
