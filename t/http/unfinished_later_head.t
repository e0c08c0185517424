# Promise: on a lasting connection a later request's head that stops coming ends the connection after
# Timeout, with a 408 if its request line had come; what it held is free then. Others are
# served meanwhile.
use MPMX::Test;
use MPMX::Server;

my $timeout = seconds(4);
my $server = MPMX::Server->new(
    sizing => { StartServers => 1, ServerLimit => 1, ThreadLimit => 8, ThreadsPerChild => 8,
                MaxRequestWorkers => 8, MinSpareThreads => 1, MaxSpareThreads => 8 },
    modules => ['status'],
    conf => "Timeout $timeout\nKeepAliveTimeout $timeout\n",
);
$server->start;

my $get = "GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n";
my $connect = sub { MPMX::Client->new(port => $server->port, timeout => seconds(20)) };
for my $round (1, 2) {
    my %c = map { $_ => $connect->() } qw(line header pipelined);
    $c{pipelined}->send($get . substr $get, 0, -5);
    for my $name (qw(line header)) {
        is($c{$name}->request('/index.html')->{status}, 200, "$name: a first request, round $round");
    }
    is($c{pipelined}->response->{status}, 200, 'pipelined: a first request');
    my $since = time;
    $c{line}->send(substr $get, 0, 10);
    $c{header}->send(substr $get, 0, -5);

    my $others = grep { $server->get('/index.html')->{status} == 200 } 1 .. 30;
    is($others, 30, 'others are served');
    for my $name (qw(line header pipelined)) {
        my $text = $c{$name}->rest(3 * $timeout);
        my $took = time - $since;
        is($c{$name}{error}, 'eof', "$name: closed");
        cmp_ok($took, '>', 0.8 * $timeout, 'not before its time');
        like($text, $name eq 'line' ? qr/\A(?:HTTP\/1\.1 408 .*)?\z/s : qr/\AHTTP\/1\.1 408 /, 'with the right words');
        note(sprintf '%s: %.1f s', $name, $took);
    }
    my $free = wait_until { ($server->status->{BusyWorkers} || 0) == 1 } 5;
    ok($free, 'no thread is left with them');
}
$server->finish;
done();
