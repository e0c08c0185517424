# `make install` puts the DSO of each MPM where httpd's apxs says, readable for everybody, says which
# LoadModule lines there are, and touches no other file: nothing is activated, no stock module is
# overwritten, and a server that runs with an earlier copy keeps what it has mapped. `make uninstall`
# takes the same files away. With DESTDIR both happen below that directory.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp ();
use Test::More;
use MPMX::Examples;
use MPMX::Server;
use MPMX::Server::Proc;
use MPMX::Server::Toolchain;

plan skip_all => 'not about the stock MPMs' if MPMX::Server->is_stock;

my $top = MPMX::Server::Toolchain::top();
my @mpms = MPMX::Examples::mpms();
my @files = map { "mod_mpmx_$_.so" } @mpms;
my $make = (grep { defined && qx{$_ --version 2>/dev/null} =~ /^GNU Make/ }
            map { MPMX::Server::Toolchain::find_program($_) } qw(gmake make))[0];
plan skip_all => 'no GNU make' unless $make;
plan skip_all => 'not everything is built' if grep { !-e "$top/out/$_" } @files;

# A copy of what make needs, with what is built: nobody else's build is disturbed.
my $dir = File::Temp::tempdir('mpmx-XXXXXX', TMPDIR => 1, CLEANUP => 1);
mkdir "$dir/$_" for 'tree', 'tree/out', 'tree/out/obj';
plan skip_all => 'cannot copy the tree' if system('cp', '-Rp', "$top/Makefile.unix", "$top/build", "$top/modules", "$dir/tree")
    || system('cp', '-Rp', (map { "$top/out/$_" } @files), "$dir/tree/out")
    || system('cp', '-Rp', glob("$top/out/obj/*"), "$dir/tree/out/obj");
# What the caller's make and shell have said is not meant for this one.
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL POLLER SANITIZE DEBUG DESTDIR MPMS)};

sub make {
    my @arguments = @_;
    my $out = qx{cd "$dir/tree" && "$make" --no-print-directory -f Makefile.unix @arguments 2>&1 </dev/null};
    return ($?, $out);
}

# name => [inode, mode, content] of what is in a directory
sub content {
    my ($where) = @_;
    my %found;
    for my $file (glob("$where/*")) {
        my ($inode, $mode) = (stat $file)[1, 2];
        (my $name = $file) =~ s{.*/}{};
        $found{$name} = [$inode, sprintf('%o', $mode & 07777), MPMX::Server::Proc::slurp($file)];
    }
    return \%found;
}

# Files of others, and an earlier copy of one of ours.
sub furnish {
    my ($where) = @_;
    for my $name ('mod_mpm_event.so', 'mod_mpm_worker.so', 'mod_alias.so', $files[0]) {
        open(my $fh, '>', "$where/$name") or die "$where/$name: $!\n";
        print $fh "this is $name\n";
        close $fh;
    }
    # As a server that runs with it would.
    open(my $held, '<', "$where/$files[0]") or die "$where/$files[0]: $!\n";
    return ($held, content($where));
}

sub check {
    my ($how, $where, @arguments) = @_;
    my ($held, $before) = furnish($where);

    my ($rc, $out) = make('install', @arguments);
    is($rc, 0, "$how: make install") or diag($out);
    my $after = content($where);
    is(join(' ', sort keys %$after), join(' ', sort keys %{ { %$before, map { $_ => 1 } @files } }),
       "$how: the files of the MPMs are there, and no others");
    for my $mpm (@mpms) {
        my $file = "mod_mpmx_$mpm.so";
        ok($after->{$file}[2] eq MPMX::Server::Proc::slurp("$dir/tree/out/$file"), "$how: $file is what was built");
        like($after->{$file}[1], qr/^(?:644|755)$/, "$how: $file can be read by everybody");
        like($out, qr{^\s+LoadModule mpm_${mpm}_module \S+/\Q$file\E$}m, "$how: the line for $mpm is shown");
    }
    my @changed = grep { "@{ $before->{$_} }" ne "@{ $after->{$_} || [] }" } grep { $_ ne $files[0] } keys %$before;
    is("@changed", '', "$how: files of others are as they were");
    is(scalar <$held>, "this is $files[0]\n", "$how: a server keeps the copy that it runs with");

    ($rc, $out) = make('uninstall', @arguments);
    is($rc, 0, "$how: make uninstall") or diag($out);
    is(join(' ', sort keys %{ content($where) }), join(' ', sort grep { $_ ne $files[0] } keys %$before),
       "$how: our files are gone, and no others");
    return;
}

# --- with DESTDIR ---

my $libexec = MPMX::Server::Toolchain::apxs_query('LIBEXECDIR');
my $apxs = MPMX::Server::Toolchain::apxs();
is(system('mkdir', '-p', "$dir/stage$libexec"), 0, 'a directory to install below');
check('DESTDIR', "$dir/stage$libexec", qq{APXS="$apxs" DESTDIR="$dir/stage"});
my ($rc) = make('install', qq{APXS="$apxs" DESTDIR="$dir/empty"});
is($rc, 0, 'DESTDIR need not have the directories');
is(join(' ', sort keys %{ content("$dir/empty$libexec") }), join(' ', sort @files), 'they are made');

# --- for real: a copy of apxs that knows another module directory ---

SKIP: {
    my $build = MPMX::Server::Toolchain::apxs_query('installbuilddir');
    my $script = MPMX::Server::Proc::slurp($apxs);
    skip 'apxs is not the script that it used to be', 1
        unless defined $script && -e "$build/config_vars.mk"
            && $script =~ s{^my \$installbuilddir = ".*?";}{my \$installbuilddir = "$dir/build";}m;
    is(system('cp', '-R', $build, "$dir/build"), 0, 'its files can be copied');
    mkdir "$dir/modules";
    my $vars = MPMX::Server::Proc::slurp("$dir/build/config_vars.mk");
    $vars =~ s{^((?:exp_)?libexecdir)\s*=.*}{$1 = $dir/modules}mg;
    for (["$dir/build/config_vars.mk", $vars], ["$dir/apxs", $script]) {
        my ($file, $text) = @$_;
        open(my $fh, '>', $file) or die "$file: $!\n";
        print $fh $text;
        close $fh;
    }
    chmod 0755, "$dir/apxs";
    my $says = qx{"$dir/apxs" -q LIBEXECDIR};
    chomp $says;
    is($says, "$dir/modules", 'this apxs knows another directory') or skip 'it does not work as a copy', 1;
    check('apxs', "$dir/modules", qq{APXS="$dir/apxs"});
}

done_testing;
