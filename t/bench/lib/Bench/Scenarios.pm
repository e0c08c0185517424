package Bench::Scenarios;
# What is measured. A scenario is a record:
#   name, title     how it is called, on the command line and in the table
#   about           one sentence on what is done, for the table
#   rounds          true: all servers run at the same time and are measured in turn, several times;
#                   else one after the other, each freshly started, once
#   size            the size of the servers, see Bench::Server
#   without         the families of servers that it is no fair question for, and `why`
#   needs           a program
#   measure         code: (server, settings) -> { key => number }
#   seconds         code: (settings) -> about how long one measurement takes
#   metrics         what is shown of that, in this order: { key, head }, and
#                     of      "n of m": the key of m
#                     digits  after the point (0)
#                     ratio   1: also in proportion to the stock MPM of the same name
#                     spread  1: also how far the rounds differ
#                     bars    unit: in the picture
#                     short   1: in the overview
use strict;
use warnings;
use Time::HiRes qw(sleep time);
use Bench::Clients;
use Bench::Figures qw(median percentile);
use Bench::Steady;
use Bench::Wrk;
use MPMX::Load;

my $us = 'CPU per request, us';
my @throughput = (
    { key => 'rps', head => 'requests/s', ratio => 1, spread => 1, short => 1 },
    { key => 'cpu', head => $us, digits => 1, ratio => 1, spread => 1, bars => 'us', short => 1 },
    { key => 'switches', head => 'context switches per request', digits => 2, short => 1 },
    { key => 'p99', head => 'p99, ms', digits => 2, ratio => 1, short => 1 },
    { key => 'errors', head => 'errors', short => 1 },
);
my $no_thousand = { without => [qw(worker prefork)], why => 'a thread or process for each of a thousand connections' };

my @all = (
    {
        name => 'keepalive', title => 'Keep-alive, 64 clients', rounds => 1, needs => 'wrk',
        about => '64 clients ask for a file of 1000 bytes as fast as they get it, each on one connection.',
        size => { processes => 2, threads => 32, workers => 64 },
        measure => sub { Bench::Wrk::measure(@_, connections => 64) },
        seconds => sub { $_[0]{seconds} }, metrics => \@throughput,
    },
    {
        name => 'close', title => 'One request per connection, 64 clients', rounds => 1, needs => 'wrk',
        about => 'The same with `Connection: close`, a new connection for each request.',
        size => { processes => 2, threads => 32, workers => 64 },
        measure => sub { Bench::Wrk::measure(@_, connections => 64, headers => ['Connection: close']) },
        seconds => sub { $_[0]{seconds} }, metrics => \@throughput,
    },
    {
        name => 'c1000', title => 'Keep-alive, 1000 clients', rounds => 1, needs => 'wrk', %$no_thousand,
        about => 'As the first, with 1000 clients on 64 workers.',
        size => { processes => 2, threads => 32, workers => 64 },
        measure => sub { Bench::Wrk::measure(@_, connections => 1000) },
        seconds => sub { $_[0]{seconds} }, metrics => \@throughput,
    },
    {
        name => 'steady', title => 'Steady load', rounds => 1,
        about => 'Requests at a fixed rate on 32 keep-alive connections, each timed from the moment it was due.',
        size => { processes => 2, threads => 32, workers => 64 },
        measure => \&steady, seconds => sub { $_[0]{seconds} },
        metrics => [
            { key => 'p50', head => 'p50, ms', digits => 2, ratio => 1, spread => 1 },
            { key => 'p99', head => 'p99, ms', digits => 2, ratio => 1, short => 1 },
            { key => 'max', head => 'max, ms', digits => 1, ratio => 1 },
            { key => 'cpu', head => $us, digits => 1, ratio => 1, spread => 1, bars => 'us', short => 1 },
            { key => 'switches', head => 'context switches per request', digits => 2, short => 1 },
            { key => 'errors', head => 'errors', short => 1 },
        ],
    },
    {
        name => 'idle', title => 'Memory per idle keep-alive connection',
        about => 'Connections that have had one answer: what the children grew by (proportional set size), as soon '
            . 'as all were open and after idling.',
        # A process that a connection needs is part of what it costs.
        size => { processes => 2, threads => 25, workers => 50, grows => 1 },
        measure => \&idle, seconds => sub { $_[0]{idle_seconds} + $_[0]{idle} / 2000 },
        metrics => [
            { key => 'connections', head => 'connections' },
            { key => 'at_once', head => 'KB at once', digits => 2, ratio => 1, bars => 'KB', short => 1 },
            { key => 'later', head => 'KB after idling', digits => 2, ratio => 1, bars => 'KB', short => 1 },
            { key => 'served', head => 'still served', of => 'connections' },
        ],
    },
    {
        name => 'slowhead', title => 'Slow request heads',
        about => 'Clients that send one byte of a request head per second, on 32 workers; meanwhile ordinary requests, '
            . 'each on a new connection, that have 3 seconds. Given up after 4 failures.',
        size => { processes => 2, threads => 16, workers => 32 },
        measure => \&slow_heads, seconds => sub { 3 },
        metrics => [
            { key => 'slow', head => 'slow clients let in', of => 'wanted' },
            { key => 'served', head => 'requests served', of => 'asked', short => 1 },
            { key => 'p50', head => 'p50, ms', digits => 2 },
            { key => 'max', head => 'max, ms', digits => 1 },
        ],
    },
    {
        name => 'reload', title => 'Graceful reloads under load',
        about => '16 busy keep-alive clients while the configuration is read again, once per second. A client that is '
            . 'told to close the connection makes a new one; requests that got no answer are failures.',
        size => { processes => 2, threads => 32, workers => 128 },
        measure => \&reload, seconds => sub { $_[0]{reloads} + 1.5 },
        metrics => [
            { key => 'reloads', head => 'reloads' },
            { key => 'ok', head => 'requests served' },
            { key => 'failures', head => 'failures', short => 1 },
            { key => 'reset', head => 'resets' },
            { key => 'eof', head => 'eofs' },
            { key => 'other', head => 'others' },
            { key => 'slowest', head => 'slowest, ms', digits => 1 },
        ],
    },
    {
        name => 'survive', title => 'Idle connections over a graceful reload',
        about => 'Idle keep-alive connections, one graceful reload, and one more request on each 3 seconds later.',
        size => { processes => 2, threads => 32, workers => 64 },
        measure => \&survive, seconds => sub { 4 },
        metrics => [ { key => 'served', head => 'served afterwards', of => 'connections', short => 1 } ],
    },
    {
        name => 'respawn', title => 'A killed child',
        about => 'One child is killed (SIGKILL), several times: how long until there are as many as before.',
        size => { processes => 2, threads => 16, workers => 32 },
        measure => \&respawn, seconds => sub { 1.5 + $_[0]{kills} * 1.8 },
        metrics => [
            { key => 'kills', head => 'kills' },
            { key => 'median', head => 'median, ms', digits => 1, ratio => 1, short => 1 },
            { key => 'max', head => 'max, ms', digits => 1 },
        ],
    },
);

sub all { return @all }

sub names { return map { $_->{name} } @all }

sub named {
    my ($name) = @_;
    my ($found) = grep { $_->{name} eq $name } @all;
    return $found;
}

# Why a server is not measured in it, or nothing.
sub unfair_for {
    my ($scenario, $server) = @_;
    return (grep { $_ eq $server->family } @{ $scenario->{without} || [] }) ? $scenario->{why} : undef;
}

# A connection that keeps a thread cannot be had in thousands.
sub _as_many {
    my ($server, $wanted) = @_;
    return $server->keeps_thread && $wanted > 40 ? 40 : $wanted;
}

sub steady {
    my ($server, $set) = @_;
    my $before = $server->usage;
    my $r = Bench::Steady::run(port => $server->port, clients => 32, rate => $set->{rate}, seconds => $set->{seconds});
    my ($cpu, $switches) = Bench::Server::used_between($before, $server->usage);
    my $times = $r->{times};
    die "no request was answered\n" unless @$times;
    return { p50 => percentile($times, 50), p99 => percentile($times, 99), max => $times->[-1],
        cpu => $cpu / @$times * 1e6, switches => $switches / @$times, errors => $r->{failed} };
}

sub idle {
    my ($server, $set) = @_;
    # What a child makes once, when its first requests come, is no connection's.
    Bench::Clients::once($server->port, 5) for 1 .. 50;
    my $before = $server->memory;
    my $open = Bench::Clients::kept($server->port, _as_many($server, $set->{idle}));
    my $n = @$open or die "no connection could be made\n";
    my $at_once = ($server->memory - $before) / $n;
    sleep $set->{idle_seconds};
    my $later = ($server->memory - $before) / $n;
    return { connections => $n, at_once => $at_once, later => $later,
        served => Bench::Clients::still_served($open) };
}

sub slow_heads {
    my ($server, $set) = @_;
    my $drip = Bench::Clients::drip($server->port, $set->{slow});
    my ($failed, @times) = (0);
    for (1 .. 100) {
        my $start = time;
        if (Bench::Clients::once($server->port, 3)) { push @times, (time - $start) * 1000 }
        elsif (++$failed == 4) { last }
    }
    Bench::Clients::end_drip($drip);
    @times = sort { $a <=> $b } @times;
    return { slow => $drip->{count}, wanted => $set->{slow}, served => scalar @times, asked => 100,
        p50 => percentile(\@times, 50), max => $times[-1] };
}

sub reload {
    my ($server, $set) = @_;
    my $load = MPMX::Load->start(port => $server->port, path => '/', clients => 16, pause => 0.004);
    sleep 0.5;
    for (1 .. $set->{reloads}) {
        $server->reload;
        sleep 1;
    }
    my $n = $load->stop;
    return { reloads => $set->{reloads}, ok => $n->{ok}, failures => MPMX::Load->failures($n), reset => $n->{reset}, eof => $n->{eof},
        other => $n->{timeout} + $n->{refused} + $n->{bad}, slowest => $n->{slowest} * 1000 };
}

sub survive {
    my ($server, $set) = @_;
    my $open = Bench::Clients::kept($server->port, _as_many($server, $set->{survivors}));
    sleep 0.5;
    $server->reload;
    sleep 3;
    return { connections => scalar @$open, served => Bench::Clients::still_served($open) };
}

sub respawn {
    my ($server, $set) = @_;
    # An MPM may treat children that die in their first second as a sign that they cannot start.
    sleep 1.5;
    my @took;
    for (1 .. $set->{kills}) {
        my @before = $server->children or last;
        my $victim = $before[ rand @before ];
        my $start = time;
        kill 'KILL', $victim;
        while (time - $start < 5) {
            my @now = $server->children;
            last if @now >= @before && !grep { $_ == $victim } @now;
            sleep 0.001;
        }
        push @took, (time - $start) * 1000;
        sleep 1.1;
    }
    die "it has no child to kill\n" unless @took;
    return { kills => scalar @took, median => median(@took), max => (sort { $a <=> $b } @took)[-1] };
}

1;
