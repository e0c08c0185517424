# The example configurations can be used as they are: httpd takes each, as it stands and with every
# directive in force, without a word; the server starts with it. Debian's tools refuse to switch an
# MPM of mpmx on beside another one, stock or ours, and switch between them otherwise.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp ();
use Test::More;
use MPMX::Examples;
use MPMX::Server;
use MPMX::Server::Toolchain;

plan skip_all => 'the examples are for the MPMs of mpmx' if MPMX::Server->is_stock;

my $mpm = MPMX::Server::mpm();
my @stock = qw(event worker prefork);
my %name_of = map { $_ => $_ eq 'winnt' ? 'WinNT' : $_ } MPMX::Examples::mpms();

# --- what the files for Debian load, and what they exclude ---

for my $one (MPMX::Examples::mpms()) {
    my $file = MPMX::Examples::debian_load($one);
    my @lines = split /\n/, MPMX::Examples::text($file);
    is(scalar @lines, 2, "$file has two lines");
    # a2enmod looks for exactly this form, and not behind the first line that is no comment.
    my ($conflicts) = $lines[0] =~ /^# Conflicts: (\S.*)$/;
    my @others = ((map { "mpm_$_" } @stock), map { "mpmx_$_" } grep { $_ ne $one } MPMX::Examples::mpms());
    is(join(' ', sort split ' ', $conflicts || ''), join(' ', sort @others), "$file excludes all others");
    like($lines[1], qr{^LoadModule mpm_${one}_module /\S+/mod_mpmx_$one\.so$}, "$file loads the module");
}

my %plain = map { $_->[0] => $_ } MPMX::Examples::load_lines(MPMX::Examples::plain_conf());
is(join(' ', sort keys %plain), join(' ', sort map { "mpm_${_}_module" } MPMX::Examples::mpms()),
   'the plain file has a line for each MPM');
is(scalar(grep { !$_->[2] } values %plain), 1, 'of which one is in force');
for my $one (MPMX::Examples::mpms()) {
    is($plain{"mpm_${one}_module"}[1], "modules/mod_mpmx_$one.so", "that of $one names its file");
}

# --- what httpd says to them ---

# Directives that this httpd is too old for; the comment in the file says so.
my @too_new = MPMX::Server::Toolchain::httpd_version() < 2_004_066 ? 'ListenTCPDeferAccept' : ();
my $srv = MPMX::Server->new;

for my $file (MPMX::Examples::debian_conf($mpm), MPMX::Examples::plain_conf()) {
    my $as_it_is = MPMX::Examples::text($file);
    $as_it_is =~ s/^LoadModule .*\n//mg;
    my $in_force = MPMX::Examples::uncommented($file, @too_new);
    my $left = () = $in_force =~ /^\s*#[A-Z]/mg;
    is($left, 0, "$file: every directive is in force");
    for (['as it is', $as_it_is], ['with every directive in force', $in_force]) {
        my ($how, $text) = @$_;
        my ($rc, $out) = $srv->check_config($text);
        is($rc, 0, "$file, $how: accepted") or diag($out);
        is($out, "Syntax OK\n", "$file, $how: without a word");
    }
    # Somebody else may have port 80.
    $srv->configure(conf => MPMX::Examples::uncommented($file, 'Listen', @too_new));
    $srv->start;
    is($srv->get('/index.html')->{status}, 200, "$file, with every directive in force: the server works");
    $srv->stop;
}
$srv->finish;

# --- Debian's a2enmod ---

SKIP: {
    my ($a2enmod, $a2dismod) = map { MPMX::Server::Toolchain::find_program($_, '/usr/sbin') } qw(a2enmod a2dismod);
    skip 'this system has no a2enmod', 1 unless $a2enmod && $a2dismod;

    my $dir = File::Temp::tempdir('mpmx-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    mkdir "$dir/$_" for qw(mods-available mods-enabled state);
    # Everything that these programs read or write is in there.
    local %ENV = (%ENV, APACHE_CONFDIR => $dir, APACHE_ENVVARS => "$dir/envvars", APACHE_STATE_DIRECTORY => "$dir/state");
    put("$dir/envvars", "export APACHE_STATE_DIRECTORY=$dir/state\n");
    for my $one (@stock) {
        my $others = join ' ', map { "mpm_$_" } grep { $_ ne $one } @stock;
        put("$dir/mods-available/mpm_$one.load", "# Conflicts: $others\n"
            . (MPMX::Server::Toolchain::load_line("mpm_$one") || "# this httpd has no mpm_$one\n"));
    }
    for my $one (MPMX::Examples::mpms()) {
        put("$dir/mods-available/mpmx_$one.conf", MPMX::Examples::text(MPMX::Examples::debian_conf($one)));
        my $load = MPMX::Examples::text(MPMX::Examples::debian_load($one));
        my $so = MPMX::Server::Toolchain::mpm_so();
        $load =~ s{ /\S+$}{ $so}m if $one eq $mpm;
        put("$dir/mods-available/mpmx_$one.load", $load);
    }

    for my $other ((map { "mpm_$_" } @stock), map { "mpmx_$_" } grep { $_ ne $mpm } MPMX::Examples::mpms()) {
        is((run($a2enmod, $other))[0], 0, "$other is on");
        my ($rc, $out) = run($a2enmod, "mpmx_$mpm");
        isnt($rc, 0, "mpmx_$mpm is refused then");
        like($out, qr/\b$other is enabled - cannot proceed due to conflicts/, 'and a2enmod says why');
        is(enabled(), "$other.load" . ($other =~ /^mpmx/ ? " $other.conf" : ''), 'nothing has changed');
        is((run($a2dismod, $other))[0], 0, "$other is off");
        is((run($a2enmod, "mpmx_$mpm"))[0], 0, "mpmx_$mpm can be switched on");
        is(enabled(), "mpmx_$mpm.load mpmx_$mpm.conf", 'with its configuration');
        is((run($a2dismod, "mpmx_$mpm"))[0], 0, "mpmx_$mpm is off");
        is(enabled(), '', 'with its configuration');
    }

    run($a2enmod, "mpmx_$mpm");
    my $site = MPMX::Server->new(no_mpm => 1, sizing => {});
    my $text = $site->read('httpd.conf');
    # The tools' directory before everything that the MPM has to know.
    $text =~ s{^(LoadModule|User|Listen)}{Include $dir/mods-enabled/*.load\nInclude $dir/mods-enabled/*.conf\n$1}m;
    $site->write('httpd.conf', $text);
    my ($rc, $out) = $site->httpd('-t');
    is("$rc $out", "0 Syntax OK\n", 'httpd takes what a2enmod has made');
    ($rc, $out) = $site->httpd('-V');
    like($out, qr/^Server MPM:\s+$name_of{$mpm}$/m, 'and has this MPM');
    $site->finish;
}
done_testing;

sub put {
    my ($file, $text) = @_;
    open(my $fh, '>', $file) or die "$file: $!\n";
    print $fh $text;
    close $fh or die "$file: $!\n";
    return;
}

# (exit status, what it said)
sub run {
    my @command = @_;
    my $out = qx{@command 2>&1 </dev/null};
    return ($? >> 8, $out);
}

# What is in mods-enabled, .load before .conf.
sub enabled {
    my ($dir) = $ENV{APACHE_CONFDIR};
    return join ' ', map { s{.*/}{}r } glob("$dir/mods-enabled/*.load"), glob("$dir/mods-enabled/*.conf");
}
