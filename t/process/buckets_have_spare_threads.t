# ListenCoresBucketsRatio: each set of listening sockets has spare threads of its own. While all that
# listen on one of them are busy, those of the others are of no use to its clients, however many they
# are; so another child is started for it, and nobody waits for long. Where there are as many children as
# there may be, one of those goes for it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my $cores = MPMX::Server::Proc::cores();
plan(skip_all => 'needs at least two cores') if $cores < 2;
MPMX::Server->only_for([qw(event worker)], 'there is one child, with one set of sockets');
plan(skip_all => 'the system does not tell who listens on which socket') unless -r '/proc/net/tcp';

my $threads = 4;
my $slow = MPMX::Server::slowness();

# Twice as many children as there are sets, so that enough threads are idle while one set's are busy.
sub server {
    my ($limit) = @_;
    my $srv = MPMX::Server->new(
        handlers => 1,
        sizing   => { StartServers => 2 * $cores, ServerLimit => $limit, ThreadsPerChild => $threads,
                      MaxRequestWorkers => $limit * $threads, MinSpareThreads => 1, MaxSpareThreads => 4 * $cores * $threads,
                      # full with a request for each thread
                      MPMX::Server::mpm() eq 'event' ? (AsyncRequestWorkerFactor => 0.1) : () },
        conf     => "ListenCoresBucketsRatio 1\nKeepAliveTimeout 60",
    );
    return $srv;
}
my $srv = server(4 * $cores);
my ($rc) = $srv->httpd('-t');
plan(skip_all => 'this httpd has no ListenCoresBucketsRatio') if $rc;

# The listening socket that a child has open, or undef; all are, before it has run.
sub socket_of {
    my @open = MPMX::Server::Proc::listening($_[0], $srv->port);
    return @open == 1 ? $open[0] : undef;
}

for my $limit (0, 2 * $cores) {
    $srv = server($limit) if $limit;
    my $what = $limit ? 'at the limit: ' : '';
    $srv->start;

    my %child;
    $srv->wait_for(sub {
        my %set = map { my $s = socket_of($_); $s ? ($_ => $s) : () } $srv->children;
        my %served = map { $_ => 1 } values %set;
        %child = %set;
        return keys %set == 2 * $cores && keys %served == $cores;
    }, 10);
    plan(skip_all => 'cannot see the sockets of children') unless %child || $limit;
    my ($set) = sort values %child;
    my @ours = grep { $child{$_} eq $set } sort keys %child;
    is(scalar @ours, 2, "${what}each set of sockets has two children");

    # All of their threads are busy.
    $srv->write('marks/busy', '');
    my (%held, @held);
    for (1 .. 400) {
        last if @held == @ours * $threads;
        my $c = $srv->connect(timeout => 5 * $slow);
        my ($pid) = $c->request('/mpmxt/id')->{body} =~ /pid=(\d+)/;
        if (!$pid || ($child{$pid} || '') ne $set || ($held{$pid} || 0) == $threads) {
            $c->close;
            next;
        }
        $c->send_request('/mpmxt/hold?busy', close => 1);
        my $head = $c->response_head or last;
        push @held, [$c, $head];
        $held{$pid}++;
    }
    is(scalar @held, @ours * $threads, "${what}all threads of one set's children are busy");

    my (%seen, $bad);
    $bad = 0;
    for (1 .. 20 * $cores) {
        my $r = $srv->get('/mpmxt/id', timeout => 5 * $slow);
        if ($r->{body} =~ /pid=(\d+)/) { $seen{$1}++ } else { $bad++ }
    }
    is($bad, 0, "${what}every connection that comes now is answered");
    ok((grep { !$child{$_} && (socket_of($_) || '') eq $set } keys %seen), "${what}those of that set by a child that was started for it")
        or diag(join ' ', map { "$_ $seen{$_}" } sort keys %seen);
    is($srv->release('busy', @held), scalar @held, "${what}and the others are, too");

    $srv->finish(qr/AH00286|AH00484|AH00287|AH10159/);
}
done_testing;
