# Near the limit of open files, slow clients do not keep others out, however many they are: those that
# have taken the longest over a request head, or over a TLS handshake, are closed for new ones. The
# others go on, and are served when they come to the end. The log says it once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Server::Certificate;
use Time::HiRes qw(time sleep);

plan(skip_all => 'only mpmx has this') if MPMX::Server->is_stock;
my $slow = MPMX::Server::slowness();
my $tls = MPMX::Server::Certificate::can_tls() && eval { require MPMX::SlowTLS; 1 };
my ($tls_port, $mark) = MPMX::Server::Ports::reserve();      # the mark keeps it ours
my $srv = MPMX::Server->new(
    modules => $tls ? ['ssl'] : [],
    nofile  => '120:200',
    sizing  => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 8, MaxRequestWorkers => 8, MinSpareThreads => 1,
                 MaxSpareThreads => 8 },
    conf    => "RequestHeadTimeout 120\nTimeout 120\nKeepAliveTimeout 120\n"
        . ($tls ? "Listen 127.0.0.1:$tls_port https\n<VirtualHost 127.0.0.1:$tls_port>\nServerName localhost\nSSLEngine on\n"
                . "SSLCertificateFile \@DIR\@/pem\nSSLCertificateKeyFile \@DIR\@/key\n</VirtualHost>\n" : ''),
);
MPMX::Server::Certificate::make(map { $srv->path($_) } qw(pem key)) if $tls;
$srv->start;
my ($child) = $srv->children;

my $half = "GET /index.html HTTP/1.1\r\nHost: local";
my $rest = "host\r\nConnection: close\r\n\r\n";

# So many more that are in the middle of a head. One that the server has no room for yet connects all the same:
# the kernel sees to that.
my @slow;
sub begin_heads {
    my ($n) = @_;
    for (1 .. $n) {
        my $c = $srv->connect(timeout => 10 * $slow);
        $c->send($half);
        push @slow, $c;
    }
    return;
}

my ($served, $worst);
sub others_come {
    my ($n) = @_;
    ($served, $worst) = (0, 0);
    for (1 .. $n) {
        my $began = time;
        $served++ if $srv->get('/index.html', timeout => 10 * $slow)->{status} == 200;
        my $took = time - $began;
        $worst = $took if $took > $worst;
    }
    return;
}

begin_heads(190);
sleep 1.5;                               # a head has its second
others_come(40);
is($served, 40, 'with slow heads up to the limit, others are served');
cmp_ok($worst, '<', 3 * $slow, sprintf 'soon (%.0f ms at most)', 1000 * $worst);
begin_heads(60);
sleep 1.5;
others_come(40);
is($served, 40, 'also when more of them have come');
cmp_ok($worst, '<', 3 * $slow, sprintf 'soon (%.0f ms at most)', 1000 * $worst);

my @open = map { $_->still_open } @slow;
my $n = grep { $_ } @open;
cmp_ok($n, '>', 100, "$n of them are there");
is(scalar(grep { $_ } @open[-60 .. -1]), 60, 'all of those that came last');
is(scalar(grep { !$_->{error} || $_->{error} eq 'eof' } @slow), scalar @slow, 'none was reset');
my $whole = grep { $_->send($rest); $_->response->{status} == 200 } @slow[-60 .. -1];
is($whole, 60, 'who comes to the end is served');
$_->close for @slow;

SKIP: {
    skip('no TLS', 3) unless $tls;
    # 70 each: a part of the first record, all of it and no more, and a part of a head after it.
    my (@hello, @shaking, @inside);
    for (1 .. 70) {
        push @hello, MPMX::SlowTLS->new(port => $tls_port);
        $hello[-1]->flush(100);
    }
    for (1 .. 70) {
        push @shaking, MPMX::SlowTLS->new(port => $tls_port);
        $shaking[-1]->flush;
    }
    sleep 1.5;
    others_come(20);
    is($served, 20, 'beside clients in the middle of a TLS handshake');
    push @shaking, map { my $c = MPMX::SlowTLS->new(port => $tls_port); $c->flush; $c } 1 .. 140;
    sleep 1.5;
    others_come(40);
    is($served, 40, 'however many they are, others are served');
    cmp_ok($worst, '<', 3 * $slow, sprintf 'soon (%.0f ms at most)', 1000 * $worst);
}

is(join(' ', $srv->children), $child, 'by the same child');
my $lines = $srv->logged(qr/\n[^\n]*near the limit of open files[^\n]*\(ulimit/);
is($lines, 1, 'the log says it once');
$srv->finish(qr/AH02179/);
done_testing;
