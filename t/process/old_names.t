# Directives that httpd 2.2 had and users still have in their files are taken by
# the MPM that had them, with one notice for each name and reading of the file, which
# tells how it is written today: on the terminal at -t and at start, in the
# error log when the file is read again. Other MPMs do not know them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

plan skip_all => 'httpd has given most of them up' if MPMX::Server->is_stock;

my $single = MPMX::Server::single();
# Name, a value, what the notice says for it.
my @old = (
    ['MaxClients', '16', qr/\bMaxClients\b.*\bMaxRequestWorkers\b/],
    ['AcceptMutex', 'flock', qr/\bAcceptMutex\b.*\bMutex \S+ mpm-accept\b.*\bno effect\b/],
    ['LockFile', 'logs/accept.lock', qr/\bLockFile\b.*\bMutex file:\S+ mpm-accept\b.*\bno effect\b/],
);
my @windows = (['Win32DisableAcceptEx', '', qr/\bWin32DisableAcceptEx\b.*AcceptFilter http none\b.*AcceptFilter https\s+none\b/]);
my ($ours, $not_ours) = $single ? (\@windows, \@old) : (\@old, \@windows);

my $srv = MPMX::Server->new(handlers => 1, sizing => { MaxRequestWorkers => $single ? 16 : undef });

sub notices {
    my ($text, $name) = @_;
    # Lines about the name, but not those that show the command line or a file's name.
    return grep { /\b$name\b/ } split /\n/, $text;
}

for my $old (@$ours) {
    my ($name, $value, $says) = @$old;
    my ($rc, $out) = $srv->check_config("$name $value");
    is($rc, 0, "$name: accepted") or diag($out);
    my @lines = notices($out, $name);
    is(scalar @lines, 1, "$name: one notice at -t") or diag($out);
    like("@lines", $says, "$name: which tells how it is written today");
    ($rc, $out) = $srv->check_config("$name $value\n" x 3);
    is(scalar(notices($out, $name)), 1, "$name: one notice if it is there three times") or diag($out);
    ($rc, $out) = $srv->check_config("<VirtualHost *:80>\n$name $value\n</VirtualHost>");
    isnt($rc, 0, "$name in <VirtualHost>: refused");
    like($out, qr/\b$name\b.*VirtualHost/s, 'and the message says why') or diag($out);
}
for my $old (@$not_ours) {
    my ($name, $value) = @$old;
    my ($rc, $out) = $srv->check_config("$name $value");
    isnt($rc, 0, "$name: this MPM never had it");
    like($out, qr/Invalid command '$name'/, 'and httpd says that nobody knows it') or diag($out);
}

# Wrong values were errors then, and are.
my $known = qr/default.*flock.*fcntl.*sysvsem.*posixsem.*pthread/s;
for my $value ($single ? () : ('flok', 'file:/tmp', '1')) {
    my ($rc, $out) = $srv->check_config("AcceptMutex $value");
    isnt($rc, 0, "AcceptMutex $value: refused");
    like($out, qr/AcceptMutex\b.*'\Q$value\E'.*$known/s, 'and the message names directive, value and what is allowed') or diag($out);
}
if ($single) {
    my ($rc, $out) = $srv->check_config('Win32DisableAcceptEx Off');
    isnt($rc, 0, 'Win32DisableAcceptEx Off: refused');
    like($out, qr/Win32DisableAcceptEx takes no arguments/, 'and the message says why') or diag($out);
}
for my $value ($single ? () : qw(default flock fcntl sysvsem posixsem pthread FLOCK)) {
    my ($rc, $out) = $srv->check_config("AcceptMutex $value");
    is($rc, 0, "AcceptMutex $value: accepted") or diag($out);
}
for my $line ($single ? () : ('AcceptMutex', 'LockFile', 'LockFile a b', 'MaxClients')) {
    my ($rc, $out) = $srv->check_config($line);
    isnt($rc, 0, "'$line', a wrong number of values: refused");
}

# These are still written so; MaxRequestsPerChild is core's.
for my $line ('Mutex file:@DIR@/run mpm-accept', 'Mutex sysvsem mpm-accept', 'Mutex default mpm-accept', 'MaxRequestsPerChild 100') {
    my ($rc, $out) = $srv->check_config($line);
    is($rc, 0, "$line: accepted") or diag($out);
}

# A server with all of them. The first reading is the terminal's, all later ones are the log's; but a
# daemon has no log yet when it reads the second time.
sub limits {
    my %is = $srv->get('/mpmxt/query')->{body} =~ /^(\d+)=(\S+)/mg;
    return $is{6} * $is{12};
}
my $lines = join "\n", 'Mutex file:@DIR@/run mpm-accept', map { "$_->[0] $_->[1]" } @$ours;
$srv->configure(conf => $lines);
for my $mode (qw(daemon foreground)) {
    $srv->stop if $srv->running;
    $srv->write('logs/error.log', '');
    $srv->start(mode => $mode);
    my $out = $mode eq 'daemon' ? $srv->{start_output} : $srv->read('logs/console.out');
    for my $old (@$ours) {
        my ($name, undef, $says) = @$old;
        is(scalar(notices($out, $name)), 1, "$mode, $name: one notice on the terminal at start") or diag($out);
        my @logged = notices($srv->error_log, $name);
        is(scalar @logged, $mode eq 'daemon' ? 0 : 1, "$mode, $name: in the log for the second reading") or diag($srv->error_log);
        like($logged[0], qr/\[mpm_${\ MPMX::Server::mpm()}:notice\].*$says/, "$mode, $name: as a notice of this MPM") if @logged;
    }
}
is(limits(), 16, $single ? 'sizes are as configured' : 'MaxClients limits as MaxRequestWorkers does');
for my $sig (qw(USR1 HUP)) {
    my %before = map { $_->[0] => scalar(notices($srv->error_log, $_->[0])) } @$ours;
    ok($srv->renewed_by($sig), "$sig: restarted");
    is(scalar(notices($srv->error_log, $_->[0])), $before{ $_->[0] } + 1, "$sig: one notice about $_->[0]") for @$ours;
}
is(limits(), 16, 'as before');
ok(!-e $srv->path('logs/accept.lock'), 'no lock file was made');
$srv->configure(conf => '');
my $before = join '', map { notices($srv->error_log, $_->[0]) } @$ours;
ok($srv->renewed_by('USR1'), 'without them');
is(join('', map { notices($srv->error_log, $_->[0]) } @$ours), $before, 'there are no notices');

$srv->finish;
done_testing;
