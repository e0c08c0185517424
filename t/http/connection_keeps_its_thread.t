# Promise: where the MPM gives each connection a thread, that serves all of its requests, in clear text
# and over TLS, however long the pauses and however slow the heads between them; connections
# that are open at the same time have different ones.
use MPMX::Test;
plan(skip_all => 'any thread serves any request') if is_async();

sub whoami {
    my ($pid, $thread, $id) = shift->{body} =~ /pid=(\d+) thread=(\w+) connection=(\d+)/ or return '';
    return "$pid $thread $id";
}

my @kinds = ([plain => undef]);
push @kinds, [TLS => 'tls', tls => {}]
    if Apache::Test::vars('have_tls') && eval { require IO::Socket::SSL };
my $get = "GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n";
for my $kind (@kinds) {
    my ($name, @how) = @$kind;
    my @c = map { client(@how) } 1 .. threads() / 2;
    my @first = map { whoami($_->request('/whoami')) } @c;
    my %different = map { $_ => 1 } @first;
    is(scalar keys %different, scalar @c, "$name: each of ${\ scalar @c} connections has a thread of its own");

    for my $round (1 .. 3) {
        sleep 0.1 * $round;
        my @order = $round % 2 ? reverse 0 .. $#c : 0 .. $#c;
        my $same = grep { whoami($c[$_]->request('/whoami')) eq $first[$_] } @order;
        is($same, scalar @c, "and keeps it, request $round");
    }
    # a head in pieces, and pipelined ones
    $_->send(substr $get, 0, 20) for @c;
    sleep 0.2;
    $_->send(substr($get, 20) . $get x 2) for @c;
    my $same = grep { my $i = $_; 3 == grep { whoami($c[$i]->response) eq $first[$i] } 1 .. 3 } 0 .. $#c;
    is($same, scalar @c, 'also when heads come slowly and together');
    $_->close for @c;
}
done();
