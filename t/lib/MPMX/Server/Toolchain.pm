package MPMX::Server::Toolchain;
# Which httpd, apxs and MPM the tests run, and the C test modules they load.
# Everything but the environment variables named below comes from apxs, so
# that another httpd is tested by MPMX_APXS=/elsewhere/bin/apxs alone.
#
#   MPMX_APXS    apxs of the httpd under test        (default: found in PATH)
#   MPMX_HTTPD   its server binary                   (default: asked from apxs)
#   MPMX_MPM     event, worker or winnt              (default: event)
#   MPMX_SO      path of the MPM's DSO               (default: out/mod_mpmx_<mpm>.so)
#   MPMX_STOCK   1: the DSO is one of httpd's own MPMs; promises that only
#                this project makes are skipped where they would do harm
use strict;
use warnings;
use Cwd ();
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use File::Spec ();

my $top = Cwd::abs_path(File::Spec->catdir(dirname(__FILE__), ('..') x 4));
my (%apxs_says, $compiled_in, $httpd_version);

sub top { return $top }

# The first executable of that name in PATH (and in the folders given).
sub find_program {
    my ($name, @more) = @_;
    for my $dir (@more, File::Spec->path) {
        next unless defined $dir && length $dir;
        my $file = File::Spec->catfile($dir, $name);
        return $file if -x $file && !-d _;
    }
    return;
}

sub apxs {
    my $apxs = $ENV{MPMX_APXS} || find_program('apxs') || find_program('apxs2');
    die "no apxs found: set MPMX_APXS\n" unless $apxs;
    return $apxs;
}

# What `apxs -q` says about one variable.
sub apxs_query {
    my ($name) = @_;
    if (!defined $apxs_says{$name}) {
        my $apxs = apxs();
        open(my $fh, '-|', $apxs, '-q', $name) or die "$apxs: $!\n";
        my $said = do { local $/; <$fh> };
        close $fh;
        $said = '' unless defined $said;
        chomp $said;
        $apxs_says{$name} = $said;
    }
    return $apxs_says{$name};
}

sub httpd {
    return $ENV{MPMX_HTTPD} if $ENV{MPMX_HTTPD};
    my $name = apxs_query('PROGNAME') || 'httpd';
    my $file = File::Spec->catfile(apxs_query('SBINDIR'), $name);
    return -x $file ? $file : (find_program($name) || die "no $name found: set MPMX_HTTPD\n");
}

# A helper of the httpd under test: ab, rotatelogs ... undef if not installed.
sub support_program {
    my ($name) = @_;
    return find_program($name, apxs_query('BINDIR'), apxs_query('SBINDIR'));
}

sub mpm { return $ENV{MPMX_MPM} || 'event' }

sub mpm_so {
    return $ENV{MPMX_SO}
        || File::Spec->catfile($top, 'out', 'mod_mpmx_' . mpm() . '.so');
}

sub is_stock { return $ENV{MPMX_STOCK} ? 1 : 0 }

# (major, minor, patch) as one comparable number: 2.4.71 is 2004071.
sub httpd_version {
    if (!defined $httpd_version) {
        my $out = qx{"${\ httpd()}" -v 2>&1};
        my ($x, $y, $z) = $out =~ m{Apache/(\d+)\.(\d+)\.(\d+)}
            or die httpd() . " -v does not tell a version: $out\n";
        $httpd_version = $x * 1_000_000 + $y * 1_000 + $z;
    }
    return $httpd_version;
}

# True if the server binary contains mod_<name>, so that it must not be loaded.
sub compiled_in {
    my ($name) = @_;
    if (!$compiled_in) {
        my $out = qx{"${\ httpd()}" -l 2>&1};
        $compiled_in = { map { $_ => 1 } $out =~ /(\w+\.c)\b/g };
    }
    return $compiled_in->{"mod_$name.c"} || $compiled_in->{"$name.c"};
}

# The path of httpd's own DSO mod_<name>.so, or undef.
sub httpd_module {
    my ($name) = @_;
    my $file = File::Spec->catfile(apxs_query('LIBEXECDIR'), "mod_$name.so");
    return -e $file ? $file : undef;
}

# The LoadModule line for mod_<name>; empty if it is compiled in, undef if
# this httpd has no such module.
sub load_line {
    my ($name) = @_;
    return '' if compiled_in($name);
    my $file = httpd_module($name) or return undef;
    return qq{LoadModule ${name}_module "$file"\n};
}

# Builds t/c-modules/<name>.c when the source, or the httpd it was built for,
# changed, and returns the path of the DSO.
sub c_module {
    my ($name) = @_;
    return _built('c-modules', $name, qq{"${\ apxs()}" -Wc,-Wall -Wc,-Wextra -Wc,-Wno-unused-parameter -c $name.c});
}

# The same for t/shim/<name>.c, to be loaded before httpd (LD_PRELOAD).
sub shim {
    my ($name) = @_;
    my $cc = $ENV{CC} || apxs_query('CC') || 'cc';
    return _built('shim', $name, "$cc -O2 -Wall -Wextra -pthread -fPIC -shared -o $name.so $name.c -ldl");
}

# Several tests may ask at once.
sub _built {
    my ($from, $name, $command) = @_;
    my $src = File::Spec->catfile($top, 't', $from, "$name.c");
    my $dir = File::Spec->catdir($top, 'out', 't-modules');
    my $so  = File::Spec->catfile($dir, "$name.so");
    die "no such source: $src\n" unless -e $src;
    my $stamp = join(' ', apxs(), httpd_version()) . "\n";
    return $so if _is_fresh($so, $src, "$so.for", $stamp);
    make_path($dir);
    open(my $lock, '>>', "$dir/.$name.lock") or die "$dir: $!\n";
    flock($lock, LOCK_EX) or die "cannot lock $dir: $!\n";
    # Somebody else may have built it meanwhile.
    return $so if _is_fresh($so, $src, "$so.for", $stamp);
    my $work = "$dir/$name.build";
    remove_tree($work);
    make_path($work);
    copy($src, "$work/$name.c") or die "cannot copy $src: $!\n";
    my $log = qx{cd "$work" && $command 2>&1};
    my $built = (grep { -e } "$work/.libs/$name.so", "$work/$name.so")[0];
    die "cannot build $name:\n$log\n" if $? || !$built;
    print STDERR "# $name: $_\n" for grep { /warning:/ } split /\n/, $log;
    copy($built, "$so.new") && rename("$so.new", $so) or die "cannot write $so: $!\n";
    chmod 0755, $so;
    open(my $fh, '>', "$so.for") or die "$so.for: $!\n";
    print $fh $stamp;
    close $fh;
    remove_tree($work);
    return $so;
}

sub _is_fresh {
    my ($so, $src, $for, $stamp) = @_;
    return 0 unless -e $so && (stat $so)[9] >= (stat $src)[9];
    open(my $fh, '<', $for) or return 0;
    my $was = <$fh>;
    return defined $was && $was eq $stamp;
}

1;
