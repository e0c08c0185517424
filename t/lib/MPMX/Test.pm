package MPMX::Test;

# What every serving test begins with:
#
#   # Promise: ...
#   use MPMX::Test;
#   need_module('ssl');
#   ...
#   done();
#
# Gives strict, warnings, Test::More, Digest::SHA's sha1_hex, Time::HiRes's time and sleep, and the
# functions below. done() ends every test: it reads what the test added to the error log.

use strict;
use warnings;
use Apache::Test ();
use Apache::TestConfig ();
use Digest::SHA qw(sha1_hex);
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

use MPMX::Client;

our @EXPORT = (@Test::More::EXPORT, qw(
    sha1_hex time sleep
    port client get status status_on wait_until factor seconds doc docs_dir error_log logs_dir
    need_module need_tool need_tls need_async need_mpmx is_async is_stock threads tool run_tool
    in_parallel median busy_workers others_are_served hold done
));

my ($vars, $log_start, $master);

sub import {
    my $class = shift;
    strict->import;
    warnings->import;
    my $caller = caller;
    no strict 'refs';
    *{"${caller}::$_"} = \&{"${class}::$_"} for grep { /^\w/ } @EXPORT;
    *{"${caller}::TODO"} = \${"${caller}::TODO"};

    $master = $$;
    $SIG{PIPE} = 'IGNORE';
    my $limit = seconds(100);
    $SIG{ALRM} = sub { diag("test ran longer than $limit s"); POSIX::_exit(1) };
    alarm $limit;
    $vars = Apache::Test::vars();
    $log_start = -s error_log() || 0;
    return;
}

# ---- the server ----

# The port called so in t/conf/*.in; without a name the main one.
sub port {
    my $name = shift;
    return $vars->{port} if !defined $name;
    my $port = $vars->{"${name}_port"} or die "no port is called $name\n";
    return $port;
}

sub docs_dir  { return $vars->{documentroot} }
sub logs_dir  { return $vars->{t_logs} }
sub error_log { return "$vars->{t_logs}/error_log" }

# The content of a document.
sub doc {
    my $name = shift;
    open my $in, '<:raw', docs_dir() . "/$name" or die docs_dir() . "/$name: $!\n";
    local $/;
    return scalar <$in>;
}

# Sanitizers slow the server down; deadlines are multiplied by this.
sub factor { return $ENV{MPMX_PRELOAD} || $ENV{MPMX_SANITIZER_LOG} ? 3 : 1 }
sub seconds { return $_[0] * factor() }

# A connection to a named port (default: the main one). Dies unless connected.
sub client {
    my ($name, %o) = @_;
    my $c = MPMX::Client->new(port => port($name), timeout => seconds(20), %o);
    die 'port ' . ($name || 'main') . ": $c->{error}\n" if $c->{error};
    return $c;
}

# One request on a connection of its own. port => name, tls => {}, else as Client::request.
sub get {
    my ($path, %o) = @_;
    my $c = client($o{port}, $o{tls} ? (tls => $o{tls}) : ());
    my $res = $c->request($path, close => 1, %o);
    $c->close;
    return $res;
}

# mod_status's machine-readable page as a hash, empty if none could be had in time.
sub status {
    my $c = MPMX::Client->new(port => port(), timeout => seconds(5));
    return status_on($c);
}

# The same over a connection that exists already: asking does not change the connection count.
sub status_on {
    my $c = shift;
    my $res = $c->{error} ? { body => '' } : $c->request('/server-status?auto', timeout => seconds(5));
    return { map { /^([^:]+): (.*)/ ? ($1 => $2) : () } split /\n/, $res->{body} };
}

# Calls the code until it returns something true, which it returns; '' after so many seconds.
sub wait_until(&$) {
    my ($code, $secs) = @_;
    my $until = time + seconds($secs);
    while (1) {
        # A look may itself take long: the last one begins after the deadline.
        my $last = time > $until;
        my $got = $code->();
        return $got if $got;
        return '' if $last;
        sleep 0.05;
    }
}

# Threads that are in the middle of something, less the one that answers this question.
sub busy_workers {
    my $status = status();
    return defined $status->{BusyWorkers} ? $status->{BusyWorkers} - 1 : undef;
}

# Waits until the server has calmed down, so that one test's clients do not count in another's.
sub settle {
    return wait_until { my $busy = busy_workers(); defined $busy && $busy == 0 } 10;
}

# While something odd goes on: others get their answers, each within some seconds.
sub others_are_served {
    my ($while, $n) = @_;
    my ($served, $slowest) = (0, 0);
    for (1 .. ($n || 40)) {
        my $began = time;
        my $c = MPMX::Client->new(port => port(), timeout => seconds(5));
        my $res = $c->{error} ? { status => 0 } : $c->request('/small.bin', close => 1);
        $c->close;
        my $took = time - $began;
        $slowest = $took if $took > $slowest;
        last if $res->{status} != 200;
        ++$served;
    }
    is($served, $n || 40, "ordinary requests are served $while");
    note(sprintf 'the slowest took %.0f ms', 1000 * $slowest);
    return $served == ($n || 40);
}

# ---- what a test needs ----

# How many threads the server has, in all its children.
sub threads { return $vars->{all_threads} }

sub is_stock { return $ENV{MPMX_STOCK} ? 1 : 0 }

sub need_module {
    my $modules = Apache::Test::config()->{modules};
    for my $name (@_) {
        plan(skip_all => "httpd has no mod_$name") unless $modules->{"mod_$name.c"};
    }
    return;
}

# Path of a program, or undef.
sub tool { return Apache::TestConfig::which($_[0]) }

sub need_tool {
    for my $name (@_) {
        plan(skip_all => "$name is not installed") unless tool($name);
    }
    return;
}

sub need_tls {
    need_module('ssl');
    plan(skip_all => 'no certificate: openssl is not installed') unless $vars->{have_tls};
    plan(skip_all => 'no IO::Socket::SSL') unless eval { require IO::Socket::SSL; 1 };
    return;
}

# True for MPMs in which an idle or writing connection needs no thread.
sub is_async { return $vars->{mpm} ne 'worker' }

# Takes the reason for which an MPM that gives each connection a thread cannot have it.
sub need_async {
    my $why = shift;
    plan(skip_all => "a thread per connection: $why") unless is_async();
    return;
}

# The promise is about something that httpd's own MPMs do not know at all.
sub need_mpmx {
    plan(skip_all => 'only mpmx has this') if is_stock();
    return;
}

# ---- tools ----

# Runs a program with a deadline: (exit status, output with errors).
sub run_tool {
    my ($secs, @command) = @_;
    my $pid = open my $out, '-|';
    defined $pid or die "fork: $!\n";
    if (!$pid) {
        alarm seconds($secs);   # survives exec; SIGALRM ends the program
        $SIG{ALRM} = $SIG{PIPE} = 'DEFAULT';
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        { no warnings; exec @command }
        POSIX::_exit(127);
    }
    my $text = do { local $/; <$out> };
    close $out;
    return ($? & 127 ? -1 : $? >> 8, defined $text ? $text : '');
}

# Runs the code in n processes at once; returns what each of them returned (a string).
sub in_parallel {
    my ($n, $code) = @_;
    my @pipes;
    for my $i (0 .. $n - 1) {
        my $pid = open my $out, '-|';
        defined $pid or die "fork: $!\n";
        if (!$pid) {
            my $answer = eval { $code->($i) };
            $answer = "died: $@" if $@;
            syswrite STDOUT, defined $answer ? $answer : '';
            POSIX::_exit(0);
        }
        push @pipes, $out;
    }
    local $/;
    return map { my $text = <$_>; close $_; $text } @pipes;
}

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return $sorted[@sorted / 2];
}

# Opens n connections and runs the code with each; returns them all.
sub hold {
    my ($n, $code, @how) = @_;
    my @held;
    for (1 .. $n) {
        my $c = client(@how);
        $code->($c);
        push @held, $c;
    }
    return @held;
}

# What no test may leave in the log, whatever it did to the server.
my $BAD = qr{\[(?:[\w-]+:)?(?:emerg|alert|crit)\]|exit\ signal|\bassert|core\ dump
             |(?:Address|Leak|Thread|UndefinedBehavior|Memory)Sanitizer|runtime\ error:}xi;

sub check_log {
    my @allow = @_;
    open my $in, '<', error_log() or return fail('the error log can be read');
    seek $in, $log_start, 0;
    my @bad;
    while (my $line = <$in>) {
        push @bad, $line if $line =~ $BAD && !grep { $line =~ $_ } @allow;
    }
    close $in;
    if (my $prefix = $ENV{MPMX_SANITIZER_LOG}) {
        push @bad, map { "sanitizer report: $_" } glob "\Q$prefix\E*";
    }
    ok(!@bad, 'the error log is clean');
    diag($_) for @bad[0 .. ($#bad > 19 ? 19 : $#bad)];
    return;
}

# The end of every test; takes patterns of lines that this test may leave in the log.
sub done {
    my @allow = @_;
    !is_async() || settle() or diag('the server is still busy at the end of the test');
    check_log(@allow);
    done_testing();
    return;
}

1;
