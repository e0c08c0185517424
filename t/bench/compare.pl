#!/usr/bin/env perl
# The measuring part of compare.sh, which prepares its arguments:
#   compare.pl DIRECTORY HTTPD MPM STOCK-DSO OUR-DSO [scenario ...]
#
# Both servers run all the time; the load goes to one of them in turn, which of the two is first
# changing every round, so that a machine that gets slower or faster treats both alike. Printed are
# medians over the rounds, and the ratios of ours to stock.
#
# Scenarios (default: all): keepalive, close, c1000. Settings in the environment:
#   BENCH_ROUNDS   how often each server is measured (5)
#   BENCH_SECONDS  how long each time (4)
use strict;
use warnings;
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes qw(sleep time);

my %SCENARIO = (
    keepalive => { title => 'keep-alive, 64 connections', connections => 64 },
    close     => { title => 'one request per connection, 64 clients', connections => 64,
                   headers => ['Connection: close'] },
    c1000     => { title => 'keep-alive, 1000 connections', connections => 1000 },
);
my @ORDER = qw(keepalive close c1000);

my $rounds = $ENV{BENCH_ROUNDS} || 5;
my $seconds = $ENV{BENCH_SECONDS} || 4;
my $ticks = POSIX::sysconf(&POSIX::_SC_CLK_TCK);

STDOUT->autoflush(1);
my ($dir, $httpd, $stock_so, $our_so, @wanted) = @ARGV;
die "start this with compare.sh\n" unless defined $our_so;
# Where a connection keeps a thread, a thousand of them are no fair question.
@wanted = grep { $_ ne 'c1000' || mpm_of($stock_so) eq 'event' } @ORDER unless @wanted;
for my $name (@wanted) {
    die "there is no scenario '$name', only: @ORDER\n" unless $SCENARIO{$name};
}
-d '/proc/self' or die "CPU time is read from /proc, which this system does not have\n";

my @servers = (new_server('stock', $stock_so), new_server('mpmx', $our_so));
END {
    # $? is the exit status to be; stopping the servers must not change it.
    local $?;
    stop_server($_) for grep { $_->{started} } @servers;
}
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);
start_server($_) for @servers;
compare($_) for @wanted;
exit 0;

# ---- servers ----

# The DSO's name tells: mod_mpm_worker.so, mod_mpmx_winnt.so.
sub mpm_of {
    my ($so) = @_;
    return $so =~ m{mod_mpmx?_(\w+)\.so\z} ? $1 : die "not the name of an MPM: $so\n";
}

sub new_server {
    my ($name, $so) = @_;
    my $root = "$dir/$name";
    mkdir $_ or die "$_: $!\n" for $root, "$root/run", "$root/htdocs";
    my $port = free_port();
    write_file("$root/htdocs/index.html", 'x' x 1000);
    open(my $in, '<', "$dir/common.conf") or die "common.conf: $!\n";
    my $common = do { local $/; <$in> };
    my $mpm = mpm_of($so);
    my $load = "LoadModule mpm_${mpm}_module \"$so\"";
    write_file("$root/httpd.conf", <<"END");
ServerRoot "$root"
DefaultRuntimeDir "$root/run"
PidFile "$root/run/httpd.pid"
ErrorLog "$root/error.log"
ServerName localhost
Listen 127.0.0.1:$port
$load
$common
DocumentRoot "$root/htdocs"
TypesConfig /dev/null
EnableSendfile off
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
@{[ sizing($mpm) ]}
<Directory />
    AllowOverride None
    Options FollowSymLinks
    Require all granted
</Directory>
END
    return { name => $name, root => $root, port => $port };
}

sub sizing {
    my ($mpm) = @_;
    return "ThreadsPerChild 64\n" if $mpm eq 'winnt';
    my $text = <<'END';
StartServers 2
ServerLimit 2
ThreadsPerChild 32
MaxRequestWorkers 64
MinSpareThreads 32
MaxSpareThreads 64
END
    # 1000 connections are to be accepted by both.
    $text .= "AsyncRequestWorkerFactor 400\n" if $mpm eq 'event';
    return $text;
}

sub start_server {
    my $server = shift;
    system($httpd, '-f', "$server->{root}/httpd.conf", '-k', 'start') == 0
        or die "$server->{name} did not start:\n" . tail("$server->{root}/error.log");
    $server->{started} = 1;
    my $end = time + 30;
    while (time < $end) {
        $server->{pid} = pid_of($server);
        return if $server->{pid} && IO::Socket::INET->new("127.0.0.1:$server->{port}");
        sleep 0.05;
    }
    die "$server->{name} does not answer:\n" . tail("$server->{root}/error.log");
}

sub stop_server {
    my $server = shift;
    my $pid = $server->{pid} || pid_of($server) or return;
    kill TERM => $pid;
    my $end = time + 15;
    while (kill(0, $pid) && time < $end) { sleep 0.05 }
    kill KILL => $pid if kill 0, $pid;
    return;
}

sub pid_of {
    my $server = shift;
    open(my $in, '<', "$server->{root}/run/httpd.pid") or return;
    my ($pid) = (<$in> // '') =~ /(\d+)/;
    return $pid;
}

# CPU seconds that the server's processes have used up to now. What ended children used is in the
# parent's account once it has waited for them, so nothing gets lost when one is replaced.
sub cpu_seconds {
    my $parent = shift;
    my $sum = 0;
    for my $file (glob '/proc/[0-9]*/stat') {
        open(my $in, '<', $file) or next;
        my $line = <$in> // next;
        my ($pid, $rest) = $line =~ /^(\d+) \(.*\) (.*)/s or next;
        my @field = split ' ', $rest;                   # $field[0] is the state, field 3 of proc(5)
        if ($pid == $parent) { $sum += $_ for @field[11 .. 14] }
        elsif ($field[1] == $parent) { $sum += $_ for @field[11, 12] }
    }
    return $sum / $ticks;
}

# ---- measuring ----

sub compare {
    my $name = shift;
    my $scenario = $SCENARIO{$name};
    my %runs;
    print "\n$scenario->{title}\n";
    for my $round (1 .. $rounds) {
        my @turn = $round % 2 ? @servers : reverse @servers;
        push @{ $runs{ $_->{name} } }, measure($_, $scenario) for @turn;
        print STDERR "  round $round of $rounds\r" if -t STDERR;
    }
    my %median;
    for my $server (@servers) {
        my $runs = $runs{ $server->{name} };
        my %m = map { my $key = $_; $key => median(map { $_->{$key} } @$runs) } qw(rps cpu p99);
        $m{errors} = 0;
        $m{errors} += $_->{errors} for @$runs;
        printf "  %-6s %9.0f requests/s  %7.2f us CPU per request  p99 %8.2f ms  %d errors\n",
            $server->{name}, @m{qw(rps cpu p99 errors)};
        $median{ $server->{name} } = \%m;
    }
    my ($stock, $ours) = @median{qw(stock mpmx)};
    printf "  ratio  %9.2f              %7.2f                         %5.2f\n",
        map { $stock->{$_} ? $ours->{$_} / $stock->{$_} : 0 } qw(rps cpu p99);
    return;
}

sub measure {
    my ($server, $scenario) = @_;
    my @command = ('wrk', '-t1', "-c$scenario->{connections}", "-d${seconds}s", '--latency',
        (map { ('-H', $_) } @{ $scenario->{headers} || [] }), "http://127.0.0.1:$server->{port}/");
    my $before = cpu_seconds($server->{pid});
    open(my $wrk, '-|', @command) or die "wrk: $!\n";
    my $said = do { local $/; <$wrk> };
    close $wrk or die "wrk failed:\n$said";
    my $cpu = cpu_seconds($server->{pid}) - $before;

    my ($requests, $took) = $said =~ m{(\d+) requests in ([\d.]+)s} or die "wrk said:\n$said";
    $requests > 0 or die "$server->{name} answered nothing:\n$said" . tail("$server->{root}/error.log");
    my ($p99, $unit) = $said =~ /99%\s+([\d.]+)(us|ms|s|m)\b/;
    my %in_ms = (us => 0.001, ms => 1, s => 1000, m => 60_000);
    my $errors = 0;
    $errors += $_ for $said =~ /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/;
    $errors += $1 if $said =~ /Non-2xx or 3xx responses: (\d+)/;
    return { rps => $requests / $took, cpu => $cpu / $requests * 1e6,
        p99 => ($p99 || 0) * $in_ms{ $unit || 'ms' }, errors => $errors };
}

# ---- small things ----

sub median {
    my @sorted = sort { $a <=> $b } @_;
    my $middle = int(@sorted / 2);
    return @sorted % 2 ? $sorted[$middle] : ($sorted[$middle - 1] + $sorted[$middle]) / 2;
}

sub free_port {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "no free port: $!\n";
    return $socket->sockport;
}

sub write_file {
    my ($file, $text) = @_;
    open(my $out, '>', $file) or die "$file: $!\n";
    print $out $text;
    close $out or die "$file: $!\n";
    return;
}

sub tail {
    my $file = shift;
    open(my $in, '<', $file) or return '';
    my @lines = <$in>;
    return join '', @lines > 20 ? @lines[-20 .. -1] : @lines;
}
