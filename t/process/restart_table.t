# docs/restarts.md is whole: each of its tables is read by a test, each has a
# row for each kind of client, and all its words are explained.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Restarts::Clients;
use MPMX::Restarts::Table;
use MPMX::Server::Proc;

my %test;
for my $file (glob "$FindBin::Bin/restart_clients_*.t") {
    my $text = MPMX::Server::Proc::slurp($file);
    $test{$1}++ while $text =~ /MPMX::Restarts->new\('([^']+)'/g;
}
my @sections = MPMX::Restarts::Table::sections();
is(join('; ', @sections), join('; ', sort keys %test), 'each table has its test');

my @rows = (MPMX::Restarts::Clients::kinds(), 'in the queue', 'new');
my $legend = MPMX::Restarts::Table::legend();
my %used;
for my $section (@sections) {
    is(join('; ', MPMX::Restarts::Table::clients($section)), join('; ', @rows), "$section: a row for each client");
    $used{$_}++ for map { split / or / } MPMX::Restarts::Table::all_words($section);
}
is(join('; ', grep { !$legend->{$_} } sort keys %used), '', 'all words are explained');
is(join('; ', grep { !$used{$_} } sort keys %$legend), '', 'and all that are explained are used');
done_testing;
