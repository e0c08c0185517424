# Logs through a piped logger (a shell, rotatelogs) get every request, also
# after graceful restarts, and a logger that is killed is started again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;
use MPMX::Load;

MPMX::Server->need_modules('log_config');
my $rotatelogs = MPMX::Server::Toolchain::support_program('rotatelogs');

my $srv = MPMX::Server->new(modules => ['log_config'], conf => join "\n",
    'LogFormat "%U%q %>s" short',
    'CustomLog "|$exec cat >>@DIR@/logs/piped.log" short',
    $rotatelogs ? qq{CustomLog "|$rotatelogs \@DIR\@/logs/rotated.log 86400" short} : ());
my @logs = ('piped.log', $rotatelogs ? 'rotated.log*' : ());

# Lines of a log that contain a pattern, in all its files.
sub lines {
    my ($log, $what) = @_;
    my $n = 0;
    for my $file (glob $srv->path("logs/$log")) {
        my $text = MPMX::Server::Proc::slurp($file);
        $n += () = $text =~ /^.*$what.*$/mg;
    }
    return $n;
}

$srv->start;
ok($srv->wait_for(sub { $srv->helpers == @logs }, 5), 'the loggers run');

# httpd itself ends the old loggers at a restart, so lines of requests that end
# in that moment may be lost; those of the new generation must all be there.
my $load = MPMX::Load->start(port => $srv->port, clients => 4, path => '/index.html?load');
for my $i (1 .. 3) {
    my %old = map { $_ => 1 } $srv->children;
    $srv->signal('USR1');
    ok($srv->wait_for(sub { my @now = $srv->children; @now && !grep { $old{$_} } @now }, 15), "graceful restart $i");
    is(scalar(grep { $srv->get("/index.html?round$i")->{status} == 200 } 1 .. 20), 20, 'twenty requests');
    for my $log (@logs) {
        ok($srv->wait_for(sub { lines($log, "round$i 200") == 20 }, 5), "$log: all twenty were logged")
            or diag(lines($log, "round$i 200") . ' lines');
    }
    my $n = MPMX::Load->start(port => $srv->port, clients => 4, path => "/index.html?calm$i", requests => 60)->wait;
    for my $log (@logs) {
        ok($srv->wait_for(sub { lines($log, "calm$i 200") == $n->{ok} }, 5), "$log: and all $n->{ok} of busy clients")
            or diag(lines($log, "calm$i 200") . ' lines');
    }
}
my $n = $load->stop;
cmp_ok(lines($_, 'load 200'), '>', 0, "$_: and those that ran all the time") for @logs;
ok($srv->wait_for(sub { $srv->helpers == @logs }, 10), 'as many loggers as before') or diag(join ' ', $srv->helpers);

my @loggers = $srv->helpers;
kill 'KILL', @loggers;
my $again = $srv->wait_for(sub {
    my @now = $srv->helpers;
    return @now == @loggers && !grep { my $p = $_; grep { $_ == $p } @loggers } @now;
}, 15);
ok($again, 'killed loggers are started again') or diag("@loggers -> " . join ' ', $srv->helpers);
is($srv->get('/index.html?after')->{status}, 200, 'a request after that');
for my $log (@logs) {
    ok($srv->wait_for(sub { lines($log, 'after 200') }, 5), "$log: is logged");
}

$srv->finish;
done_testing;
