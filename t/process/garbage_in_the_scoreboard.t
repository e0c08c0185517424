# A child that writes garbage all over the shared scoreboard, with the number of an innocent process
# in it, harms neither that process nor the server: it serves, replaces children, restarts, ends what
# holds a drain, and stops, and there are never more children than allowed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

plan skip_all => 'stock keeps the numbers of its children there' if MPMX::Server->is_stock;

my $srv = MPMX::Server->new(
    handlers  => 1,
    c_modules => ['mod_mpmxt_scribble'],
    conf      => "ExtendedStatus On\nGracefulDrainTimeout 1\n<Location /scribble>\nSetHandler mpmxt-scribble\n</Location>",
    sizing    => { StartServers => 2, ServerLimit => 3, ThreadsPerChild => 4, MaxRequestWorkers => 12,
                   MinSpareThreads => 4, MaxSpareThreads => 12 },
);

# In the server's process group, as one of its own would be.
my $innocent = fork;
die "fork: $!\n" unless defined $innocent;
if (!$innocent) {
    $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP ALRM);
    alarm 300;
    sleep 1 while 1;
}
sub innocent_lives { return MPMX::Server::Proc::alive($innocent) }

my $most = MPMX::Server::single() ? 1 : 3;
sub scribble {
    my ($what) = @_;
    is($srv->get("/scribble?$innocent")->{body}, "scribbled\n", "garbage before: $what");
    return;
}

sub check {
    my ($what) = @_;
    my $bad = grep { $srv->get('/index.html', timeout => 20)->{status} != 200 } 1 .. 20;
    is($bad, 0, "$what: serving");
    ok($srv->running, 'the parent lives');
    ok($srv->wait_for(sub { my $n = $srv->children; $n >= 1 && $n <= $most }, 20), 'with as many children as there may be');
    ok(innocent_lives(), 'and so does who has nothing to do with it');
    return;
}

$srv->start(mode => 'foreground');
scribble('requests');
check('with garbage');

scribble('a crash');
my ($victim) = $srv->children;
kill 'KILL', $victim;
ok($srv->wait_for(sub { my @now = $srv->children; @now && !grep { $_ == $victim } @now }, 15), 'a child is replaced');
check('after a crash');

my @held = $srv->hold(2, 'held');
for my $sig (qw(USR1 HUP)) {
    scribble($sig);
    my %old = map { $_ => 1 } $srv->children;
    $srv->signal($sig);
    ok($srv->wait_for(sub { my @now = $srv->children; @now && !grep { $old{$_} } @now }, 20), "$sig: all children are new");
    check($sig);
    next unless $sig eq 'USR1';
    ok($srv->wait_logged('GracefulDrainTimeout \(1 s\) is over', 5), 'what held them was cut off');
    ok($srv->logged('is stopped, which cuts them off: \d connections at work'), 'which the log says');
}
unlink $srv->path('marks/held');
$_->[0]->close for @held;

scribble('a stop');
$srv->signal('TERM');
ok($srv->wait_for(sub { !$srv->running && defined $srv->{exit_status} }, 20), 'it stops');
is($srv->{exit_status}, 0, 'as it should');
ok(innocent_lives(), 'the other one goes on');
kill 'KILL', $innocent;
waitpid $innocent, 0;

$srv->finish(qr/exit signal Killed/);
done_testing;
