# A child that takes another one's place, after a crash or at MaxConnectionsPerChild,
# serves with the configuration that was read last: an edited or a broken file
# on the disk reaches it neither way. Only a restart reads the file.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my $srv = MPMX::Server->new(
    handlers => 1,
    modules  => ['alias'],
    sizing   => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 8, MaxRequestWorkers => 8,
                  MinSpareThreads => 1, MaxSpareThreads => 8 },
);
$srv->write("htdocs/$_.txt", $_) for qw(first second);
my $alias = sub { qq{Alias /is.txt "\@DIR\@/htdocs/$_[0].txt"\nMaxConnectionsPerChild 25\n} };
$srv->configure(conf => $alias->('first'));
$srv->start;

sub says { return $srv->get('/is.txt', timeout => 5)->{body} }

# What is in the file, and what ends the child.
my %file = (edited => sub { $srv->configure(conf => $alias->('second')) },
            broken => sub { $srv->write('httpd.conf', "LoadModule nonsense\n<Nothing>\n") },
            gone   => sub { unlink $srv->path('httpd.conf') });
my %end = (crash => sub { kill 'KILL', $srv->children; return },
           MaxConnectionsPerChild => sub { $srv->get('/index.html') for 1 .. 30; return });
for my $file (sort keys %file) {
    for my $end (sort keys %end) {
        my ($old) = $srv->children;
        is(says(), 'first', "$file file, $end: before");
        $file{$file}->();
        $end{$end}->();
        ok($srv->wait_for(sub { my @now = $srv->children; @now && !grep { $_ == $old } @now }, 10), "$file file, $end: another child");
        is(says(), 'first', "$file file, $end: serves as before");
        ok($srv->running, "$file file, $end: the server runs");
    }
}

$srv->configure(conf => $alias->('second'));
ok($srv->renewed_by('USR1'), 'a restart');
is(says(), 'second', 'reads the file');

$srv->finish(qr/exit signal Killed/);
done_testing;
