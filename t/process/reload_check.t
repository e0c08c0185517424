# A restart is only done with a configuration that can be used, whichever way it was asked for
# (ReloadCheck). If it cannot, nothing happens to anybody: parent, children, generation, clients and
# idle connections stay, and the log says why. Seen before: broken files, modules that cannot be
# loaded, another MPM, taken ports, logs and pid files that cannot be written.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET ();
use Test::More;
use MPMX::Load;
use MPMX::Server;
use MPMX::Server::Toolchain;

plan skip_all => 'not a promise of httpd itself' if MPMX::Server->is_stock;

my $srv = MPMX::Server->new(handlers => 1, modules => ['alias'], log_level => 'info');
$srv->start;
my $parent = $srv->pid;

sub generation { return ($srv->get('/mpmxt/query')->{body} =~ /^15=(\d+)/m)[0] }
sub refused    { return $srv->logged('but the server was not restarted') }
sub resumed    { return $srv->logged('resuming normal operations') }

# Asks for a restart that must be refused, and waits until it has been.
sub refuse {
    my ($sig, $what) = @_;
    my ($before, $resumed) = (refused(), resumed());
    $srv->signal($sig);
    ok($srv->wait_for(sub { refused() > $before || resumed() > $resumed || !$srv->running }, 20), "$what: decided");
    is(refused(), $before + 1, "$what: refused, and told once");
    is(resumed(), $resumed, "$what: the configuration in force was not given up");
    return;
}

# --- nobody notices ---

for my $sig (qw(USR1 HUP)) {
    my $idle = $srv->connect;
    is($idle->request('/index.html')->{status}, 200, "$sig: a connection");
    my ($children, $generation) = (join(' ', $srv->children), generation());
    my $load = MPMX::Load->start(port => $srv->port, clients => 4);
    $srv->configure(conf => 'ThisIsNoDirective at all');
    refuse($sig, "$sig, broken file");
    like($srv->error_log, qr/\[(?:[\w-]+:)?error\][^\n]*Syntax error on line \d+ of \Q$srv->{conf_file}\E/, "$sig: the log names the line");
    like($srv->error_log, qr/\[(?:[\w-]+:)?error\][^\n]*Invalid command 'ThisIsNoDirective'/, "$sig: and the cause");
    like($srv->error_log, qr/\[(?:[\w-]+:)?error\][^\n]*SIG$sig received, but the server was not restarted: .*present configuration stays in force/, "$sig: and says what follows");
    is($srv->read_pid, $parent, "$sig: the same parent");
    is(join(' ', $srv->children), $children, "$sig: the same children");
    is(generation(), $generation, "$sig: the same generation");
    my $n = $load->stop;
    is(MPMX::Load->failures($n), 0, "$sig: no request failed") or diag(MPMX::Load->text($n));
    is($n->{told}, 0, "$sig: nobody was told to close");
    is($idle->request('/index.html')->{status}, 200, "$sig: the idle connection still works");
}

# --- the same file, repaired ---

my $passed = $srv->logged('configuration has passed the check');
$srv->write('htdocs/new.txt', 'new');
$srv->configure(conf => 'Alias /moved.txt "@DIR@/htdocs/new.txt"');
for my $sig (qw(USR1 HUP)) {
    ok($srv->renewed_by($sig), "$sig, repaired file: restarted");
    is($srv->logged('configuration has passed the check'), ++$passed, 'after a check');
}
is($srv->get('/moved.txt')->{body}, 'new', 'it is in force');

# What is relative is so to the same folder as when the server does it.
$srv->configure(conf => qq{PidFile run/httpd.pid\nErrorLog logs/error.log});
ok($srv->renewed_by('USR1'), 'relative names: restarted');
is($srv->read_pid, $parent, 'and the pid file is where it was');

# --- what `httpd -t` alone does not see ---

my $other = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "no socket: $@\n";
my $taken = '127.0.0.1:' . $other->sockport;
my $stock = MPMX::Server::Toolchain::load_line('mpm_prefork');
my ($port, $mark) = MPMX::Server::Ports::reserve();
my $dir = $srv->dir;
# Of a log whose directory is not there, later versions of httpd tell by themselves.
my @cases = (
    ['a taken port',        qr/Address already in use: Listen \Q$taken\E/, conf => "Listen $taken"],
    ['two that collide',    qr/Address already in use: Listen /, conf => "Listen 127.0.0.1:$port\nListen 0.0.0.0:$port"],
    ['an ErrorLog',         qr/nowhere/, conf => 'ErrorLog nowhere/error.log'],
    ['of a virtual host',   qr/nowhere/, conf => "<VirtualHost *:80>\nErrorLog nowhere/e.log\n</VirtualHost>"],
    ['a directory for one', qr{Is a directory: ErrorLog \Q$dir\E/logs}, conf => "<VirtualHost *:80>\nErrorLog logs\n</VirtualHost>"],
    ['PidFile',             qr{PidFile \Q$dir\E/nowhere/httpd.pid}, conf => 'PidFile "@DIR@/nowhere/httpd.pid"'],
    ['a missing module',    qr{Cannot load \S+/none.so}, conf => 'LoadModule none_module "@DIR@/none.so"'],
    ['no file at all',      qr/httpd.conf: No such file/, gone => 1],
);
push @cases, map { my $log = $_; ["CustomLog $log", qr/\Q$log\E/, modules => ['alias', 'log_config'],
                               conf => qq{<VirtualHost *:80>\nCustomLog "$log" common\n</VirtualHost>}] } 'no where/a.log', 'logs'
    if defined MPMX::Server::Toolchain::load_line('log_config');
push @cases, ['another MPM', qr/does not load this MPM \(\w+\)/, no_mpm => 1, conf => "${stock}ThreadStackSize 0"] if $stock;

my ($generation, @files) = (generation(), sort glob "$dir/*/*");
for my $case (@cases) {
    my ($what, $message, %o) = @$case;
    my %as_before = map { $_ => $srv->{$_} } qw(conf modules no_mpm sizing);
    $srv->configure(sizing => $o{no_mpm} ? { map { $_ => undef } qw(StartServers ServerLimit ThreadsPerChild
        MaxRequestWorkers MinSpareThreads MaxSpareThreads) } : $as_before{sizing}, %o);
    unlink $srv->{conf_file} if $o{gone};
    my $said = length $srv->error_log;
    refuse($case == $cases[0] ? 'HUP' : 'USR1', $what);
    like(substr($srv->error_log, $said), $message, "$what: the log says it");
    $srv->configure(%as_before);
}
is(generation(), $generation, 'still the same generation');
is(join(' ', sort glob "$dir/*/*"), "@files", 'no file was made or taken away');
is($srv->read_pid, $parent, 'the pid file is as it was');
ok($srv->renewed_by('USR1'), 'and restarts are still possible');

# --- ReloadCheck Off: as httpd does it ---

$srv->configure(conf => 'ReloadCheck Off');
ok($srv->renewed_by('USR1'), 'ReloadCheck Off');
$passed = $srv->logged('configuration has passed the check');
ok($srv->renewed_by('USR1'), 'a restart');
is($srv->logged('configuration has passed the check'), $passed, 'without a check');
$srv->configure(conf => 'ThisIsNoDirective at all');
$srv->signal('USR1');
ok($srv->wait_for(sub { !$srv->all_pids }, 15), 'with a broken file: the server ends');

for my $value (qw(1 yes maybe)) {
    my ($rc, $out) = $srv->check_config("ReloadCheck $value");
    isnt($rc, 0, "ReloadCheck $value: an error");
    like($out, qr/ReloadCheck: '$value' is not valid, the value must be On or Off/, 'that says what is allowed');
}
my ($rc, $out) = $srv->check_config("<VirtualHost *:80>\nReloadCheck On\n</VirtualHost>");
isnt($rc, 0, 'in <VirtualHost>: an error') or diag($out);

$srv->finish;
done_testing;
