# The exit status of the parent says what happened: 0 after any kind of stop that was asked for, 15
# (httpd's "fatal") when a child could not start, 1 when the server could not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Socket;
use MPMX::Server;

my $srv = MPMX::Server->new(c_modules => ['mod_mpmxt_proc_exit'], conf => 'MpmxtExit child_init 15 @DIR@/marks/fatal');

sub ends_with {
    my ($status, $what) = @_;
    ok($srv->wait_for(sub { !$srv->running && defined $srv->{exit_status} && !$srv->all_pids }, 20), "$what: it ends");
    my $is = defined $srv->{exit_status} ? $srv->{exit_status} : -1;
    is($is & 127 ? 'a signal' : $is >> 8, $status, "$what: status $status");
    delete $srv->{exit_status};
    return;
}

for my $sig (qw(TERM INT WINCH)) {
    $srv->start(mode => 'foreground');
    $srv->signal($sig);
    ends_with(0, $sig);
}

$srv->start(mode => 'foreground');
$srv->signal('USR1');
ok($srv->wait_for(sub { $srv->logged('Doing graceful restart|SIGHUP received') }, 10), 'a restart');
$srv->signal('TERM');
ends_with(0, 'TERM right after a restart');

$srv->write('marks/fatal', '');
$srv->start(mode => 'foreground', no_wait => 1);
ends_with(15, 'a child cannot start');
ok(!-e $srv->path('run/httpd.pid') || MPMX::Server->is_stock, 'no pid file is left');
unlink $srv->path('run/httpd.pid'), $srv->path('marks/fatal');

socket(my $listener, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
setsockopt($listener, SOL_SOCKET, SO_REUSEADDR, 1);
ok(bind($listener, sockaddr_in($srv->port, INADDR_LOOPBACK)) && listen($listener, 1), 'somebody else has the port');
$srv->start(mode => 'foreground', no_wait => 1);
ends_with(1, 'the port is in use');
close $listener;

$srv->configure(conf => 'NoSuchDirective');
$srv->start(mode => 'foreground', no_wait => 1);
ends_with(1, 'an error in the configuration');

$srv->finish(qr/AH00050/);
done_testing;
