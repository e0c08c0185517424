# AcceptFilter none, connect, data, httpready: what is in force for each listener is
# logged at every start and restart, and is what happens: with none and connect a
# thread is used as soon as something arrives, with data and httpready when a whole
# head is there. Protocols other than http and https are never waited for.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use Time::HiRes qw(sleep);

MPMX::Server->need_modules('status');
plan skip_all => 'httpd has no such modes' if MPMX::Server->is_stock;

my $srv = MPMX::Server->new(
    modules   => ['status'],
    listen    => 4,
    log_level => 'info',
    sizing    => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 16, MaxRequestWorkers => 16,
                   MinSpareThreads => 1, MaxSpareThreads => 16 },
);
my @port = map { $srv->port($_) } 0 .. 3;
my @protocol = qw(http http https ftp);

# Listeners by protocol; httpd takes the first one's as given.
sub configure {
    my ($lines) = @_;
    $srv->configure(conf => $lines);
    my $text = $srv->read('httpd.conf');
    $text =~ s/^(Listen \S+:$port[$_])$/$1 $protocol[$_]/m for 1 .. 3;
    $srv->write('httpd.conf', $text);
    return;
}

# What the log says about each listener since a place in it.
sub said_since {
    my ($at) = @_;
    my %line;
    for (split /\n/, substr $srv->error_log, $at) {
        $line{$2} = { line => $_, protocol => $3, mode => $4, meaning => $5, times => 1 + ($line{$2} ? $line{$2}{times} : 0) }
            if /\[mpm_(\w+):info\].*listening on 127\.0\.0\.1:(\d+) \((\w+)\), AcceptFilter ([\w ]+): (.*)/;
    }
    return \%line;
}

# How many threads work for connections that have sent less than a head. The last look at
# mod_status takes one itself.
sub busy_with_parts {
    my ($port, $want) = @_;
    my @c = map { my $c = $srv->connect(port => $port); $c->send("GET / HTTP/1.1\r\nHo"); $c } 1 .. 3;
    my $busy = -1;
    $srv->wait_for(sub { $busy = ($srv->status->{BusyWorkers} || 0) - 1; $busy == $want }, 3);
    # And stays so: a thread may take its time.
    # The connection that asked before may still be on its way out, so this is waited for as well:
    # a thread that reads a part of a head stays.
    if (!$want) {
        sleep 0.5;
        $srv->wait_for(sub { $busy = ($srv->status->{BusyWorkers} || 0) - 1; $busy == $want }, 3);
    }
    $_->close for @c;
    return $busy;
}

my %waits = ('at once' => qr/thread is used at once/, head => qr/whole request head/, record => qr/whole TLS record/);
for my $mode (qw(none connect data httpready)) {
    my $gated = $mode eq 'data' || $mode eq 'httpready';
    my $at = length $srv->error_log;
    configure("AcceptFilter http $mode\nAcceptFilter https $mode");
    if ($mode eq 'none') { $srv->start }
    else { ok($srv->renewed_by($mode eq 'data' ? 'HUP' : 'USR1'), "$mode: restarted") }
    ok($srv->wait_for(sub { keys %{ said_since($at) } >= 4 }, 5), "$mode: each listener is in the log");
    my $said = said_since($at);
    for my $i (0 .. 3) {
        my $is = $said->{ $port[$i] } || {};
        my $what = "$mode: listener $i, $protocol[$i]";
        is($is->{protocol}, $protocol[$i], "$what: named so");
        is($is->{mode}, $i < 3 ? $mode : 'not set', "$what: with the mode in force");
        my $waits = $i == 3 || !$gated ? 'at once' : $i == 2 ? 'record' : 'head';
        like($is->{meaning}, $waits{$waits}, "$what: and what that means");
    }
    is(scalar(grep { $_->{times} != 1 } values %$said), 0, "$mode: once") or diag($srv->error_log);
    is(busy_with_parts($port[0], $gated ? 0 : 3), $gated ? 0 : 3, "$mode: threads in use for three parts of a head");
}
is(busy_with_parts($port[3], 3), 3, 'a protocol other than http: threads in use at once');

# Not given: what the core takes for this system. Given for another protocol: no effect on http.
my $at = length $srv->error_log;
configure('AcceptFilter ftp data');
$srv->renewed_by('USR1');
$srv->wait_for(sub { keys %{ said_since($at) } >= 4 }, 5);
my $said = said_since($at);
like($said->{ $port[0] }{meaning}, $waits{head}, 'without AcceptFilter: waits for a head');
like($said->{ $port[3] }{line}, qr/\(ftp\), AcceptFilter data: a thread is used at once/, 'AcceptFilter for ftp: still at once');
is(busy_with_parts($port[0], 0), 0, 'no thread is in use for parts of a head');

SKIP: {
    skip 'Win32DisableAcceptEx is a name of mpm_winnt', 3 unless MPMX::Server::single();
    $at = length $srv->error_log;
    configure('Win32DisableAcceptEx');
    $srv->renewed_by('USR1');
    $srv->wait_for(sub { keys %{ said_since($at) } >= 4 }, 5);
    $said = said_since($at);
    is($said->{ $port[$_] }{mode}, 'none', "Win32DisableAcceptEx: none for $protocol[$_]") for 1, 2;
    is(busy_with_parts($port[0], 3), 3, 'and so it is');
}

$srv->finish;
done_testing;
