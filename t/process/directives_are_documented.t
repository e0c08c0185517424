# Every directive of the MPM is in the manual and in both example configurations, commented out or
# not; manual and examples name none that does not exist; defaults and limits in the manual, and
# values in the examples, are those of the code. Every numbered message of the MPM is in the manual,
# and the manual numbers none otherwise.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Examples;
use MPMX::Server;
use MPMX::Server::Toolchain;

plan skip_all => 'the manual is about the MPMs of mpmx' if MPMX::Server->is_stock;

my $mpm = MPMX::Server::mpm();
my $top = MPMX::Server::Toolchain::top();
my ($page, $common) = ("docs/mod_mpmx_$mpm.md", 'docs/common-directives.md');

sub slurp {
    my ($name) = @_;
    open(my $fh, '<', "$top/$name") or die "$name: $!\n";
    local $/;
    return scalar <$fh>;
}

# --- what there is: the lists that httpd prints ---

my ($rc, $listing) = MPMX::Server->new->httpd('-L');
is($rc, 0, 'httpd -L lists the directives') or diag($listing);
my %file_of = $listing =~ /^<?(\w+) \((\w+\.c)\)$/mg;
my $policy_file = $mpm eq 'winnt' ? 'mpm_winnt.c' : "$mpm.c";
my @ours = sort grep { $file_of{$_} eq $policy_file } keys %file_of;
cmp_ok(scalar @ours, '>=', 5, 'the MPM has directives');

# --- what the code says about defaults and limits ---

my $limits_code = slurp('modules/common/directives.c');
my $policy_code = slurp("modules/$mpm/$policy_file");
my %policy = $policy_code =~ /\.(\w+)\s*=\s*(\d+)/g;
my %macro = $limits_code =~ /^#define\s+(\w+)\s+(\d+)\s*$/mg;

# The value of a product of numbers, macros and members of the policy; undef for anything else.
sub value_of {
    my ($expression) = @_;
    my $product = 1;
    for my $factor (split /\s*\*\s*/, $expression) {
        my $value = $factor =~ /^\d+$/ ? $factor
                  : $factor =~ /^policy->(\w+)$/ ? $policy{$1} : $macro{$factor};
        return undef unless defined $value;
        $product *= $value;
    }
    return $product;
}

my ($reset) = $limits_code =~ /^void mpmx_directives_reset\(.*?\n\{(.*?)^\}/ms;
my %member_value = $reset =~ /^\s+conf->(\w+) = ([^;]+);$/mg;
my %is_ours = map { $_ => 1 } @ours;
my (%default, %most, %known);
while ($limits_code =~ /\{ "(\w+)",\s*AT\((\w+)\),\s*\d+,\s*(-?\w+),/g) {
    my ($name, $member, $most) = ($1, $2, $3);
    $known{$name} = 1;
    next unless $is_ours{$name};
    $default{$name} = value_of($member_value{$member} // '');
    $most{$name} = $most eq '0' ? $policy{max_server_limit} : $most eq '-1' ? $policy{max_thread_limit}
                 : value_of($most);          # undef: INT_MAX, not worth a word
}
cmp_ok(scalar keys %known, '>=', 8, 'numbers are found in the code');
is_deeply([ grep { !defined $default{$_} } sort keys %default ], [], 'each with its default');
if ($is_ours{AsyncRequestWorkerFactor}) {
    $default{AsyncRequestWorkerFactor} = value_of($member_value{worker_factor16}) / $macro{FACTOR_SCALE};
    $most{AsyncRequestWorkerFactor} = $macro{FACTOR_MAX};
}
# These are httpd's own; its headers have their values, in some versions.
my $headers = MPMX::Server::Toolchain::apxs_query('INCLUDEDIR') . '/mpm_common.h';
my $header = -r $headers ? MPMX::Server::Proc::slurp($headers) : '';
($default{ListenBacklog}) = $header =~ /^#define\s+DEFAULT_LISTENBACKLOG\s+(\d+)/m;
($default{ListenTCPDeferAccept}) = $header =~ /^#define\s+DEFAULT_TCP_DEFER_ACCEPT\s+(\d+)/m;

# --- what the manual says ---

# The sections that describe a directive: name => { text, and the rows of its table }.
sub sections {
    my ($file) = @_;
    my %found;
    for my $section (split /^(?=## )/m, slurp($file)) {
        my ($name, $rows, $text) = $section =~ /\A## (\w+)\n\n((?:\|[^\n]*\n)+)(.*)\z/s or next;
        my %row = $rows =~ /^\| (\w+) \| (.*?) \|$/mg;
        next unless exists $row{Syntax};
        ok(!$found{$name}, "$file: $name is described once");
        $found{$name} = { file => $file, text => $text, row => \%row };
    }
    return %found;
}

my %here = sections($page);
my %shared = sections($common);
my @twice = grep { $shared{$_} } keys %here;
is("@twice", '', 'no directive is described on both pages');
my %manual = (%shared, %here);
for my $name (keys %manual) {
    delete $manual{$name} unless $manual{$name}{row}{Module} =~ /\bmpm_$mpm\b/;
}

# Is this version of httpd older than the directive?
sub too_old {
    my ($section) = @_;
    my ($minor) = ($section->{row}{Compatibility} || '') =~ /\bhttpd 2\.4\.(\d+) and later/ or return 0;
    return MPMX::Server::Toolchain::httpd_version() < 2_004_000 + $minor;
}

# `X 1`, or a list of such where MPMs differ: `X 1` (event, worker), `X 2` (winnt)
my $of_some = qr/ \(\w+(?:, \w+)*\)/;

sub default_in {
    my ($row, $name) = @_;
    my @pairs = ($row || '') =~ /(`$name [^`]+`)( \([\w, ]+\))?/g;
    while (my ($default, $mpms) = splice @pairs, 0, 2) {
        return $default if !defined $mpms || $mpms =~ /\b$mpm\b/;
    }
    return undef;
}

is_deeply([ grep { !$manual{$_} } @ours ], [], 'every directive is in the manual');
is_deeply([ grep { !$is_ours{$_} && !too_old($manual{$_}) } sort keys %manual ], [],
          'the manual describes none that does not exist');

for my $name (sort keys %manual) {
    my ($row, $text) = @{ $manual{$name} }{qw(row text)};
    my @missing = grep { !$row->{$_} } qw(Description Syntax Context Status Module);
    is("@missing", '', "$name: its table is complete");
    like($row->{Syntax}, qr/^`$name[ `]/, "$name: the syntax begins with its name");
    is($row->{Context}, 'server config', "$name: the context is the whole server");
    is($row->{Status}, 'MPM', "$name: its status");
    like($text, qr/\w/, "$name: is explained");
    is(default_in($row->{Default}, $name), "`$name $default{$name}`", "$name: the default is that of the code")
        if defined $default{$name};
    # A default that cannot be looked up must at least be possible to read.
    like($row->{Default} || 'none', qr/^(?:`$name \S+`|`$name \S+`$of_some(?:, `$name \S+`$of_some)+|n\w+\b.*)$/,
         "$name: the default can be read");
    like($text, qr/\b$most{$name}\b/, "$name: the largest value is named") if defined $most{$name};
}

# The list on the MPM's own page: | [Name](link) | `default` | ...
my ($list) = slurp($page) =~ /^## Directives\n(.*?)(?=^## )/ms;
ok($list, "$page has a list of directives") or $list = '';
my %listed = $list =~ /^\| \[(\w+)\]\([^)]*\) \| (.*?) *\|/mg;
my %link = $list =~ /^\| \[(\w+)\]\(([^)]*)\)/mg;
is_deeply([ sort keys %listed ], [ sort keys %manual ], 'it has those that are described');
for my $name (sort keys %listed) {
    my $target = ($here{$name} ? '' : 'common-directives.md') . '#' . lc $name;
    is($link{$name}, $target, "$name: the list leads to it");
    is($listed{$name}, "`$default{$name}`", "$name: default in the list") if defined $default{$name};
}

# Directives of others that the manual explains: | `Name`, `Name` | ...
my ($core) = slurp($common) =~ /^## Directives of the core\n(.*?)(?=^## |\z)/ms;
ok($core, "$common has a list of the core's directives") or $core = '';
my @core = map { /`(\w+)`/g } $core =~ /^\| (`.*?) \|/mg;
cmp_ok(scalar @core, '>=', 5, 'with names');
# httpd has it only if it was built so
my @unknown = grep { !$file_of{$_} && $_ ne 'EnableExceptionHook' } @core;
is("@unknown", '', 'all of them exist');
my @claimed = grep { $is_ours{$_} } @core;
is("@claimed", '', 'and none is ours');

# Names of httpd 2.2 (and MaxClients): httpd takes what the manual says that they are followed by, and
# tells the present name that the manual tells, too.
my $checked = MPMX::Server->new;
my @old = grep { $manual{$_} && $manual{$_}{row}{Description} =~ /\bdeprecated\b/ } @ours;
cmp_ok(scalar @old, '>=', 1, 'there are old names');
for my $name (@old) {
    my ($alternatives) = $manual{$name}{row}{Syntax} =~ /^`$name ?(.*)`$/;
    for my $value ($alternatives eq '' ? '' : split /\\\|/, $alternatives) {
        $value = 100 if $value eq 'number';
        my ($rc, $out) = $checked->check_config("$name $value");
        is($rc, 0, "$name $value: as in the manual") or diag($out);
        my ($present) = $out =~ /\b$name is (?:now spelt "|the old name of )(\w+)/;
        ok($present, "$name: httpd tells the present name") or diag($out);
        like(join(' ', $manual{$name}{text}, %{ $manual{$name}{row} }), qr/\b$present\b/,
             "$name: which is in the manual") if $present;
    }
}
$checked->remove;

# --- what the examples say ---

for my $file (MPMX::Examples::debian_conf($mpm), MPMX::Examples::plain_conf()) {
    my (%example, %said);
    for (MPMX::Examples::directives($file, $mpm)) {
        my ($name, $value) = @$_;
        $example{$name} = $value;
        ++$said{$name};
    }
    # What is deprecated is no example.
    my %is_old = map { $_ => 1 } @old;
    is_deeply([ grep { !exists $example{$_} && !$is_old{$_} } @ours ], [], "$file has every directive");
    is_deeply([ grep { exists $example{$_} } @old ], [], "$file has none of those that are deprecated");
    my @strange = grep { !$file_of{$_} && !($manual{$_} && too_old($manual{$_})) } sort keys %example;
    is("@strange", '', "$file has none that does not exist");
    for my $name (grep { defined $default{$_} && exists $example{$_} } sort keys %default) {
        is($example{$name}, $default{$name}, "$file: $name has its default");
        is($said{$name}, 1, "$file: $name is there once");
    }
}

# --- messages ---

# AH numbers, as five digits, of a text; ranges filled in.
sub numbers_in {
    my ($text) = @_;
    my %found;
    while ($text =~ /\bAH(\d{5})\b(?:` to `AH(\d{5}))?/g) {
        $found{ sprintf '%05d', $_ } = 1 for $1 .. $2 || $1;
    }
    return \%found;
}

my ($table) = slurp($page) =~ /^## Messages\n(.*?)(?=^## )/ms;
ok($table, "$page has a list of messages") or $table = '';
my $explained = numbers_in($table);
my %number = $policy_code =~ /\[MPMX_AH_(\w+)\] = (\d+)/g;
$_ = sprintf '%05d', $_ for values %number;
cmp_ok(scalar keys %number, '>=', 15, "$policy_file has numbers");
# Where there is one child none is ever added, and MaxRequestWorkers has no name, old or new.
delete $number{BUSY} if $policy{single};
my $first = delete $number{FIRST_CLAMP};
my @clamps = map { [ $limits_code =~ /$_/g ] } qr/\b(?:at_most|at_least_one|unchanged)\(&?to, (\d+), "(\w+)"/,
                                               qr/\bwarn\(to, (\d+), what\)()/;
while (my ($nth, $name) = splice @{ $clamps[0] }, 0, 2) {
    $number{"$name, $nth"} = sprintf '%05d', $first + $nth if $is_ours{$name};
}
while (my ($nth) = splice @{ $clamps[1] }, 0, 2) {
    $number{"MaxRequestWorkers, $nth"} = sprintf '%05d', $first + $nth if $is_ours{MaxRequestWorkers};
}
is_deeply([ map { "$_: AH$number{$_}" } grep { !$explained->{ $number{$_} } } sort keys %number ], [],
          'the manual explains each of them');

# What all MPMs say under one number is explained on the page of event.
my %shared_number;
for my $file (glob("$top/modules/common/*.c $top/modules/common/unix/*.c")) {
    $shared_number{$_} = 1 for MPMX::Server::Proc::slurp($file) =~ /\bAPLOGNO\((\d{5})\)/g;
}
my $of_event = numbers_in(slurp('docs/mod_mpmx_event.md'));
is_deeply([ grep { !$of_event->{$_} } sort keys %shared_number ], [], 'and those that all MPMs have');

# A message that is not there any more would be looked for in vain. Those of httpd's core that the
# manual points to; and the form for the error log of a warning has the next number.
my %there = map { $_ => 1 } values %number, keys %shared_number, qw(00051 00052 00095 00534);
$there{ sprintf '%05d', $first + $_ } = 1 for 0 .. 23;
is_deeply([ grep { !$there{$_} } sort keys %{ numbers_in(slurp($page)) } ], [],
          'the manual has no other numbers');

done_testing;
