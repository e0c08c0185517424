# An idle connection that is asleep costs the system less than 2 KB, far less than
# one that is awake: what it gives back does not stay in the heap.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Sleepers;
use POSIX ();
use Time::HiRes qw(time sleep);

MPMX::Sleepers->only_here;
plan(skip_all => 'sanitizers keep what is freed') if $ENV{MPMX_SANITIZER_LOG} || $ENV{MPMX_PRELOAD};
plan(skip_all => 'the system does not tell how much memory a process has for itself')
    unless defined MPMX::Sleepers->pss($$);
my $open = POSIX::sysconf(POSIX::_SC_OPEN_MAX());
my $many = $open > 1700 ? 1500 : $open - 200;
plan(skip_all => "only $open descriptors") if $many < 600;

sub kilobytes { return sprintf '%.2f', (MPMX::Sleepers->pss($_[0]->children) - $_[1]) / $many }

# (server, its clients, KB per connection straight after their requests, memory before)
sub with_clients {
    my ($conf) = @_;
    my $srv = MPMX::Sleepers->server(conf => "KeepAliveTimeout 60\nLogLevel warn\n$conf");
    $srv->start;
    # What is needed once only: code that is paged in, threads' first steps.
    my @first = map { $srv->connect } 1 .. 60;
    $_->send_request('/index.html') for @first;
    $_->response for @first;
    $_->close for @first;
    sleep 1.5;
    my $before = MPMX::Sleepers->pss($srv->children);
    my @c;
    for my $i (1 .. $many) {
        push @c, $srv->connect;
        $c[-1]->send_request('/mpmxt-conn/watch');
        next if $i % 50 && $i < $many;
        $c[$_]->response for $i - ($i % 50 || 50) .. $i - 1;
    }
    return ($srv, \@c, $before);
}

my ($srv, $c, $before) = with_clients('');
my $kb;
ok(MPMX::Sleepers->all_asleep($srv, 10), 'all fall asleep');
ok($srv->wait_for(sub { ($kb = kilobytes($srv, $before)) < 2 }, 8), 'asleep: less than 2 KB for each')
    or diag("$kb KB");
note("asleep: $kb KB, $many connections");
my $served = grep { my $r = $_->request('/mpmxt-conn/about'); $r->{status} == 200 && $r->{body} =~ /keepalives=1\b/ } @$c;
is($served, $many, 'all are served again');
$_->close for @$c;
$srv->finish;

my ($srv2, $c2, $before2) = with_clients('KeepAliveHibernate off');
my $awake = kilobytes($srv2, $before2);
note("awake: $awake KB");
cmp_ok($awake, '>', 4 * $kb, "awake: more than four times as much ($awake KB)");
$_->close for @$c2;
$srv2->finish;
done_testing;
