# The benchmark (t/bench/) does what it says, in its shortest form: it measures the MPM and the stock
# one beside it, writes a table and a picture that name both, and leaves no process behind. What the
# figures are is nobody's promise here.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../bench/lib";
use File::Temp ();
use Test::More;
use Bench::Figures qw(median percentile ratio spread);
use MPMX::Server;
use MPMX::Server::Proc;
use MPMX::Server::Toolchain;

my $mpm = MPMX::Server->mpm;
my $rival = $mpm eq 'winnt' ? 'worker' : $mpm;
my $rival_so = MPMX::Server::Toolchain::httpd_module("mpm_$rival");
plan skip_all => 'it compares ours with the stock MPMs' if MPMX::Server->is_stock;
plan skip_all => 'figures of a build with sanitizers are of no use' if $ENV{MPMX_PRELOAD};
plan skip_all => "this httpd has no stock $rival" unless $rival_so;
plan skip_all => 'no proportional set sizes in /proc' unless -r '/proc/self/smaps_rollup';

is(median(5, 1, 3), 3, 'median of three');
is(median(4, 1, 2, 3), 2.5, 'median of four');
is(median(), undef, 'no median of nothing');
is(percentile([1 .. 100], 99), 99, '99th percentile');
is(percentile([7], 50), 7, 'percentile of one value');
is(ratio([2, 9, 4], [4, 3, 8]), 0.5, 'ratio: the median of those of the rounds');
is(spread(90, 100, 110), 10, 'spread: half of the distance from least to most');

my $dir = File::Temp::tempdir('mpmx-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
mkdir "$dir/$_" or die "$dir/$_: $!\n" for qw(work out);
open(my $common, '>', "$dir/common.conf") or die "$dir/common.conf: $!\n";
print $common MPMX::Server::user_lines(), "TypesConfig /dev/null\n",
    map { MPMX::Server::Toolchain::load_line($_) || '' } qw(unixd authz_core mime dir);
close $common or die "$dir/common.conf: $!\n";

$ENV{PERL5LIB} = '';
delete $ENV{$_} for grep { /^BENCH_/ } keys %ENV;
@ENV{qw(BENCH_ROUNDS BENCH_SECONDS BENCH_WARM BENCH_RATE BENCH_IDLE BENCH_IDLE_SECONDS)} = (2, 0.5, 0.2, 200, 30, 0.2);

sub bench {
    my @arguments = @_;
    my @command = ($^X, "$FindBin::Bin/../bench/compare.pl", '--httpd', MPMX::Server::Toolchain::httpd(),
        '--common', "$dir/common.conf", '--work', "$dir/work", '--out', "$dir/out", @arguments);
    my $pid = open(my $from, '-|');
    die "fork: $!\n" unless defined $pid;
    if (!$pid) {
        open(STDERR, '>&', \*STDOUT);
        exec @command or POSIX::_exit(127);
    }
    my $said = do { local $/; <$from> };
    close $from;
    return ($? >> 8, $said);
}

my @servers = map { ('--server', $_) } "$rival=$rival_so", "$mpm=" . MPMX::Server::Toolchain::mpm_so();
my ($rc, $said) = bench(@servers, 'nosuch');
isnt($rc, 0, 'an unknown scenario: refused');
like($said, qr/no scenario 'nosuch', only: .*\bkeepalive\b/, 'which ones there are is said');

($rc, $said) = bench(@servers, 'steady', 'idle');
is($rc, 0, 'steady load and idle connections are measured') or diag($said);
is_deeply([ MPMX::Server::Proc::with_text("$dir/work/") ], [], 'no process is left behind');
my ($table_file, @more) = glob("$dir/out/*.md");
my ($picture_file, @more_pictures) = glob("$dir/out/*.svg");
ok(defined $table_file && !@more, 'one table');
ok(defined $picture_file && !@more_pictures, 'one picture');
my ($table, $picture) = map { my $text = defined $_ ? MPMX::Server::Proc::slurp($_) : ''; $text } $table_file, $picture_file;

# ---- the table

ok(index($said, $table) >= 0 && length $table, 'the table is also printed');
like($table, qr/^\* CPU: \d+ cores, .*^\* System: .*^\* Server: Apache\/.*^\* Settings: 2 rounds of 0\.5 s/ms, 'machine and settings are in it');
my ($picture_name) = ($picture_file || '') =~ m{([^/]+)\z};
like($table, qr/^!\[[^]]+\]\(\Q$picture_name\E\)$/m, 'and the picture');
like($table, qr/^\| what +\| +stock $rival \| +mpmx $mpm \|$/m, 'it has an overview');
my %section = map { /^(.+)\n/ ? ($1 => $_) : () } split /^## /m, $table;
for my $title ('Steady load', 'Memory per idle keep-alive connection') {
    my @rows = map { [ split /\s*\|\s*/ ] } grep { /^\|/ } split /\n/, $section{$title} || '';
    is(scalar @rows, 4, "$title: a head, a rule and two servers") or diag($table);
    my %columns = map { scalar @$_ => 1 } map { [ grep { $_ ne '' } @$_ ] } @rows[0, 1];
    is(scalar keys %columns, 1, "$title: the rule fits the head");
    my ($stock, $ours) = @rows[2, 3];
    is($stock->[1], "stock $rival", "$title: the stock MPM");
    is($ours->[1], "mpmx $mpm", "$title: ours");
    is(scalar @$ours, scalar @{ $rows[0] }, "$title: our row has a figure in each column");
    is(scalar(grep { !/^-?[\d.]+(?: of \d+)?(?: \(\+-\d+%\))?$/ } @$ours[2 .. $#$ours]), 0, "$title: nothing but figures")
        or diag("@$ours");
}
like($section{'Memory per idle keep-alive connection'}, qr/^\| mpmx $mpm .* 30 of 30 \|$/m, 'all idle connections are served');

# ---- the picture

# The names of what is open; a message about what is wrong.
sub malformed {
    my ($text) = @_;
    my @open;
    while ($text =~ /\G([^<]*)<([^>]*)>/gc) {
        my ($between, $tag) = ($1, $2);
        return "'$between' is not escaped" if $between =~ /&(?!amp;|lt;|gt;|quot;)/;
        if ($tag =~ m{^/(\w+)$}) { return "</$1> closes nothing" unless @open && pop @open eq $1 }
        elsif ($tag =~ m{^(\w+)(?:\s+[\w:-]+="[^"<&]*")*(/?)$}) { push @open, $1 unless $2 }
        else { return "<$tag>" }
    }
    return @open ? "<@open> not closed" : substr($text, pos $text || 0) =~ /\S/ ? 'text after the end' : '';
}

is(malformed($picture), '', 'the picture is well-formed');
like($picture, qr/^<svg xmlns="[^"]+" width="\d+" height="\d+" viewBox="0 0 \d+ \d+" role="img" aria-labelledby="title told">/, 'it is a picture for readers of screens, too');
like($picture, qr{<title id="title">[^<]+</title>}, 'with a title');
like($picture, qr{<desc id="told">[^<]*stock $rival [\d.]+ us.*mpmx $mpm [\d.]+ us}s, 'that tells the values');
like($picture, qr{<text [^>]*>\Q$_\E</text>}, "it names $_") for "stock $rival", "mpmx $mpm";
like($picture, qr/prefers-color-scheme: dark/, 'it has colours for dark pages');
my ($width, $height) = $picture =~ /viewBox="0 0 (\d+) (\d+)"/;
my @bars = $picture =~ /<rect class="(?:stock|mpmx)" x="(\d+)" y="(\d+)" width="([\d.]+)" height="(\d+)"/g;
is(scalar @bars, 4 * 2 * 3, 'three groups of two bars');
my $bottom = 0;
while (my ($x, $y, $w, $h) = splice @bars, 0, 4) {
    ok($w > 0 && $x + $w < $width && $y >= $bottom && $y + $h < $height, 'a bar is inside, and below the one before');
    $bottom = $y + $h;
}

done_testing();
