# Fast handlers cost what a single-threaded server costs: under 16 keep-alive
# clients, and for hundreds that are ready at the same time, there is less than one
# context switch per request, and only a few of the threads do the work.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

MPMX::Server->only_for([qw(event winnt)], 'its threads wait for the next request of their connection');
plan skip_all => 'counts context switches in /proc' unless -r "/proc/$$/task/$$/status" && -r '/proc/stat';
my $ab = MPMX::Server::Toolchain::support_program('ab') or plan skip_all => 'no ab installed';
plan skip_all => 'sanitizers take locks of their own' if MPMX::Server::slowness() > 1;

my $srv = MPMX::Server->new(
    sizing => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 25, MaxRequestWorkers => 25,
                MinSpareThreads => 1, MaxSpareThreads => 25, AsyncRequestWorkerFactor => 100 },
    conf   => 'KeepAliveTimeout 60' . (MPMX::Server->is_stock ? '' : "\nKeepAliveHibernate off"),
);
$srv->start;
my ($child) = $srv->children;

# Since an earlier look: voluntary context switches of all threads, processor seconds of each.
sub since {
    my ($before) = @_;
    my $after = MPMX::Server::Proc::thread_usage($child);
    my ($switches, @cpu) = (0);
    for my $tid (keys %$after) {
        my $was = $before->{$tid} || { voluntary => 0, cpu => 0 };
        $switches += $after->{$tid}{voluntary} - $was->{voluntary};
        push @cpu, $after->{$tid}{cpu} - $was->{cpu};
    }
    return ($switches, @cpu);
}

# --- requests of many clients that are all there when the server looks ---

# It is stopped meanwhile: so it never has to wait for a client, whoever else uses the processors.
my $many = 200;
my @c = map { $srv->connect } 1 .. $many;
is(scalar(grep { $_->request('/index.html')->{status} == 200 } @c), $many, "$many keep-alive clients");
my ($rounds, $served) = (20, 0);
my $before = MPMX::Server::Proc::thread_usage($child);
for (1 .. $rounds) {
    MPMX::Server::Proc::freeze($child);
    $_->send_request('/index.html') for @c;
    kill 'CONT', $child;
    $served += grep { $_->response->{status} == 200 } @c;
}
my ($switches) = since($before);
is($served, $rounds * $many, "they ask together, $rounds times");
note(sprintf '%.2f voluntary context switches per request', $switches / $served);
cmp_ok($switches, '<', 0.5 * $served, 'less than one voluntary context switch for two requests');
$_->close for @c;

# --- requests of 16 clients that go on as soon as they have their answer ---

sub ab {
    my ($n) = @_;
    my $url = 'http://127.0.0.1:' . $srv->port . '/index.html';
    my $out = qx{"$ab" -q -k -n $n -c 16 "$url" 2>&1};
    my ($done)   = $out =~ /^Complete requests:\s+(\d+)/m;
    my ($failed) = $out =~ /^Failed requests:\s+(\d+)/m;
    return defined $done && $done == $n && !$failed;
}

# Processor seconds of the whole system, and of the programs that this one has started.
sub system_cpu {
    my ($user, $nice, $sys, undef, undef, $irq, $softirq) = MPMX::Server::Proc::slurp('/proc/stat') =~ /^cpu +(.*)/ ? split ' ', $1 : ();
    my $tick = POSIX::sysconf(POSIX::_SC_CLK_TCK()) || 100;
    return ($user + $nice + $sys + $irq + $softirq) / $tick;
}
sub own_cpu { my ($user, $sys, $kids_user, $kids_sys) = times; return $user + $sys + $kids_user + $kids_sys }

ok(ab(1000), 'warmed up');

# The first good round counts. Where client and server have to share a core, each request wakes the one and
# puts the other to sleep, whatever the server does: a bad round counts only if nobody else was there.
my ($per_request, $workers, $alone) = (99, 99, 0);
my $few = MPMX::Server::Proc::cores() + 4;
my $end = Time::HiRes::time() + 60;
for (1 .. 20) {
    my $n = 20_000;
    my ($began, $all, $own) = (Time::HiRes::time(), system_cpu(), own_cpu());
    $before = MPMX::Server::Proc::thread_usage($child);
    ab($n) or last;
    ($switches, my @busy) = since($before);
    my $cpu = 0;
    $cpu += $_ for @busy;
    my $others = system_cpu() - $all - (own_cpu() - $own) - $cpu;
    my $took = Time::HiRes::time() - $began;
    $per_request = $switches / $n;
    $workers = grep { $_ > 0.05 * $cpu } @busy;
    note(sprintf '%.2f voluntary context switches per request, %d threads did more than 5%% of the work (%.2f s); others: %.2f s in %.2f s',
         $per_request, $workers, $cpu, $others, $took);
    $alone++ if $others < 0.1 * $took;
    last if $per_request < 1 && $workers <= $few || $alone >= 5;
    last if Time::HiRes::time() > $end;
    sleep 1;
}
SKIP: {
    skip 'the processors are busy otherwise', 2 if !$alone && ($per_request >= 1 || $workers > $few);
    cmp_ok($per_request, '<', 1, 'less than one voluntary context switch per request, 16 clients');
    cmp_ok($workers, '<=', $few, 'few threads did the work');
}

$srv->finish;
done_testing;
