# Promise: TLS clients that are slow to greet hold no thread: neither those that say nothing, nor those
# that stop in the middle of their ClientHello. They are served when they go on; in time they are closed.
use MPMX::Test;
need_tls();

# Threads that others hold already, such as the proxy's idle connections to its backend.
my $held = busy_workers();
defined $held or die "no server status\n";

# A relay in a process of its own, so that an ordinary TLS client can be made slow: what the client
# says first is passed on in $pieces pieces.
sub slow_relay {
    my ($pieces, $pause) = @_;
    require IO::Socket::INET;
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die "listen: $!\n";
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    return ($pid, $listen->sockport) if $pid;
    my $in = $listen->accept;
    my $out = client('tls')->fh;
    my $first = 1;
    while (1) {
        my $set = '';
        vec($set, fileno $_, 1) = 1 for $in, $out;
        select $set, undef, undef, seconds(20) or last;
        for my $pair ([$in, $out], [$out, $in]) {
            my ($from, $to) = @$pair;
            next unless vec $set, fileno $from, 1;
            sysread $from, my $data, 65_536 or POSIX::_exit(0);
            my $step = $first ? 1 + int(length($data) / $pieces) : length $data;
            $first = 0;
            while (length $data) {
                my $n = syswrite $to, $data, $step;
                if (!defined $n) {      # the server's side is non-blocking
                    POSIX::_exit(0) unless $!{EAGAIN};
                    sleep 0.005;
                    next;
                }
                substr $data, 0, $n, '';
                sleep $pause if length $data;
            }
        }
    }
    POSIX::_exit(0);
}

my ($relay, $port) = slow_relay(25, 0.04);
my $c = MPMX::Client->new(port => $port, tls => {}, timeout => seconds(20));
is($c->{error}, '', 'a ClientHello in many small pieces makes a handshake');
is($c->request('/medium.bin')->{body}, doc('medium.bin'), 'and the request is served');
$c->close;
waitpid $relay, 0;

# a record header that announces 200 bytes of ClientHello
my $part = "\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" . 'r' x 32;
my $began = time;
my %slow = (silent => [map { client('tls') } 1 .. 40], partial => [map { client('tls') } 1 .. 40]);
$_->send($part) for @{ $slow{partial} };
sleep 0.5;
others_are_served('beside 80 slow TLS clients');
my $tls = MPMX::Client->new(port => port('tls'), tls => {}, timeout => seconds(10));
is($tls->{error}, '', 'other TLS clients are let in');
is($tls->request('/small.bin', close => 1)->{status}, 200, 'and served') unless $tls->{error};
$tls->close;
# Who waited for a ClientHello would stay; the last ordinary client may not be gone yet.
my $busy;
my $free = wait_until { $busy = busy_workers(); defined $busy && $busy <= $held + 2 } 3;
ok($free, 'no thread waits for a ClientHello')
    or diag("busy before: $held, now: " . (defined $busy ? $busy : 'no answer'));

SKIP: {
    skip 'only mpmx has RequestHeadTimeout', 2 if is_stock();
    # RequestHeadTimeout (10 s) counts from accept(2). A kernel that defers accepting keeps a client that
    # has said nothing to itself for up to ListenTCPDeferAccept (3 s, before 2.4.66 always 30 s) first.
    my %within = (partial => seconds(16), silent => seconds(16) + 30);
    for my $kind (sort keys %slow) {
        my $left = $within{$kind} - (time - $began);
        my $closed = grep { $_->closed_within($left > 1 ? $left : 1) || $_->{error} eq 'reset' } @{ $slow{$kind} };
        is($closed, 40, "$kind ones are closed in time");
    }
}
done();
