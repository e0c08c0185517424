# While all workers are busy in slow handlers, connections that are ready wait:
# none is dropped, and they are served about in the order in which they came.
# A client that pipelines without end does not keep a worker for ever.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use POSIX ();
use Time::HiRes qw(time sleep);

my $slow = MPMX::Server::slowness();
my $async = MPMX::Server::mpm() ne 'worker';

sub server {
    my ($threads) = @_;
    my $srv = MPMX::Server->new(
        handlers => 1,
        sizing   => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => $threads, MaxRequestWorkers => $threads,
                      MinSpareThreads => 1, MaxSpareThreads => $threads },
        conf     => 'KeepAliveTimeout 60',
    );
    return $srv->start;
}

# By how many places the one that is off the most has moved, and the new order.
sub disorder {
    my @at = @_;
    my @order = sort { $at[$a] <=> $at[$b] } 0 .. $#at;
    my $off = 0;
    for my $place (0 .. $#order) {
        my $d = abs($order[$place] - $place);
        $off = $d if $d > $off;
    }
    return ($off, "@order");
}

# A worker accepts up to 16 at a time, and takes up to 32 reports; another one goes on behind them.
my %most = ('keep-alive all' => 40, 'both all' => 64, 'both keep-alive' => 40);

# Connections that are there already and send their next request, and new ones.
SKIP: {
    skip "httpd's own MPMs close idle connections then", 6 if MPMX::Server::is_stock();
    for my $kind ($async ? ('new', 'keep-alive', 'both') : 'new') {
        my $srv = server(2);
        my $n = 100;
        my @of = $kind eq 'both' ? ('all', 'new', 'keep-alive') : 'all';
        my %off;
        # The first good round counts: one worker goes on while a busy machine keeps the other one, and what
        # that has taken, waiting.
        for my $round (1 .. 6) {
            my @c = map { $kind eq 'new' || $kind eq 'both' && $_ % 2 ? undef : $srv->connect(timeout => 30 * $slow) } 1 .. $n;
            $_->request('/index.html') for grep { $_ } @c;
            my @held = $srv->hold(2, 'busy');
            is(scalar @held, 2, "$kind: both workers are busy, round $round");
            for my $c (@c) {
                $c ||= $srv->connect(timeout => 30 * $slow);
                $c->send_request('/mpmxt/id?5', close => 1);
                sleep 0.005;
            }
            sleep 0.2;
            is($srv->release('busy', @held), 2, "$kind: they come back");
            my @answer = map { $_->response } @c;
            is(scalar(grep { $_->{status} == 200 } @answer), $n, "$kind: all $n that were ready are served");
            my @began = map { $_->{body} =~ /from=(\d+)/ ? $1 : 0 } @answer;
            for my $of (@of) {
                my @these = grep { $of eq 'all' || $_ % 2 == ($of eq 'new' ? 0 : 1) } 0 .. $#began;
                ($off{$of}, my $order) = disorder(@began[@these]);
                note("$kind, $of: $off{$of} off, $order");
            }
            last unless grep { $off{$_} > ($most{"$kind $_"} || 16) } @of;
        }
        for my $of (@of) {
            cmp_ok($off{$of}, '<=', $most{"$kind $of"} || 16, "$kind, $of: about in the order in which they came");
        }
        $srv->finish;
    }
}

SKIP: {
    skip 'a connection keeps its thread', 6 unless $async;
    skip "httpd's own serve a connection as long as it sends", 6 if MPMX::Server::is_stock();
    my $srv = server(1);
    my $other = $srv->connect(timeout => 10 * $slow);
    is($other->request('/index.html')->{status}, 200, 'a client with the only worker for itself');
    pipe(my $from, my $to) or die "pipe: $!\n";
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    if (!$pid) {
        # Always more in the socket than is answered.
        my $c = $srv->connect;
        my $text = "GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n";
        my $fh = $c->fh;
        my ($out, $told) = ('', 0);
        my $end = time + 60;
        local $SIG{PIPE} = 'IGNORE';
        while (time < $end && getppid != 1) {
            my $vec = '';
            vec($vec, fileno $fh, 1) = 1;
            select(my $r = $vec, my $w = $vec, undef, 1);
            if (vec($r, fileno $fh, 1)) {
                sysread($fh, my $in, 65536) or last;
                syswrite $to, '.' if !$told++;
            }
            $out .= $text x 50 if length $out < 5000;
            if (vec($w, fileno $fh, 1)) { substr($out, 0, syswrite($fh, $out) || 0) = '' }
        }
        POSIX::_exit(0);
    }
    close $to;
    sysread($from, my $dot, 1);
    is($dot, '.', 'a client pipelines without end');
    sleep 0.3;
    for my $kind ('the connection that was there', 'new connections') {
        my $worst;
        # That client is a load of its own, for a machine that may have others: the first good round counts.
        for my $round (1 .. 6) {
            my $served = 0;
            $worst = 0;
            for (1 .. 20) {
                my $t0 = time;
                my $r = $kind =~ /new/ ? $srv->get('/index.html', timeout => 10 * $slow) : $other->request('/index.html');
                $served++ if $r->{status} == 200;
                my $took = time - $t0;
                $worst = $took if $took > $worst;
                last if $served < $_;
            }
            is($served, 20, "$kind: served by the only worker, round $round");
            last if $worst < 0.5 || $served < 20;
        }
        cmp_ok($worst, '<', 0.5 * $slow, sprintf "$kind: soon (%.0f ms at most)", 1000 * $worst);
    }
    ok(waitpid($pid, POSIX::WNOHANG()) == 0, 'while it goes on');
    kill 'KILL', $pid;
    waitpid($pid, 0);
    $srv->finish;
}
done_testing;
