# Promise: AcceptFilter http none, and connect, turn the request-head gate off: a connection gets its
# thread with its first byte. With the default filter it gets one with its first whole head.
# Either way it is served.
use MPMX::Test;
use MPMX::Server;
need_module('status');

for my $filter ('none', 'connect', '') {
    my $server = MPMX::Server->new(
        sizing => { StartServers => 1, ServerLimit => 1, ThreadLimit => 8, ThreadsPerChild => 8,
                    MaxRequestWorkers => 8 },
        modules => ['status'],
        conf => ($filter ? "AcceptFilter http $filter\n" : '')
            . "<Location /server-status>\nSetHandler server-status\n</Location>\n",
    );
    $server->start;
    my @held = map { MPMX::Client->new(port => $server->port, timeout => seconds(10)) } 1 .. 5;
    $_->send("GET /index.html HTTP/1.1\r\nHost: loc") for @held;
    my $busy = sub { ($server->status->{BusyWorkers} || 0) - 1 };
    # Not who has just answered the look before.
    my $n = 0;
    my $all_busy = wait_until { $n = $busy->() >= 5 ? $n + 1 : 0; $n >= 3 } $filter ? 10 : 0;
    if ($filter) {
        ok($all_busy, "AcceptFilter http $filter: a thread for each connection");
    }
    else {
        SKIP: {
            skip 'stock has no gate', 1 if is_stock();
            sleep 0.5;
            # A thread that waits for a head would stay; one that has just answered is there for a moment.
            ok(wait_until(sub { $busy->() == 0 }, 5), 'default filter: no thread for an incomplete head');
        }
    }
    $_->send("alhost\r\n\r\n") for @held;
    my $served = grep { $_->response->{status} == 200 } @held;
    is($served, 5, 'served when the head is complete');
    $_->close for @held;
    $server->finish;
}

done();
