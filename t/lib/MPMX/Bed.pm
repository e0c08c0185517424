package MPMX::Bed;

# Prepares a private server root for Apache::Test, runs the tests in it and cleans up.
#
# The root is a world-readable temporary directory, because a server started by root serves
# as another user and the checkout may not be readable to that one:
#
#   <root>/t/conf       copies of t/conf/*.in and what Apache::Test makes of them
#   <root>/t/htdocs     documents, generated; <root>/t/cgi-bin likewise
#   <root>/t/logs       error_log and friends
#   <root>/t/tls        self-signed certificate
#   <root>/t/{http,process,lib,...}   links into the source tree

use strict;
use warnings;
use Cwd qw(abs_path getcwd);
use File::Basename qw(basename dirname);
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use File::Temp ();
use Socket ();
use Time::HiRes qw(sleep time);

use MPMX::Docs ();
use MPMX::Server::Certificate ();
use MPMX::Server::Ports ();
use MPMX::Server::Proc ();
use MPMX::Server::Toolchain ();

# Modules the tests want, in loading order; those compiled in or not built are left out.
my @MODULES = qw(
    unixd authn_core authz_core authz_host log_config logio env mime dir alias setenvif headers
    filter version watchdog status info cgid deflate dialup http2 proxy proxy_http proxy_wstunnel
    ratelimit remoteip reqtimeout socache_shmcb ssl
);

# Ports by name, as @<name>_port@ in t/conf/*.in.
my @PORTS = qw(
    tls tlslimits tlscert tlsasks tlsproxied h2 h2c proxy backend wsbackend vhosts reqtimeout
    proxyproto lineblock linewait linepark ipv6 io
);
# Children and threads of each. Tests that keep connections stuck use more than 32 of them, so that a
# thread per connection would show; where a connection that idles has one by design, there are more
# threads than any test has such connections.
my %SIZE = (event => [2, 16], worker => [2, 32], winnt => [1, 32]);

my $MANY = 30;          # listeners for the many-listeners test: many00 .. many29

sub new {
    my ($class, $t_dir) = @_;
    return bless { t => abs_path($t_dir), checkout => dirname(abs_path($t_dir)) }, $class;
}

# Returns the exit status for t/TEST.
sub main {
    my ($self, @args) = @_;
    my $status = eval {
        my @tests = map { $self->test_name($_) } grep { !/^-/ } @args;
        $self->settings;
        $self->prepare;
        $self->run([grep { /^-/ } @args], \@tests);
    };
    if ($@) {
        print STDERR "t/TEST: $@";
        $status = 1;
    }
    return $self->finish($status);
}

# ---- what to test ----

sub settings {
    my $self = shift;
    my $so = MPMX::Server::Toolchain::mpm_so();
    -e $so or die "$so does not exist: build it first, or name another MPM with MPMX_SO\n";
    $self->{so} = abs_path($so);
    $self->{mpm} = MPMX::Server::Toolchain::mpm();
    $self->{apxs} = abs_path(MPMX::Server::Toolchain::apxs());
    $self->{httpd} = abs_path(MPMX::Server::Toolchain::httpd());
    return;
}

# Accepts t/http/x.t, http/x, http and paths relative to the current directory.
sub test_name {
    my ($self, $name) = @_;
    for my $try ($name, "$self->{checkout}/$name", "$self->{t}/$name", "$self->{t}/$name.t") {
        next unless -e $try;
        my $path = abs_path($try);
        return substr $path, 1 + length $self->{t} if index($path, "$self->{t}/") == 0;
    }
    die "no such test: $name\n";
}

# ---- the server root ----

sub prepare {
    my $self = shift;
    umask 022;
    my $root = $self->{root} = abs_path(File::Temp::tempdir('httpd-under-test-XXXXXX', TMPDIR => 1));
    chmod 0755, $root or die "chmod $root: $!\n";
    my $t = $self->{run} = "$root/t";
    make_path(map { "$t/$_" } qw(conf htdocs logs state tls));
    # mod_cgid's daemon writes here as the server's user
    chmod 01777, "$t/logs", "$t/state";

    for my $entry (glob "$self->{t}/*") {
        next if !-d $entry || $entry =~ m{/(?:conf|logs|htdocs)\z};
        symlink $entry, "$t/" . basename($entry) or die "symlink $entry: $!\n";
    }
    copy($_, "$t/conf/") or die "copy $_: $!\n" for glob "$self->{t}/conf/*.in";
    $self->write_wrapper;
    $self->write_modules;
    MPMX::Docs::generate("$t/htdocs", "$t/cgi-bin");
    $self->{tls} = $self->write_certificate;
    $self->choose_ports;
    return;
}

# Test tools started by the suite must not get httpd's LD_PRELOAD, hence a script around httpd.
sub write_wrapper {
    my $self = shift;
    my $file = $self->{wrapper} = "$self->{root}/httpd";
    my $preload = $ENV{MPMX_PRELOAD} ? "LD_PRELOAD='$ENV{MPMX_PRELOAD}'\nexport LD_PRELOAD\n" : '';
    write_file($file, "#!/bin/sh\n${preload}exec '$self->{httpd}' \"\$@\"\n");
    chmod 0755, $file;
    return;
}

# Only LoadModule lines: the configuration that Apache::Test inherits from. The distribution's
# own configuration is never read.
sub write_modules {
    my $self = shift;
    my $serving = MPMX::Server::Toolchain::c_module('mod_mpmxt_serving');
    my $text = join '', qq{LoadModule mpm_$self->{mpm}_module "$self->{so}"\n},
        (grep { defined } map { MPMX::Server::Toolchain::load_line($_) } @MODULES),
        qq{LoadModule mpmxt_serving_module "$serving"\n};
    write_file($self->{modules} = "$self->{root}/modules.conf", $text);
    return;
}

sub write_certificate {
    my $self = shift;
    my $dir = "$self->{run}/tls";
    return eval { MPMX::Server::Certificate::make("$dir/cert.pem", "$dir/key.pem"); 1 };
}

# Ports in a row: Apache::Test's own, those with a name, and those of many listeners.
sub choose_ports {
    my $self = shift;
    (my $next, @{ $self->{port_marks} }) = MPMX::Server::Ports::reserve_block(1 + @PORTS + $MANY);
    $self->{port} = $next;
    $self->{vars}{"${_}_port"} = ++$next for @PORTS;
    $self->{vars}{sprintf 'many%02d_port', $_} = ++$next for 0 .. $MANY - 1;
    return;
}

sub ipv6_loopback {
    my $packed = Socket::inet_pton(Socket::AF_INET6(), '::1') or return 0;
    socket(my $sock, Socket::AF_INET6(), Socket::SOCK_STREAM(), 0) or return 0;
    return bind($sock, Socket::pack_sockaddr_in6(0, $packed)) ? 1 : 0;
}

sub write_file {
    my ($file, $text) = @_;
    open my $out, '>', $file or die "$file: $!\n";
    print {$out} $text;
    close $out or die "$file: $!\n";
    return;
}

# ---- running ----

# The tests run in a child, so that whatever happens to it this process can stop the server.
sub run {
    my ($self, $options, $tests) = @_;
    my @tests = @$tests;
    @tests = grep { my @found = glob "$self->{t}/$_/*.t"; @found } qw(http process) unless @tests;

    delete @ENV{grep { /^APACHE_TEST_/ || /^(?:HTTPS?|ALL|NO)_PROXY$/i } keys %ENV};
    $ENV{APACHE_TEST_ULIMIT_SET} = 1;   # no re-execution through a shell for core dumps
    $ENV{PERL5LIB} = join ':', "$self->{t}/lib", grep { defined && length } $ENV{PERL5LIB};
    @ENV{qw(MPMX_SO MPMX_MPM MPMX_APXS MPMX_HTTPD)} = @$self{qw(so mpm apxs httpd)};

    my $pid = fork;
    defined $pid or die "fork: $!\n";
    if (!$pid) {
        eval { $self->test_child(@$options, @tests) };
        print STDERR "t/TEST: $@";
        exit 1;
    }
    my $caught;
    local @SIG{qw(INT TERM HUP)} = (sub { $caught = shift; kill 'TERM', $pid }) x 3;
    1 until waitpid($pid, 0) == $pid || !$!{EINTR};
    my $status = $? ? 1 : 0;
    if ($caught) {
        print STDERR "t/TEST: stopped by SIG$caught\n";
        $status = 1;
    }
    return $status;
}

sub test_child {
    my ($self, @args) = @_;
    chdir $self->{root} or die "chdir $self->{root}: $!\n";
    $0 = "$self->{root}/t/TEST";
    $SIG{TERM} = sub { exit 1 };
    require MPMX::Run;
    my @defines;
    push @defines, 'MPMX' unless MPMX::Server::Toolchain::is_stock();
    push @defines, 'TLS' if $self->{tls};
    push @defines, 'IPV6' if ipv6_loopback();
    my ($children, $threads) = @{ $SIZE{ $self->{mpm} } };
    my %vars = (%{ $self->{vars} }, mpm => $self->{mpm}, have_tls => $self->{tls},
                have_ipv6 => ipv6_loopback(), children => $children, threads => $threads,
                all_threads => $children * $threads);
    MPMX::Run->new(mpmx_vars => \%vars)->run(
        '-httpd', $self->{wrapper}, '-apxs', $self->{apxs}, '-httpd_conf', $self->{modules},
        '-port', $self->{port}, '-servername', 'localhost', '-top_dir', $self->{root},
        '-defines', join(' ', @defines), @args);
    exit 0;
}

# ---- afterwards ----

# Returns the final exit status.
sub finish {
    my ($self, $status) = @_;
    my $root = $self->{root} or return $status;
    $self->stop_server;
    $status ||= $self->bad_end;
    if ($ENV{MPMX_KEEP} || $status) {
        print STDERR "t/TEST: configuration and logs of the server are in $root\n";
        remove_tree("$root/t/htdocs");  # large and the same every time
    }
    else {
        remove_tree($root);
    }
    return $status;
}

# Each test looks for these itself, but the server's end comes after the last of them.
sub bad_end {
    my $self = shift;
    my @bad;
    if (open my $log, '<', "$self->{run}/logs/error_log") {
        @bad = grep { /exit signal|Sanitizer|runtime error:/ } <$log>;
        chomp @bad;
    }
    my $prefix = $ENV{MPMX_SANITIZER_LOG};
    push @bad, map { "sanitizer report $_" } glob "\Q$prefix\E*" if $prefix;
    print STDERR map { "t/TEST: $_\n" } @bad;
    return @bad ? 1 : 0;
}

# Apache::Test stops its server itself; this is for the runs that did not get that far. The server's
# processes are found by the root in their command line, which works without a pid file, too.
sub stop_server {
    my $self = shift;
    my $deadline = time + 15;
    my $signal = 'TERM';
    while (my @pids = MPMX::Server::Proc::with_text("$self->{root}/")) {
        kill $signal, $signal eq 'TERM' ? leaders(@pids) : @pids;
        $signal = 'KILL' if time > $deadline;
        return if time > $deadline + 5;
        sleep 0.2;
    }
    return;
}

# Those of the processes that lead a process group: of a daemon's processes the parent.
sub leaders {
    my @leaders = grep { (getpgrp($_) || 0) == $_ } @_;
    return @leaders ? @leaders : @_;
}

1;
