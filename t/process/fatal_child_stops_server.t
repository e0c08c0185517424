# A child that ends with APEXIT_CHILDFATAL stops the server, which says so;
# at start as well as later, and leaves no process behind.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my $srv = MPMX::Server->new(c_modules => ['mod_mpmxt_proc_exit']);
for my $hook (qw(child_init drop_privileges)) {
    $srv->configure(conf => "MpmxtExit $hook 15 \@DIR\@/marks/fatal");

    $srv->write('marks/fatal', '');
    $srv->start(mode => 'foreground', no_wait => 1);
    ok($srv->wait_for(sub { !$srv->running }, 15), "$hook: fatal at start: the server stops");
    ok($srv->wait_for(sub { !$srv->all_pids }, 5), 'and no child is left');
    like($srv->error_log, qr/AH00050: Child \d+ returned a Fatal error/, 'the log says why');
    unlink $srv->path('run/httpd.pid');

    unlink $srv->path('marks/fatal');
    $srv->write('logs/error.log', '');
    $srv->start(mode => 'foreground');
    is($srv->get('/index.html')->{status}, 200, "$hook: healthy start");
    $srv->write('marks/fatal', '');
    kill 'KILL', ($srv->children)[0];
    ok($srv->wait_for(sub { !$srv->running }, 15), 'fatal later: the server stops');
    ok($srv->wait_for(sub { !$srv->all_pids }, 15), 'and no child is left');
    like($srv->error_log, qr/AH00050: Child \d+ returned a Fatal error/, 'the log says why');
    unlink $srv->path('run/httpd.pid');
}

$srv->finish(qr/AH00050/, qr/AH00052: child pid \d+ exit signal Killed/);
done_testing;
