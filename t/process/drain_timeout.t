# GracefulDrainTimeout: what an old generation still does after a graceful restart is cut off when
# that time is over, and not before; the value is that of the newest configuration, for all old ones.
# The log names the clients that are waited for, a few of them, and says how many were cut off.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(time);

plan skip_all => 'stock has no such deadline' if MPMX::Server->is_stock;

# Half of it is how late a look may be, at who is waited for and at the end.
my $secs = 6;
my $slow = MPMX::Server::slowness();
my $srv = MPMX::Server->new(
    handlers => 1,
    conf     => "ExtendedStatus On\nEnableSendfile On\nGracefulDrainTimeout 0",
    sizing   => { StartServers => 1, ServerLimit => 3, ThreadsPerChild => 16, MaxRequestWorkers => 32,
                  MinSpareThreads => 1, MaxSpareThreads => 32 },
);
# No socket buffer swallows it.
$srv->write('htdocs/large.bin', 'y' x 20_000_000);
$srv->start;

# Restarts, and returns when somebody new serves: not before and not after, in seconds.
sub restart {
    my %old = map { $_ => 1 } $srv->children;
    my $from = time;
    $srv->signal('USR1');
    ok($srv->wait_for(sub { $srv->get('/mpmxt/id?0')->{body} =~ / pid=(\d+) / && !$old{$1} }, 15), 'a new generation serves');
    ok($srv->accept_no_more(keys %old), 'and it alone');
    return $from;
}

# How many of them are still there.
sub left { return scalar grep { $_->still_open } @_ }

my ($first) = $srv->hold(1, 'first');
my ($first_child) = $srv->children;
$srv->configure(conf => "ExtendedStatus On\nEnableSendfile On\nGracefulDrainTimeout $secs\nGracefulHandover Off");
my $t0 = restart();

my @held = $srv->hold(6, 'held');
my $reader = $srv->connect;
$reader->send_request('/large.bin');
is($reader->response_head->{status}, 200, 'a download that is not read');
my $idle = $srv->connect;
is($idle->request('/index.html')->{status}, 200, 'an idle connection');
my ($child) = grep { $_ != $first_child } $srv->children;
my $t1 = restart();

# --- who is waited for ---

my @clients = ((map { $_->[0] } @held), $reader);
my $port = $held[0][0]->local_port;
my $says = "child $child of generation 1 has drained for \\d+ s and goes on: 7 connections at work, 1 idle";
ok($srv->wait_logged($says, 10), 'the log says that there are some');
my $named = qr/child $child waits for client 127\.0\.0\.1:\d+[ :]/;
ok($srv->wait_logged("child $child waits for clients: \\.\\.\\. and 3 more", 5), 'and how many are not named');
# Later, those that are cut off are named in the same way.
my ($until_then) = split /child $child of generation 1 [^\n]* is stopped/, $srv->error_log;
my @lines = grep { /$named/ } split /\n/, $until_then;
is(scalar @lines, 5, 'five are named');
my %is_one = map { $_->local_port => 1 } @clients;
is(scalar(grep { /client 127\.0\.0\.1:(\d+)/ && $is_one{$1} } @lines), 5, 'by address and port; those at work first');
cmp_ok(scalar(grep { m{ at localhost:\d+, "GET /mpmxt/hold\?held HTTP/1\.1": being served, for \d+ s} } @lines), '>=', 4,
       'with host and request, and how long it has taken');

# --- the end ---

my %cut;
$srv->wait_for(sub {
    $cut{first} ||= time if !$first->[0]->still_open;
    $cut{held} ||= time if left(map { $_->[0] } @held) < @held;
    return $cut{first} && $cut{held} && !left(map { $_->[0] } @held);
}, 15);
for (['first', $t0, 'generation 0, which knew of no deadline'], ['held', $t1, 'generation 1']) {
    my ($which, $from, $what) = @$_;
    my $after = ($cut{$which} || 0) - $from;
    cmp_ok($after, '>', $secs - 0.1, sprintf '%s: not before its time (%.2f s)', $what, $after);
    cmp_ok($after, '<', $secs + 5 * $slow, 'and then at once');
}
for my $generation (0, 1) {
    ok($srv->wait_logged("generation $generation: GracefulDrainTimeout \\($secs s\\) is over, 1 process is", 5), "generation $generation: the log says so");
    ok($srv->wait_logged("generation $generation: the last process has ended, its log files are no longer in use", 10), 'and when it is gone');
}
like($srv->error_log, qr/child $first_child of generation 0 .* is stopped, which cuts them off: 1 connections at work/, 'how many are cut off');
like($srv->error_log, qr{child $first_child waits for client 127\.0\.0\.1:\d+ at localhost:\d+, "GET /mpmxt/hold\?first HTTP/1\.1"}, 'and who');
like($srv->error_log, qr/child $child of generation 1 .* is stopped, which cuts them off: 7 connections at work/, 'of many, too');
my $doing = MPMX::Server::mpm() eq 'worker' ? 'being served' : 'does not read its response fast enough';
my $reads = $reader->local_port;
SKIP: {
    # Only five have a line, and which ones is a matter of descriptors.
    my ($line) = grep { /client 127\.0\.0\.1:$reads / } split /\n/, $srv->error_log or skip 'the reader was not among those named', 1;
    like($line, qr{"GET /large\.bin HTTP/1\.1": $doing}, 'one that does not read is named with its request');
}
ok(!$srv->logged('still did not exit, sending a SIGKILL'), 'nobody had to be killed');
is($srv->get('/index.html')->{status}, 200, 'serving');
unlink $srv->path("marks/$_") for qw(first held);

$srv->finish;
done_testing;
