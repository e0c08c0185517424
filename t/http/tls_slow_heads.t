# Promise: many more TLS clients than threads hold no thread while they are slow: those that stop in the
# middle of the handshake, those that have made it and say nothing, those that drip a request head, a
# first or a later one, in small records or in a record that never becomes whole. Ordinary requests, plain
# and TLS, are served promptly meanwhile, and the slow ones when they finish; who does not is closed
# after RequestHeadTimeout (10 s here). Where a connection has a thread of its own, that begins with its
# first whole head.
use MPMX::Test;
need_tls();
require MPMX::SlowTLS;
plan(skip_all => 'httpd reads handshakes and heads inside TLS in its threads') if is_stock();

my $limit = 10;                 # RequestHeadTimeout
my $held = busy_workers();
defined $held or die "no server status\n";

my $head = "GET /whoami HTTP/1.1\r\nHost: localhost\r\nX-Slow: indeed\r\n";
my $whole = "$head\r\n";

# A head in small records, all but its end; and a whole one in a record that is not. What is returned
# is what the client has left to do when it goes on, before it sends what it has left to send.
my %drip = (
    records => sub {
        my $c = shift;
        my $last = int(length($head) / 8);
        $c->put(substr $head, 8 * $_, 8) for 0 .. $last - 1;
        $c->flush;
        return sub { $c->put(substr $whole, 8 * $last) };
    },
    record => sub {
        my $c = shift;
        $c->put($whole);
        $c->flush(length($c->{out}) - 5);
        return sub { };
    },
);

# How each kind begins.
my %begin = (
    hello => sub {              # the answer to it is not even read
        my $c = shift;
        $c->flush;
        return sub { $c->greet(seconds(20)); $c->put($whole) };
    },
    'cut hello' => sub {
        my $c = shift;
        $c->flush(100);
        return sub { $c->greet(seconds(20)); $c->put($whole) };
    },
    finished => sub {           # half of what a client says at the end of the handshake
        my $c = shift;
        $c->greet(seconds(20)) or return undef;
        $c->flush(length($c->{out}) / 2);
        return sub { $c->put($whole) };
    },
    silent => sub {             # a handshake and nothing else
        my $c = shift;
        $c->greet(seconds(20)) or return undef;
        $c->flush;
        return sub { $c->put($whole) };
    },
);
for my $kind (keys %drip) {
    $begin{$kind} = sub {
        my $c = shift;
        return $c->greet(seconds(20)) ? $drip{$kind}->($c) : undef;
    };
    next unless is_async();
    $begin{"later $kind"} = sub {
        my $c = shift;
        $c->greet(seconds(20)) or return undef;
        $c->put($whole);
        $c->flush;
        return $c->response(seconds(20)) == 200 ? $drip{$kind}->($c) : undef;
    };
}

my $n = 24;
my (%slow, %began, %rest);
for my $kind (sort keys %begin) {
    $began{$kind} = time;
    for (1 .. $n) {
        my $c = MPMX::SlowTLS->new(port => port('tls'));
        my $rest = $begin{$kind}->($c) or last;
        push @{ $slow{$kind} }, $c;
        push @{ $rest{$kind} }, $rest;
    }
    is(scalar @{ $slow{$kind} || [] }, $n, "$kind: so many have begun");
}
my $all = $n * keys %begin;
cmp_ok($all, '>', 2 * threads(), 'more than there are threads');

# --- meanwhile ---
my $free = wait_until { my $busy = busy_workers(); defined $busy && $busy <= $held + 2 } 3;
ok($free, 'no thread waits for them') or diag("busy before: $held");

# IO::Socket::SSL takes its time before it connects at all.
sub new_tls {
    my $c = MPMX::SlowTLS->new(port => port('tls'));
    $c->greet(seconds(5)) or return 0;
    $c->put($whole);
    $c->flush;
    return $c->response(seconds(5));
}

my (%took, %served);
my $kept = client('tls', tls => {});
my ($oldest) = sort { $a <=> $b } values %began;
for (1 .. 60) {
    # The slow ones have to finish in time afterwards.
    last if $_ > 12 && time - $oldest > 0.4 * $limit;
    for my $how ('plain', 'kept TLS', $_ % 3 ? () : ('new TLS')) {
        my $at = time;
        $served{$how} += 200 == ($how eq 'new TLS' ? new_tls()
            : ($how eq 'plain' ? get('/small.bin') : $kept->request('/small.bin'))->{status});
        push @{ $took{$how} }, time - $at;
    }
}
$kept->close;
for my $how (sort keys %took) {
    is($served{$how}, scalar @{ $took{$how} }, "$how: all requests are served");
    my $median = median(@{ $took{$how} });
    note(sprintf '%s: median %.2f ms, slowest %.1f ms', $how, 1000 * $median, 1000 * (sort { $b <=> $a } @{ $took{$how} })[0]);
    # Without others on the machine it is below 5 ms.
    cmp_ok($median, '<', seconds(0.2), 'promptly');
}
note(sprintf 'the oldest slow client has been there for %.1f s', time - $oldest);

# --- half of them go on ---
for my $kind (sort keys %slow) {
    my @go = splice @{ $slow{$kind} }, 0, $n / 2;
    my @rest = splice @{ $rest{$kind} }, 0, $n / 2;
    for my $i (0 .. $#go) {
        $rest[$i]->($go[$i]);
        $go[$i]->flush;
    }
    SKIP: {
        # On a very busy machine that may not be in time.
        skip "$kind: their time was nearly over", 1 if time - $began{$kind} > 0.9 * $limit;
        is(scalar(grep { $_->response(seconds(10)) == 200 } @go), $n / 2, "$kind: served when they finish");
    }
}

# --- half of them do not ---
# What is spoken later is nothing yet: the same for HTTP/2.
if (eval { port('h2') } && Apache::Test::config()->{modules}{'mod_http2.c'}) {
    $began{h2} = time;
    for (1 .. $n) {
        my $c = MPMX::SlowTLS->new(port => port('h2'), alpn => 'h2');
        $c->greet(seconds(20));
        $c->flush(length($c->{out}) / 2);
        push @{ $slow{h2} }, $c;
    }
    $free = wait_until { my $busy = busy_workers(); defined $busy && $busy <= $held + 2 } 3;
    ok($free, 'no thread waits for clients of HTTP/2 either');
}
my %early;
while (keys %slow) {
    for my $kind (keys %slow) {
        # 408 where a request line is there; then, as where none is, the end
        my @open = grep { !$_->closed_within(0) } @{ $slow{$kind} };
        my $age = time - $began{$kind};
        $early{$kind} = 1 if $age < 0.9 * $limit && @open < @{ $slow{$kind} };
        $slow{$kind} = \@open;
        if (!@open || $age > seconds($limit + 6)) {
            is(scalar @open, 0, "$kind: closed in time");
            ok(!$early{$kind}, 'but not before');
            note(sprintf '%s: closed after %.1f s', $kind, $age);
            delete $slow{$kind};
        }
    }
    sleep 0.1 if keys %slow;
}
others_are_served('afterwards');
done();
