# Every directive of the MPM is in the manual and in both example configurations, commented out or
# not; manual and examples name none that does not exist; defaults and limits in the manual, and
# values in the examples, are those of the code.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
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
my (%default, %most);
while ($limits_code =~ /\{ "(\w+)",\s*AT\((\w+)\),\s*\d+,\s*(-?\w+),/g) {
    my ($name, $member, $most) = ($1, $2, $3);
    $default{$name} = value_of($member_value{$member} // '');
    $most{$name} = $most eq '0' ? $policy{max_server_limit} : $most eq '-1' ? $policy{max_thread_limit}
                 : value_of($most);          # undef: INT_MAX, not worth a word
}
cmp_ok(scalar(grep { defined } values %default), '>=', 8, 'defaults are found in the code');
if (defined $member_value{worker_factor16}) {
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

is_deeply([ grep { !$manual{$_} } @ours ], [], 'every directive is in the manual');
my %is_ours = map { $_ => 1 } @ours;
is_deeply([ grep { !$is_ours{$_} && !too_old($manual{$_}) } sort keys %manual ], [],
          'the manual describes none that does not exist');

for my $name (sort keys %manual) {
    my ($row, $text) = @{ $manual{$name} }{qw(row text)};
    my @missing = grep { !$row->{$_} } qw(Description Syntax Context Status Module);
    is("@missing", '', "$name: its table is complete");
    like($row->{Syntax}, qr/^`$name /, "$name: the syntax begins with its name");
    is($row->{Context}, 'server config', "$name: the context is the whole server");
    is($row->{Status}, 'MPM', "$name: its status");
    like($text, qr/\w/, "$name: is explained");
    is($row->{Default}, "`$name $default{$name}`", "$name: the default is that of the code")
        if defined $default{$name};
    # A default that cannot be looked up must at least be possible to read.
    like($row->{Default} || 'none', qr/^(?:`$name \S+`|n\w+\b.*)$/, "$name: the default can be read");
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

# --- what the examples say ---

# A commented directive has no space behind its #, a comment has one.
for my $file ("build/conf/mpmx_$mpm.conf", 'build/conf/mpmx-httpd.conf') {
    my (%example, %said);
    for (split /\n/, slurp($file)) {
        next unless /^\s*#?([A-Z]\w*)\s+(\S.*?)\s*$/;
        $example{$1} = $2;
        ++$said{$1};
    }
    # What is deprecated is no example.
    my @wanted = grep { $manual{$_} && $manual{$_}{row}{Description} !~ /\bdeprecated\b/ } @ours;
    is_deeply([ grep { !exists $example{$_} } @wanted ], [], "$file has every directive");
    my @strange = grep { !$file_of{$_} && !($manual{$_} && too_old($manual{$_})) } sort keys %example;
    is("@strange", '', "$file has none that does not exist");
    for my $name (grep { defined $default{$_} && exists $example{$_} } sort keys %default) {
        is($example{$name}, $default{$name}, "$file: $name has its default");
        is($said{$name}, 1, "$file: $name is there once");
    }
}

done_testing;
