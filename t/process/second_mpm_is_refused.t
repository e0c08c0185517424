# A configuration that loads two MPMs is refused, at -t and at start, with a
# message that names both.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my $mpm = MPMX::Server::mpm();
my ($other) = grep { $_ ne $mpm && MPMX::Server::Toolchain::httpd_module("mpm_$_") } qw(worker event prefork);
plan skip_all => 'httpd has no other MPM to load' unless $other;
my $line = MPMX::Server::Toolchain::load_line("mpm_$other");
my $ours = qq{LoadModule mpm_${mpm}_module "} . MPMX::Server::Toolchain::mpm_so() . qq{"\n};

my $srv = MPMX::Server->new;
for my $order ("$ours$line", "$line$ours") {
    my $name = $order eq "$ours$line" ? "$other after $mpm" : "$other before $mpm";
    $srv->configure(no_mpm => 1, conf => '', sizing => {});
    # LoadModule has to come before the directives of the MPM.
    my $text = $srv->read('httpd.conf');
    $text =~ s/^(LoadModule|User|Listen)/$order$1/m;
    $srv->write('httpd.conf', $text);

    my ($rc, $out) = $srv->httpd('-t');
    # File names in the message are no names of MPMs.
    (my $said = $out) =~ s{\S*/\S*}{}g;
    isnt($rc, 0, "$name: refused");
    like($said, qr/\b(?:mpm_)?$mpm(?:_module|\.c)?\b/, "$name: the message names $mpm") or diag($out);
    like($said, qr/\b(?:mpm_)?$other(?:_module|\.c)?\b/, "$name: and $other") or diag($out);
    ($rc, $out) = $srv->httpd('-k', 'start');
    isnt($rc, 0, "$name: not started either");
    ok(!$srv->all_pids, "$name: no process left");
}
done_testing;
