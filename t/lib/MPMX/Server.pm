package MPMX::Server;
# A throw-away private httpd: its own folder, ports, configuration and MPM,
# started, signalled, watched and removed by one test.
#
#   my $srv = MPMX::Server->new(
#       sizing    => { StartServers => 1, ThreadsPerChild => 4 },    # see _sizing
#       modules   => [qw(status alias)],         # httpd's own, if not compiled in
#       c_modules => ['mod_mpmxt_proc_exit'],    # of t/c-modules, built when stale
#       conf      => 'Alias /x @DIR@/x',         # @DIR@ @PORT@ @PORT1@ ... are filled in
#       listen    => 2,                          # how many ports, each a plain Listen
#       defines   => ['FOO'],                    # -D
#       handlers  => 1,                          # /mpmxt/..., see mod_mpmxt_proc_handlers.c
#       log_level => 'notice',
#       terminal  => MPMX::Server::Terminal->new,   # what runs httpd has this terminal
#       preload   => $so,                        # LD_PRELOAD, after MPMX_PRELOAD
#       nofile    => 64,                         # ulimit -n of the server; '64:300': soft, hard
#   );
#   $srv->start;  ...  $srv->finish(qr/AH00484/);
#
# finish() stops the server, and fails the test unless it went by itself, left
# no process behind and logged nothing bad but what the patterns allow.
# Whatever happens to the test, no process and no file survives it.
#
# Environment: see MPMX::Server::Toolchain; and
#   MPMX_PRELOAD        LD_PRELOAD for httpd
#   MPMX_SANITIZER_LOG  prefix of the sanitizers' report files; one more makes a test fail
#   MPMX_KEEP           1: leave the folders for a look
use strict;
use warnings;
use File::Path qw(remove_tree);
use File::Spec ();
use File::Temp ();
use POSIX qw(:sys_wait_h);
use Test::More ();
use Time::HiRes qw(time sleep);
use MPMX::Server::Client;
use MPMX::Server::Messages;
use MPMX::Server::Ports;
use MPMX::Server::Proc;
use MPMX::Server::Toolchain;

my %live;                   # folder => object, of this process only
my $owner = $$;
my $died = 0;               # the exit status, at the end
my %old_report = map { $_ => 1 } _reports();

# A test that hangs must not hang the suite; the longest takes some 25 s.
my $limit = 120 * slowness();
$SIG{ALRM} = sub { Test::More::diag("test ran longer than $limit s"); exit 1 };
# Whoever sends it: the result must not be a riddle.
$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { Test::More::diag("ended by SIG$_[0]"); exit 1 };
alarm $limit;
# Under `sudo -u` and cron the mask may be anything; the server's user must
# be able to read what is made here.
umask 022;

# How much longer things may take than on a plain build.
sub slowness { return $ENV{MPMX_SANITIZER_LOG} || $ENV{MPMX_PRELOAD} ? 3 : 1 }

sub mpm      { return MPMX::Server::Toolchain::mpm() }
sub is_stock { return MPMX::Server::Toolchain::is_stock() }
sub c_module { return MPMX::Server::Toolchain::c_module($_[-1]) }
sub ah       { return MPMX::Server::Messages::ah($_[-1]) }

# True for the MPM that serves with one child, whatever its sizes.
sub single { return mpm() eq 'winnt' }

# The sizing directives of each MPM, so that one test can serve several.
my @many  = qw(StartServers ServerLimit ThreadLimit ThreadsPerChild MinSpareThreads
               MaxSpareThreads MaxRequestWorkers);
my %takes = (
    event  => { map { $_ => 1 } @many, 'AsyncRequestWorkerFactor' },
    worker => { map { $_ => 1 } @many },
    winnt  => { map { $_ => 1 } qw(ThreadLimit ThreadsPerChild) },
);

# Skips the whole test file unless the MPM is one of those named; `why` says
# what the others are, that they cannot have it.
sub only_for {
    my ($class, $mpms, $why) = @_;
    return if grep { $_ eq mpm() } @$mpms;
    Test::More::plan(skip_all => mpm() . ": $why");
}

# Skips the whole test file unless httpd has these modules.
sub need_modules {
    my ($class, @names) = @_;
    my @missing = grep { !defined MPMX::Server::Toolchain::load_line($_) } @names;
    Test::More::plan(skip_all => "this httpd has no mod_$missing[0]") if @missing;
    return;
}

sub new {
    my ($class, %o) = @_;
    my $dir = File::Temp::tempdir('mpmx-XXXXXX', TMPDIR => 1);
    chmod 0755, $dir;
    my $self = bless { listen => 1, log_level => 'notice', %o, dir => $dir, pid => 0, ports => [] }, $class;
    $live{$dir} = $self;
    mkdir "$dir/$_" or die "$dir/$_: $!\n" for qw(htdocs logs run);
    # Test modules keep marks here from within unprivileged children.
    mkdir "$dir/marks";
    chmod 01777, "$dir/marks";
    $self->write('htdocs/index.html', 'x' x 1000);
    my @reserved = map { [ MPMX::Server::Ports::reserve() ] } 1 .. $o{listen} || 1;
    $self->{ports} = [ map { $_->[0] } @reserved ];
    $self->{port_marks} = [ map { $_->[1] } @reserved ];
    $self->configure;
    return $self;
}

sub dir  { return $_[0]{dir} }
sub port { return $_[0]{ports}[ $_[1] || 0 ] }
sub pid  { return $_[0]{pid} }
sub path { return "$_[0]{dir}/$_[1]" }

# A file below the server's folder, readable for everybody.
sub write {
    my ($self, $name, $text) = @_;
    my $file = $self->path($name);
    open(my $fh, '>', $file) or die "$file: $!\n";
    print $fh $text or die "$file: $!\n";
    close $fh or die "$file: $!\n";
    chmod 0644, $file;
    return $file;
}

sub read {
    my ($self, $name) = @_;
    my $text = MPMX::Server::Proc::slurp($self->path($name));
    return defined $text ? $text : '';
}

# Writes the configuration; the options given replace those of new().
sub configure {
    my ($self, %o) = @_;
    @$self{ keys %o } = values %o;
    my $dir = $self->{dir};
    my $so = MPMX::Server::Toolchain::mpm_so();
    die "no MPM to test at $so\n" unless -e $so;
    my $text = qq{ServerRoot "$dir"\nServerName localhost\nPidFile "$dir/run/httpd.pid"\n}
        . qq{ErrorLog "$dir/logs/error.log"\nLogLevel $self->{log_level}\n};
    # Known since 2.4.2; its compiled-in value is the system server's own folder.
    $text .= qq{DefaultRuntimeDir "$dir/run"\n} if MPMX::Server::Toolchain::httpd_version() >= 2_004_002;
    $text .= "LoadModule mpm_${\ mpm()}_module \"$so\"\n" unless $self->{no_mpm};
    for my $name ('unixd', 'authz_core', @{ $self->{modules} || [] }) {
        my $line = MPMX::Server::Toolchain::load_line($name);
        die "this httpd has no mod_$name\n" unless defined $line;
        $text .= $line;
    }
    for my $name ($self->{handlers} ? 'mod_mpmxt_proc_handlers' : (), @{ $self->{c_modules} || [] }) {
        my $so = MPMX::Server::Toolchain::c_module($name);
        (my $symbol = $name) =~ s/^mod_//;
        $text .= qq{LoadModule ${symbol}_module "$so"\n};
    }
    $text .= user_lines();
    $text .= "Listen 127.0.0.1:$_\n" for @{ $self->{ports} };
    $text .= qq{DocumentRoot "$dir/htdocs"\n<Directory />\nAllowOverride None\nRequire all granted\n</Directory>\n}
        . "Timeout 30\nKeepAlive On\nKeepAliveTimeout 15\nMaxKeepAliveRequests 0\n"
        . $self->_sizing . $self->_locations . $self->_fill(defined $self->{conf} ? $self->{conf} : '') . "\n";
    $self->{conf_file} = $self->write('httpd.conf', $text);
    return $self;
}

# Started by root, the server needs somebody to become.
sub user_lines {
    return '' if $> != 0;
    for my $user (qw(www-data nobody daemon)) {
        my @pw = getpwnam $user or next;
        return "User $user\nGroup #$pw[3]\n";
    }
    die "no unprivileged user found\n";
}

# Written for MPMs with many children; an MPM with one gets the threads of all.
sub _sizing {
    my ($self) = @_;
    my %size = (StartServers => 2, ServerLimit => 4, ThreadsPerChild => 8, MaxRequestWorkers => 32,
                MinSpareThreads => 8, MaxSpareThreads => 32, %{ $self->{sizing} || {} });
    my $known = $takes{ mpm() } || $takes{event};
    $size{ThreadsPerChild} = $size{MaxRequestWorkers} if !$known->{ServerLimit} && defined $size{ThreadsPerChild};
    # ThreadLimit and ServerLimit are looked at before what they limit.
    my @order = sort { ($b =~ /Limit/) <=> ($a =~ /Limit/) || $a cmp $b } keys %size;
    return join '', map { "$_ $size{$_}\n" } grep { $known->{$_} && defined $size{$_} } @order;
}

# Where the modules asked for answer.
sub _locations {
    my ($self) = @_;
    my $text = '';
    if (grep { $_ eq 'status' } @{ $self->{modules} || [] }) {
        $text .= "<Location /server-status>\nSetHandler server-status\n</Location>\n";
    }
    if ($self->{handlers}) {
        $text .= qq{MpmxtMarks "$self->{dir}/marks"\n<Location /mpmxt>\nSetHandler mpmxt-proc\n</Location>\n};
    }
    return $text;
}

sub _fill {
    my ($self, $text) = @_;
    $text =~ s/\@DIR\@/$self->{dir}/g;
    $text =~ s/\@PORT(\d*)\@/$self->{ports}[$1 || 0]/g;
    return $text;
}

# The command line of httpd with this configuration.
sub command {
    my ($self, @more) = @_;
    my @cmd = (MPMX::Server::Toolchain::httpd(), '-f', $self->{conf_file},
               (map { "-D$_" } @{ $self->{defines} || [] }), @more);
    return @cmd if !$self->{nofile};
    my ($soft, $hard) = split /:/, $self->{nofile};
    my $limits = defined $hard ? "ulimit -S -n $soft; ulimit -H -n $hard" : "ulimit -n $soft";
    return ('sh', '-c', "$limits; exec \"\$@\"", 'sh', @cmd);
}

# Forks and runs httpd with its output in a file; returns the pid.
sub _spawn {
    my ($self, $out, @args) = @_;
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;
    return $pid if $pid;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM PIPE);
    alarm 0;
    open(STDIN, '<', '/dev/null');
    open(STDOUT, '>>', $out);
    open(STDERR, '>&', \*STDOUT);
    $self->{terminal}->take if $self->{terminal};
    # A sanitizer's runtime has to be the first.
    my @preload = grep { $_ } $ENV{MPMX_PRELOAD}, $self->{preload};
    $ENV{LD_PRELOAD} = join ':', @preload if @preload;
    { no warnings 'exec'; exec { $args[0] } @args }
    POSIX::_exit(127);
}

# Runs httpd to its end (-t, -k ...): (exit status or -1, what it said).
sub httpd {
    my ($self, @args) = @_;
    my $out = $self->path('logs/command.out');
    unlink $out;
    my $pid = $self->_spawn($out, $self->command(@args));
    my $ended = wait_for(sub { waitpid($pid, WNOHANG) == $pid ? [$?] : 0 }, 30);
    if (!$ended) { kill 'KILL', $pid; waitpid($pid, 0) }
    my $text = MPMX::Server::Proc::slurp($out);
    return ($ended ? ($ended->[0] & 127 ? -1 : $ended->[0] >> 8) : -1, defined $text ? $text : '');
}

# `httpd -t` of the present configuration plus some lines: (exit, output).
sub check_config {
    my ($self, $lines, @args) = @_;
    my $conf = $self->{conf};
    $self->configure(conf => $lines);
    my @r = $self->httpd('-t', @args);
    $self->configure(conf => $conf);
    return @r;
}

# Starts the server. mode: daemon (default; -k start), or foreground,
# no_detach, one_process, debug (-X): then it is a child of this process.
# Dies unless it answers, or with no_wait => 1 returns at once.
sub start {
    my ($self, %o) = @_;
    my %flag = (foreground => ['-DFOREGROUND'], no_detach => ['-DNO_DETACH'],
                one_process => ['-DONE_PROCESS'], debug => ['-X']);
    my $mode = $self->{mode} = $o{mode} || 'daemon';
    my $resumed = $self->logged('resuming normal operations');
    # One that is just ending may not have been there to be waited for yet.
    wait_for(sub { $self->_reap; !$self->{spawned} }, 5) or die "already started\n";
    if ($mode eq 'daemon') {
        my ($rc, $out) = $self->httpd('-k', 'start');
        $self->{start_output} = $out;
        if ($rc && !$o{no_wait}) { $self->_diag_log; die "httpd did not start ($rc): $out\n" }
        return $self if $rc;
    }
    else {
        $self->{pid} = $self->{spawned} = $self->_spawn($self->path('logs/console.out'), $self->command(@{ $flag{$mode} }));
    }
    return $self if $o{no_wait};
    # In this order: before it answers, the file may be that of an earlier one.
    my $up = wait_for(sub { $self->get('/index.html')->{status} && $self->read_pid }, 30);
    # The first child may answer before the parent has said so, and tests count what it says.
    wait_for(sub { $self->logged('resuming normal operations') > $resumed }, 5) if $up;
    return $self if $up;
    $self->_diag_log;
    die "httpd does not answer: " . $self->read('logs/console.out') . "\n";
}

# The pid in the pid file (also taken over as the server's), or 0.
sub read_pid {
    my ($self) = @_;
    my ($pid) = $self->read('run/httpd.pid') =~ /^(\d+)\s*$/;
    return 0 unless $pid;
    $self->{pid} = $pid unless $self->{spawned};
    return $pid;
}

# To the parent, if it is there; false if not.
sub signal {
    my ($self, $sig) = @_;
    return $self->running && kill $sig, $self->{pid};
}

sub _reap {
    my ($self) = @_;
    return unless $self->{spawned};
    if (waitpid($self->{spawned}, WNOHANG) == $self->{spawned}) {
        $self->{exit_status} = $?;
        delete $self->{spawned};
    }
    return;
}

sub running {
    my ($self) = @_;
    $self->_reap;
    # Where pids are used again after 32768 threads, the number may be somebody else's by now, unless
    # nobody but this process can have reaped it.
    return MPMX::Server::Proc::alive($self->{pid})
        && ($self->{spawned} || index(MPMX::Server::Proc::command_line($self->{pid}), "$self->{dir}/") >= 0);
}

# Every living process of this server, whoever is its parent.
sub all_pids {
    my ($self) = @_;
    $self->_reap;
    return MPMX::Server::Proc::with_text("$self->{dir}/");
}

# The serving children: direct children that run the server's image (a piped
# logger does not), but not to check a configuration.
sub children {
    my ($self) = @_;
    return grep { index(MPMX::Server::Proc::command_line($_), $self->{conf_file}) >= 0 } $self->_direct;
}

sub _direct {
    my ($self) = @_;
    return grep { MPMX::Server::Proc::command_line($_) !~ / -t ?\z/ } MPMX::Server::Proc::children($self->{pid});
}

# How many children there are when a server has started.
sub first_children {
    my ($self) = @_;
    return single() ? 1 : { StartServers => 2, %{ $self->{sizing} || {} } }->{StartServers};
}

# Sends a signal and waits until there are new children, as many as at the
# start, and none of the old ones.
sub renewed_by {
    my ($self, $sig, $secs) = @_;
    my %old = map { $_ => 1 } $self->children;
    $self->signal($sig);
    return wait_for(sub {
        my @now = $self->children;
        return @now >= $self->first_children && !grep { $old{$_} } @now;
    }, $secs || 15);
}

# Waits until none of these processes accepts on the server's first port: an old child may, until it has heard
# of the new one that has said it is there.
sub accept_no_more {
    my ($self, @pids) = @_;
    return $self->wait_for(sub { !grep { MPMX::Server::Proc::listening($_, $self->port) } @pids }, 10);
}

# Direct children that are no httpd: piped loggers and the like.
sub helpers {
    my ($self) = @_;
    my %own = map { $_ => 1 } $self->children;
    return grep { !$own{$_} } $self->_direct;
}

# Runs the code until it returns true, and returns that; '' at the deadline.
sub wait_for {
    shift if ref $_[0] && ref $_[0] ne 'CODE';
    my ($code, $secs) = @_;
    my $until = time + $secs * slowness();
    my $pause = 0.005;
    while (1) {
        # A look may itself take long: the last one begins after the deadline.
        my $last = time > $until;
        my $r = $code->();
        return $r if $r;
        return '' if $last;
        sleep $pause;
        $pause *= 1.5 if $pause < 0.05;
    }
}

# A connection driven by hand.
sub connect {
    my ($self, %o) = @_;
    return MPMX::Server::Client->new(port => $self->port, timeout => 10 * slowness(), %o);
}

# One request on a connection of its own. Options of Client::request, port.
sub get {
    my ($self, $path, %o) = @_;
    my $c = $self->connect($o{port} ? (port => $o{port}) : ());
    my $r = $c->request($path, close => 1, %o);
    $c->close;
    return $r;
}

# Opens N connections with a request that runs until release(NAME), and waits
# till the handler of each is at work. Returns [connection, response head] pairs.
sub hold {
    my ($self, $n, $name) = @_;
    $self->write("marks/$name", '');
    my @held;
    for (1 .. $n) {
        my $c = $self->connect;
        $c->send_request("/mpmxt/hold?$name", close => 1);
        my $head = $c->response_head or return;
        push @held, [$c, $head];
    }
    return @held;
}

# Ends what hold began and returns how many answers came in whole.
sub release {
    my ($self, $name, @held) = @_;
    unlink $self->path("marks/$name");
    my $whole = 0;
    for my $h (@held) {
        my $res = $h->[0]->body($h->[1]);
        $whole++ if $res->{status} == 200 && $res->{body} =~ /done\n\z/;
        $h->[0]->close;
    }
    return $whole;
}

# /server-status?auto as a hash; needs modules => ['status'].
sub status {
    my ($self, $path) = @_;
    my $r = $self->get($path || '/server-status?auto');
    return { map { /^([^:]+): (.*)/ ? ($1 => $2) : () } split /\n/, $r->{body} };
}

sub error_log { return $_[0]->read('logs/error.log') }

# How often a pattern occurs in the error log.
sub logged {
    my ($self, $what) = @_;
    my $n = () = $self->error_log =~ /$what/g;
    return $n;
}

# Waits for a pattern in the error log.
sub wait_logged {
    my ($self, $what, $secs) = @_;
    return wait_for(sub { $self->logged($what) }, $secs);
}

# Ends the server with TERM (whatever is left of it) and returns the seconds
# it took; kills what does not go, and fails the test then.
sub stop {
    my ($self, %o) = @_;
    my $t0 = time;
    $self->read_pid unless $self->{pid};
    $self->signal($o{signal} || 'TERM') if $self->running;
    my $gone = wait_for(sub { !$self->all_pids }, $o{within} || 20);
    my $took = time - $t0;
    $self->_kill_rest unless $gone;
    $self->{pid} = 0;
    Test::More::ok($gone, 'every process of the server ended') unless $gone;
    return $took;
}

sub _kill_rest {
    my ($self) = @_;
    for (1 .. 20) {
        my @rest = $self->all_pids or last;
        Test::More::diag("left behind, killed: @rest") if $_ == 1;
        kill 'KILL', @rest;
        sleep 0.1;
    }
    if ($self->{spawned}) { waitpid(delete $self->{spawned}, 0) }
    return;
}

sub _diag_log {
    my ($self) = @_;
    my (@lines, $last);
    for my $line (split /\n/, $self->error_log) {
        # The same message every second is one line here.
        (my $what = $line) =~ s/^\[[^]]*\] //;
        if (defined $last && $what eq $last) { $lines[-1] =~ s/(?: \(again\))?$/ (again)/; next }
        push @lines, $line;
        $last = $what;
    }
    splice @lines, 0, @lines - 20 if @lines > 20;
    Test::More::diag("error log: $_") for @lines;
    return;
}

# The report files that sanitizers have written so far.
sub _reports {
    my $prefix = $ENV{MPMX_SANITIZER_LOG} or return;
    return glob("\Q$prefix\E*");
}

# One test: the log has no line that a healthy server does not write.
sub check_log {
    my ($self, @allow) = @_;
    my @bad;
    for my $line (split /\n/, $self->error_log) {
        next unless $line =~ /\[(?:[\w-]+:)?(?:emerg|alert|crit)\]|exit signal|AH00546|\bassert|core dump|(?:Address|Leak|Thread|UndefinedBehavior|Memory)Sanitizer|runtime error:/i;
        push @bad, $line unless grep { $line =~ $_ } @allow;
    }
    push @bad, map { "sanitizer report $_" } grep { !$old_report{$_} } _reports();
    Test::More::ok(!@bad, 'nothing bad in the error log');
    Test::More::diag($_) for @bad;
    return !@bad;
}

# The end of every test of a server: stopped by itself, clean log.
sub finish {
    my ($self, @allow) = @_;
    $self->stop;
    $self->check_log(@allow);
    $self->_diag_log unless Test::More->builder->is_passing;
    $self->remove;
    return;
}

# Takes the server and its folder away. What a failed test leaves is for those who want to know why.
sub remove {
    my ($self) = @_;
    return unless delete $live{ $self->{dir} };
    $self->_kill_rest;
    remove_tree($self->{dir}) unless $ENV{MPMX_KEEP} || $died || !Test::More->builder->is_passing;
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    $self->remove if $$ == $owner;
    return;
}

END {
    if ($$ == $owner) {
        my $status = $died = $?;
        alarm 0;
        for my $srv (values %live) {
            $srv->_diag_log;
            # Politely first: a sanitizer reports leaks only at a clean exit.
            kill 'TERM', $srv->{pid} if $srv->{pid} && $srv->running;
            wait_for(sub { !$srv->all_pids }, 3);
            $srv->remove;
        }
        $? = $status;
    }
}

1;
