# Promise: 500 idle keep-alive connections on eight threads are all kept, and served whenever they ask
# for more: some of them, all of them at once, also while others come and go.
use MPMX::Test;
use MPMX::Server;
use List::Util qw(shuffle);
need_async('as many connections need as many threads');
need_mpmx();
MPMX::Server->need_modules('status');

my $n = 500;
my $limit = POSIX::sysconf(POSIX::_SC_OPEN_MAX());
plan(skip_all => "only $limit files may be open") if $limit < $n + 50;

my $server = MPMX::Server->new(
    sizing => { StartServers => 1, ServerLimit => 1, ThreadLimit => 8, ThreadsPerChild => 8,
                MaxRequestWorkers => 8, MinSpareThreads => 1, MaxSpareThreads => 8 },
    modules => ['status'],
    conf => "KeepAliveTimeout 60\n",
);
$server->start;

my @idle;
for (1 .. $n) {
    my $c = MPMX::Client->new(port => $server->port, timeout => seconds(20));
    last if $c->request('/index.html')->{status} != 200;
    push @idle, $c;
}
is(scalar @idle, $n, "$n connections, each with a request") or diag($server->error_log);

my $status;
my $shown = wait_until {
    $status = $server->status;
    ($status->{ConnsAsyncKeepAlive} || 0) >= $n && $status->{BusyWorkers} <= 1;
} 10;
ok($shown, 'idle they need no thread')
    or diag(join ' ', map { "$_=$status->{$_}" } grep { /^Conns|Busy/ } sort keys %$status);

my $served = sub {
    my @c = @_;
    $_->send_request('/index.html') for @c;
    return scalar grep { $_->response->{status} == 200 } @c;
};
is($served->($idle[$_]), 1, "number $_ is served") for 0, $n / 2, $n - 1;
is($served->(shuffle @idle), $n, 'all of them at once');
my $others = grep { $server->get('/index.html')->{status} == 200 } 1 .. 50;
is($others, 50, 'others come and go');
my @gone = splice @idle, 100, 200;
$_->close for @gone;
is($served->(shuffle @idle), @idle, 'the rest are served when some have gone');
is(scalar(grep { $_->still_open } @idle), @idle, 'and are kept');
$_->close for @idle;
$server->finish;
done();
