package Bench::Wrk;
# As much load as a number of clients can make, by wrk(1).
use strict;
use warnings;
use Bench::Server;

# Options: connections, headers.
sub measure {
    my ($server, $set, %o) = @_;
    # wrk takes whole seconds.
    my $seconds = $set->{seconds} < 1 ? 1 : int($set->{seconds} + 0.5);
    my @command = ('wrk', '-t1', "-c$o{connections}", "-d${seconds}s", '--latency',
        (map { ('-H', $_) } @{ $o{headers} || [] }), 'http://127.0.0.1:' . $server->port . '/');
    my $before = $server->usage;
    open(my $wrk, '-|', @command) or die "wrk: $!\n";
    my $said = do { local $/; <$wrk> };
    close $wrk or die "wrk failed: $said\n";
    my ($cpu, $switches) = Bench::Server::used_between($before, $server->usage);

    my ($requests, $took, $in) = $said =~ m{(\d+) requests in ([\d.]+)(s|m)\b} or die "wrk said: $said\n";
    $requests > 0 or die "not one answer: $said\n";
    my ($p99, $unit) = $said =~ /99%\s+([\d.]+)(us|ms|s|m)\b/;
    my %in_ms = (us => 0.001, ms => 1, s => 1000, m => 60_000);
    my $errors = 0;
    if (my @socket = $said =~ /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/) {
        $errors += $_ for @socket;
    }
    $errors += $1 if $said =~ /Non-2xx or 3xx responses: (\d+)/;
    return { rps => $requests / ($took * ($in eq 'm' ? 60 : 1)), cpu => $cpu / $requests * 1e6, switches => $switches / $requests,
        p99 => ($p99 || 0) * $in_ms{ $unit || 'ms' }, errors => $errors };
}

1;
