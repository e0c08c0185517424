# A restart with a broken configuration is refused, and no client notices: each
# kind sees what docs/restarts.md says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Restarts;

my $bed = MPMX::Restarts->new('A restart that is refused');
$bed->begin;
my $srv = $bed->{srv};
my $conf = $srv->{conf};
$srv->configure(conf => "$conf\nNoSuchDirective 1\n");
$bed->queue_while(sub {
    for my $verb (qw(graceful restart)) {
        my ($rc, $out) = $srv->httpd('-k', $verb);
        isnt($rc, 0, "-k $verb fails");
        like($out, qr/NoSuchDirective/, 'and says why');
    }
});
# Where the parent looks at the configuration itself, whatever the way the order came.
SKIP: {
    skip 'this parent obeys any signal', 2 if ($srv->check_config('ReloadCheck On'))[0];
    $srv->configure(conf => "$conf\nNoSuchDirective 1\n");
    for my $sig (qw(USR1 HUP)) {
        my $said = $srv->logged('was not restarted');
        $srv->signal($sig);
        ok(MPMX::Server::wait_for(sub { $srv->logged('was not restarted') > $said }, 30), "$sig is refused");
    }
}
$bed->knock_until(sub { 1 });
is(join(' ', $srv->children), $bed->{old}, 'the child is still the same');
$bed->compare;
$srv->configure(conf => $conf);
$bed->finish;
done_testing;
