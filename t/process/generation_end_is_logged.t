# One line in the error log, of a form that the manual promises, when the last process of a
# generation has ended: in whatever order generations end, with the number of processes that older
# ones still have; after every kind of restart, also if none was there at that moment; and in the
# new file, when log files were renamed before the restart.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

plan skip_all => 'stock does not say it' if MPMX::Server->is_stock;

my $srv = MPMX::Server->new(
    handlers  => 1,
    c_modules => ['mod_mpmxt_proc_exit'],
    conf      => 'MpmxtExit child_init 7 @DIR@/marks/sick',
    sizing    => { StartServers => 1, ServerLimit => 3, ThreadsPerChild => 4, MaxRequestWorkers => 12,
                   MinSpareThreads => 1, MaxSpareThreads => 12 },
);
my $form = 'the last process has ended, its log files are no longer in use; processes of older generations left:';

sub ends {
    my ($generation, $left, $what) = @_;
    ok($srv->wait_logged("generation $generation: $form $left\\n", 15), "$what: generation $generation is over, older ones have $left");
    return;
}

sub restart {
    my ($sig) = @_;
    my %old = map { $_ => 1 } $srv->children;
    $srv->signal($sig);
    ok($srv->wait_for(sub { $srv->get('/mpmxt/id?0')->{body} =~ / pid=(\d+) / && !$old{$1} }, 15), "$sig: a new generation serves");
    ok($srv->accept_no_more(keys %old), 'and it alone');
    return;
}

$srv->start;
ok(!$srv->logged('the last process has ended'), 'nothing is said at first');
my @first = $srv->hold(1, 'first');
restart('USR1');
my @second = $srv->hold(1, 'second');
restart('USR1');
ok(!$srv->logged('the last process has ended'), 'nor while they are at work');
is($srv->release('second', @second), 1, 'the younger one ends first');
ends(1, 1, 'out of order');
is($srv->release('first', @first), 1, 'the older one ends');
ends(0, 0, 'the last one');

# As logrotate does it.
rename $srv->path('logs/error.log'), $srv->path('logs/error.log.1');
restart('USR1');
ends(2, 0, 'after renaming');
unlike($srv->read('logs/error.log.1'), qr/generation 2: /, 'in the new file only');

rename $srv->path('logs/error.log'), $srv->path('logs/error.log.2');
restart('HUP');
ends(3, 0, 'a restart at once');
unlike($srv->read('logs/error.log.2'), qr/generation 3: /, 'in the new file only');

# A generation that has nobody when it becomes an old one: its children die at their start, and there
# are growing pauses.
$srv->write('marks/sick', '');
kill 'KILL', $srv->children;
my $ah = MPMX::Server->ah('crashes');
ok($srv->wait_logged("$ah: .* is started in (?:[89]\\d\\d|\\d{4,}) ms", 20), 'children die and die');
unlink $srv->path('marks/sick');
rename $srv->path('logs/error.log'), $srv->path('logs/error.log.3');
restart('USR1');
ends(4, 0, 'without any process');
for my $generation (0 .. 4) {
    my $said = () = join('', map { $srv->read($_) } 'logs/error.log', map { "logs/error.log.$_" } 1 .. 3) =~ /generation $generation: \Q$form\E/g;
    is($said, 1, "generation $generation: once");
}

$srv->finish(qr/exit signal Killed/);
done_testing;
