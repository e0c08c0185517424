# Whatever call fails for a moment while a server serves, at most the client that it was made for
# notices. The server goes on with all it has; it does not spin, and says what happened once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Faults;
use MPMX::Server;

my $faults = MPMX::Faults->new;
MPMX::Server->need_modules('status');
my $srv = MPMX::Server->new(
    modules => ['status'],
    preload => $faults->so,
    conf    => "EnableMMAP On\nAcceptFilter http data\n",
    sizing  => { StartServers => 2, ServerLimit => 2, ThreadsPerChild => 8, MaxRequestWorkers => 16,
                 MinSpareThreads => 1, MaxSpareThreads => 16 },
);
$srv->write('htdocs/mapped.bin', 'm' x 20_000);
$srv->start;

my $keep;

sub on_new_connection { return $srv->get('/index.html')->{status} == 200 }

# A head in two parts, and a second request.
sub on_kept_connection {
    my $c = $srv->connect;
    $c->send("GET /index.html HTTP/1.1\r\n");
    select undef, undef, undef, 0.002;
    my $ok = $c->send("Host: localhost\r\n\r\n") && $c->response->{status} == 200
          && $c->request('/index.html')->{status} == 200;
    $c->close;
    return $ok;
}

sub on_mapped_file {
    $keep = $srv->connect if !$keep || !$keep->still_open;
    my $r = $keep->request('/mapped.bin');
    return $r->{status} == 200 && length $r->{body} == 20_000;
}

# What fails; how it is called; may the client notice; what is said.
my @table = (
    [accept    => \&on_new_connection,  0, qr/cannot accept connections for lack of resources/],
    [epoll_ctl => \&on_kept_connection, 1, qr/cannot wait for a connection/],
    [mapped    => \&on_mapped_file,     0],
    [recv      => \&on_kept_connection, 1],
    [memory    => \&on_kept_connection, 0],
);

for my $row (@table) {
    my ($call, $request, $noticed, $said) = @$row;
    my $why = MPMX::Faults::excuse($call);
    SKIP: {
        skip "$call: $why", 1 if $why;
        my $bad = 0;
        my @before = $srv->children;
        # The n-th for n = 1 .. 50, ten at a time; then many in a row.
        for my $plan ((map { my $first = $_; [map { $first + 5 * $_ } 0 .. 9] } 0 .. 4), [0 .. 19]) {
            $faults->arm($call, @$plan);
            my $until = time + 10 * MPMX::Server::slowness();
            my $due = $faults->failed($call) + @$plan;
            while ($faults->failed($call) < $due && time < $until) { $bad += !$request->() }
            $faults->disarm;
        }
        undef $keep;
        is($faults->failed($call), 70, "$call: has failed for each n");
        cmp_ok($bad, '<=', $noticed ? 70 : 0, "$call: nobody else notices");
        my $lines = $said ? $srv->logged($said) : 0;
        ok(!$said || ($lines >= 1 && $lines <= @before), "$call: each process has said so once") or diag("$lines lines");
        is("@{[$srv->children]}", "@before", "$call: no process has ended");
        $faults->recovers($srv, $call, 16);
    }
}

# Memory of any kind, also that of httpd's pools: httpd aborts the process then, or runs into what is
# not there. Only the server goes on. A pool may need nothing for long, so few of the 50 may come.
SKIP: {
    skip 'mmap: a sanitizer would report what httpd runs into', 1 if $ENV{MPMX_PRELOAD};
    for my $n (0 .. 49) {
        $faults->arm(mmap => $n % 10);
        for (1 .. 3) { on_new_connection(); on_mapped_file() }
    }
    undef $keep;
    $faults->recovers($srv, 'mmap', 16);
}
$srv->finish(qr/Memory allocation failed, aborting process/, qr/AH00052: child pid \d+ exit signal/);
done_testing;
