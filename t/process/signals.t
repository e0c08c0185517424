# The parent obeys raw signals under load: HUP and USR1 restart (an MPM with one
# child has one kind of restart, which loses nothing), TERM and INT stop at once,
# WINCH stops gracefully.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Load;

my $srv = MPMX::Server->new(handlers => 1);
$srv->start;

for my $sig (qw(USR1 HUP USR1)) {
    my $load = MPMX::Load->start(port => $srv->port, clients => 8);
    my %old = map { $_ => 1 } $srv->children;
    $srv->signal($sig);
    ok($srv->wait_for(sub { my @now = $srv->children; @now && !grep { $old{$_} } @now }, 15), "$sig: all children are new");
    ok($srv->wait_for(sub { $srv->get('/index.html')->{status} == 200 }, 10), "$sig: serving");
    my $n = $load->stop;
    is($n->{refused} + $n->{timeout} + $n->{bad}, 0, "$sig: nobody was refused") or diag(MPMX::Load->text($n));
    is($n->{reset} + $n->{eof}, 0, "$sig: no request lost") or diag(MPMX::Load->text($n))
        if $sig eq 'USR1' || MPMX::Server::single();
}

# Many signals at once must not confuse the parent.
for (1 .. 5) { $srv->signal('USR1'); $srv->signal('HUP') }
ok($srv->wait_for(sub { $srv->children && $srv->get('/index.html')->{status} == 200 }, 15), 'a volley of USR1 and HUP: serving');

for my $sig (qw(TERM INT WINCH)) {
    $srv->start unless $srv->running;
    my $load = MPMX::Load->start(port => $srv->port, clients => 8);
    ok($srv->wait_for(sub { $srv->get('/index.html')->{status} == 200 }, 5), "$sig: serving before");
    $srv->signal($sig);
    ok($srv->wait_for(sub { !$srv->all_pids }, 10), "$sig: everything ends");
    ok(!-e $srv->path('run/httpd.pid'), "$sig: no pid file left");
    my $n = $load->stop;
    is($n->{bad}, 0, "$sig: no wrong answer") or diag(MPMX::Load->text($n));
}

$srv->finish;
done_testing;
