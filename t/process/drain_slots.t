# However many generations are still at work, none of them keeps a new one from starting: a reload
# as soon as the last one is through, more often than the scoreboard has slots, each time with a
# download that goes on. The oldest ones lose their slot, finish with every byte, and write nothing
# into slots that are others' by then; their end is noticed, and leaves those slots alone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

plan skip_all => 'stock waits for a slot' if MPMX::Server->is_stock;
MPMX::Server->need_modules('status');

my $threads = 4;
my $srv = MPMX::Server->new(
    handlers => 1,
    modules  => ['status'],
    sizing   => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => $threads, MaxRequestWorkers => $threads,
                  MinSpareThreads => 1, MaxSpareThreads => $threads,
                  # full with a request for each thread
                  MPMX::Server::Toolchain::mpm() eq 'event' ? (AsyncRequestWorkerFactor => 0.1) : () },
);
# A body that no socket buffer swallows, and that tells misplaced parts.
my $file = join '', map { sprintf '%015d' . "\n", $_ } 1 .. 1_000_000;
$srv->write('htdocs/large.bin', $file);
$srv->start;
my ($slots) = $srv->get('/mpmxt/query')->{body} =~ /^4=(\d+)/m;
my $generations = $slots + 4;
my $files = 3;

# A connection to a child that none before had: (connection, pid).
sub connect_to_new {
    my (%known) = @_;
    my @r;
    $srv->wait_for(sub {
        my $c = $srv->connect;
        my $r = $c->request('/mpmxt/id?0');
        @r = ($c, $1) if $r->{body} =~ / pid=(\d+) / && !$known{$1};
        $c->close unless @r;
        return scalar @r;
    }, 20);
    return @r;
}

my (%known, @pids, @held, @downloads, @full);
for my $i (0 .. $generations - 1) {
    $srv->write("marks/held$i", '');
    my ($c, $pid) = connect_to_new(%known);
    ok($c, "generation $i serves") or last;
    $known{$pid} = 1;
    push @pids, $pid;
    $c->send_request("/mpmxt/hold?held$i");
    push @held, [$c, $c->response_head];
    if ($i < $files) {
        # The first ones lose their slots. It may reach the same child or no other: this is the newest.
        my $d = $srv->connect;
        $d->send_request('/large.bin', close => 1);
        push @downloads, [$d, $d->response_head];
    }
    if ($i == $generations - $slots - 1) {
        # The one that loses its slot to the last one is full, and so does not accept.
        push @full, map { my $d = $srv->connect; $d->send_request("/mpmxt/hold?held$i"); [$d, $d->response_head] }
                    2 .. $threads;
    }
    $srv->signal('USR1') if $i < $generations - 1;
}
is(scalar(grep { $_->[1] && $_->[1]{status} == 200 } @held), $generations, 'a request in progress in each of them');
is(scalar(grep { MPMX::Server::Proc::alive($_) } @pids), $generations, "so many processes are there, and $slots slots");

# --- mod_status ---

# Letters of the rows that are shown; of those: in progress.
sub board { return $srv->status->{Scoreboard} || '' }
sub working { return scalar(() = board() =~ /W/g) }

my $with_slot = $slots;         # also the running one
ok($srv->wait_for(sub { working() == $with_slot + 1 }, 10), 'mod_status shows the work of those that have a slot, and its own') or diag(board());
is(length board(), $slots * $threads, 'with a row for each');
ok($srv->wait_for(sub { $srv->status->{IdleWorkers} == $threads - 2 }, 5), 'idle: the threads of the running generation') or diag(board());

# --- those without a slot go on, and end ---

my $lost = $generations - $slots;
my $whole = 0;
for my $i (0 .. $lost - 1) {
    unlink $srv->path("marks/held$i");
    my $r = $held[$i][0]->body($held[$i][1]);
    $whole++ if $r->{status} == 200 && $r->{body} =~ /\Aheld\ndone\n\z/;
}
is($whole, $lost, 'without a slot, requests finish');
$whole = grep { $_->[0]->body($_->[1])->{body} =~ /\Aheld\ndone\n\z/ } @full;
is($whole, $threads - 1, 'also those of a child that was full');
MPMX::Server::Client->read_all(30, map { $_->[0] } @downloads);
$whole = grep { my $r = $_->[0]->body($_->[1], 10); $r->{status} == 200 && $r->{body} eq $file } @downloads;
is($whole, $files, 'and downloads, byte for byte');
$_->[0]->close for @held[0 .. $lost - 1], @full, @downloads;
ok($srv->wait_for(sub { !grep { MPMX::Server::Proc::alive($_) } @pids[0 .. $lost - 1] }, 15), 'then these processes end');
for my $i (0 .. $lost - 1) {
    ok($srv->wait_logged("generation $i: the last process has ended", 10), "which is noticed: generation $i");
}
ok($srv->wait_for(sub { working() == $with_slot + 1 }, 5), 'the rows that are others\' by now are as before') or diag(board());
is(scalar(grep { MPMX::Server::Proc::alive($_) } @pids), $slots, 'the others are still there');
SKIP: {
    # Columns of mod_status for MPMs that are async: slot, pid, stopping, connections, accepting.
    my ($accepting) = $srv->get('/server-status')->{body} =~ m{<td>$pids[-1]</td><td>no</td><td>\d+</td><td>(\w+)</td>};
    skip('mod_status does not tell who accepts', 1) if !$accepting && MPMX::Server::Toolchain::mpm() ne 'event';
    is($accepting, 'yes', 'and the one that has the slot of one that was full accepts');
}

# --- and all the others ---

unlink $srv->path("marks/held$_") for $lost .. $generations - 1;
$whole = 0;
for my $h (@held[$lost .. $generations - 1]) {
    my $r = $h->[0]->body($h->[1]);
    $whole++ if $r->{status} == 200 && $r->{body} =~ /\Aheld\ndone\n\z/;
    $h->[0]->close;
}
is($whole, $slots, 'requests of those with a slot finish');
ok($srv->wait_for(sub { $srv->children == 1 }, 15), 'in the end one child is left');
ok($srv->wait_for(sub { my $s = $srv->status; $s->{BusyWorkers} == 1 && $s->{IdleWorkers} == $threads - 1 }, 5), 'with all of its threads in mod_status');
# Who was asked before may still be closing.
ok($srv->wait_for(sub { board() =~ /\A\.*[_W]{$threads}\.*\z/ }, 5), 'and nobody else there') or diag(board());
for my $i ($lost .. $generations - 2) {
    ok($srv->wait_logged("generation $i: the last process has ended", 10), "end of generation $i");
}
is($srv->logged('the last process has ended'), $generations - 1, 'each is said once');
ok(!$srv->logged(qr/scoreboard is full|AH03490|AH00288|cannot create a child/), 'nobody has said that the scoreboard is full');

$srv->finish;
done_testing;
