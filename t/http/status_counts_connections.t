# Promise: the connection counts of mod_status follow what clients do, within moments: idle
# keep-alive, writing, and closing connections, and those that have gone.
use MPMX::Test;
need_module('status');
need_async('mod_status counts no connections');

my $watch = client(undef, timeout => seconds(5));
my $now;
sub becomes {
    my ($what, $is_so, $seconds) = @_;
    # An answer that did not come in time has no numbers.
    my $good = wait_until { $now = status_on($watch); defined $now->{ConnsTotal} && $is_so->() } $seconds || 10;
    ok($good, $what) or diag(join ' ', map { "$_=$now->{$_}" } grep { /^Conns|Busy/ } sort keys %$now);
}

# The numbers are those of a moment ago, when the connection that asks may have been idle, too.
sub idle { my $n = $now->{ConnsAsyncKeepAlive} - $_[0]; return $n == 0 || $n == 1 }

# What earlier tests have left may be in lingering close, for 30 s at most. The one connection may be
# another one, and that which asks not yet be counted: only after some looks it is certain.
my $looks = 0;
becomes('at rest: only the connection that asks', sub {
    $looks = $now->{ConnsTotal} <= 1 ? $looks + 1 : 0;
    sleep 0.05;
    return $looks >= 6;
}, 35);

my @idle = hold(20, sub { $_[0]->request('/small.bin') });
# Its thread, and that alone: the one that has answered before may still be on its way to rest when
# the next request on the connection is served.
becomes('20 idle connections, which need no thread', sub {
    idle(20) && $now->{ConnsTotal} == 21 && $now->{BusyWorkers} == 1;
});

$_->send("GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n") for @idle[10 .. 19];
$_->response for @idle[10 .. 19];
becomes('half of them had another request', sub { idle(20) && $now->{ConnsTotal} == 21 && $now->{BusyWorkers} == 1 });

$_->close for splice @idle, 0, 12;
becomes('12 of them have gone', sub { idle(8) && $now->{ConnsTotal} == 9 });

my @writing = hold(5, sub { $_[0]->send_request('/bysendfile/huge.bin'); $_[0]->bytes(1000) });
becomes('5 that do not read on', sub { $now->{ConnsAsyncWriting} == 5 && $now->{ConnsTotal} == 14 });
$_->reset for @writing;
becomes('and they have gone', sub { $now->{ConnsAsyncWriting} == 0 && $now->{ConnsTotal} == 9 });

# The server ends these. It waits for the client's end, up to 30 s as long as something comes.
# Who is silent for 2 s is given up before: on a busy machine that may be one of these.
my @closing;
becomes('5 that are being closed', sub {
    @closing = grep { $_->send('more') } @closing;
    push @closing, hold(5 - @closing, sub { $_[0]->request('/small.bin', headers => { Host => 'never.localhost' }) }, 'vhosts');
    return $now->{ConnsAsyncClosing} == 5;
}, 15);
$_->close for @closing, @idle;
becomes('all gone', sub { $now->{ConnsTotal} <= 1 && $now->{ConnsAsyncClosing} == 0 });

# A client that has announced its end has nothing more to say, so nothing is waited for.
my @announced = hold(5, sub { $_[0]->request('/small.bin', close => 1) });
becomes('5 that have announced their end', sub { $now->{ConnsTotal} <= 1 && $now->{ConnsAsyncClosing} == 0 });
$watch->close;

done();
