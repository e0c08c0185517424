# A child whose start takes long, because a module waits in child_init, is named in the error log, and
# again when it serves. Others serve meanwhile: those that are there, and such as are started for the
# threads that are missing; after a graceful restart, the old ones. Nobody is ended for being late.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Faults;

plan skip_all => 'httpd says nothing' if MPMX::Server->is_stock;

MPMX::Server->need_modules('status');
my $patience = 30;
my $late = qr/child process (\d+) of generation \d+ has been started \d+ s ago and does not serve yet/;

sub new_server {
    my (%sizing) = @_;
    my $srv = MPMX::Server->new(
        handlers  => 1,
        modules   => ['status'],
        c_modules => [qw(mod_mpmxt_proc_exit mod_mpmxt_proc_hooks)],
        conf      => 'MpmxtStartHang @DIR@/marks/hang',
        sizing    => { ThreadsPerChild => 4, %sizing },
    );
    $srv->start;
    return $srv;
}

sub hanging_pid {
    my ($srv) = @_;
    my $pid;
    $srv->wait_for(sub { ($pid) = $srv->error_log =~ /mpmxt: pid (\d+) hangs/ }, $patience);
    return $pid || 0;
}

sub late_line {
    my ($srv) = @_;
    my @found;
    $srv->wait_for(sub { @found = $srv->error_log =~ /$late.*?; (.*)/ }, $patience);
    return @found;
}

sub serves_now {
    my ($srv, $pid) = @_;
    return $srv->wait_for(sub { $srv->error_log =~ /child process $pid of generation \d+ serves now, \d+ s after/ }, $patience);
}

SKIP: {
    skip 'there is one child', 9 if MPMX::Server::single();
    my $srv = new_server(StartServers => 2, ServerLimit => 4, MaxRequestWorkers => 16, MinSpareThreads => 6,
                         MaxSpareThreads => 16);
    ok($srv->wait_for(sub { my ($busy, $idle) = MPMX::Faults::workers($srv); $busy + $idle == 8 }, $patience),
        'two children serve, with four threads in each');
    $srv->write('marks/hang', '');
    my ($victim, $other) = $srv->children;
    kill 'KILL', $victim;
    my $hanging = hanging_pid($srv);
    ok($hanging, 'the one that takes the place of a killed one hangs');
    is_deeply([sort { $a <=> $b } $srv->children], [sort { $a <=> $b } $other, $hanging], 'it is counted on');
    my ($named, $rest) = late_line($srv);
    is($named, $hanging, 'its name is in the log');
    is($rest, 'others serve', 'and that others serve');
    ok($srv->wait_for(sub { $srv->children == 3 }, $patience), 'another one is started for the threads that are missing');
    my @held = $srv->hold(5, 'inside');
    is($srv->release('inside', @held), 5, 'and serves: five requests at once, with four threads in the one that was there');
    unlink $srv->path('marks/hang');
    ok(serves_now($srv, $hanging), 'what it waited for is there: it serves');
    is(scalar(() = $srv->error_log =~ /$late/g), 1, 'it was said once');
    $srv->finish(qr/exit signal Killed/);
}

my $srv = new_server(StartServers => 1, ServerLimit => 1, MaxRequestWorkers => 4, MinSpareThreads => 1,
                     MaxSpareThreads => 4);
my ($old) = $srv->children;
$srv->write('marks/hang', '');
$srv->signal('USR1');
my $hanging = hanging_pid($srv);
ok($hanging, 'after a graceful restart the new child hangs');
my ($named, $rest) = late_line($srv);
is($named, $hanging, 'its name is in the log');
like($rest, qr/^older ones serve on/, 'and what happens meanwhile');
like($srv->get('/mpmxt/id?0', timeout => 5)->{body}, qr/pid=$old\b/, 'the old one serves');
unlink $srv->path('marks/hang');
ok(serves_now($srv, $hanging), 'what it waited for is there: it serves');
ok($srv->wait_for(sub { $srv->get('/mpmxt/id?0', timeout => 5)->{body} =~ /pid=$hanging\b/ }, $patience), 'alone');
$srv->finish;
done_testing;
