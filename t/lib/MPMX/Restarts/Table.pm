package MPMX::Restarts::Table;
# The tables of docs/restarts.md: what each client sees, for each kind of change
# and each MPM. The tests take from here what they expect.
#
#   words('Graceful restart')    { client => word } for the MPM under test; undef: nothing is said of it
#   sections(), clients($section), all_words($section)
#                                what there is; sections are the headings that have such a table
#   legend()                     { word => 1 }: the words that the page explains
use strict;
use warnings;
use MPMX::Server::Proc;
use MPMX::Server::Toolchain;

my $page;

sub _page {
    if (!defined $page) {
        my $file = MPMX::Server::Toolchain::top() . '/docs/restarts.md';
        $page = MPMX::Server::Proc::slurp($file);
        die "$file: $!\n" unless defined $page;
    }
    return $page;
}

sub _cells {
    my ($line) = @_;
    $line =~ s/^\s*\|\s*|\s*\|\s*$//g;
    return split /\s*\|\s*/, $line, -1;
}

# heading => [ [cell, ...], ... ], the first row being the table's head.
sub _tables {
    my %table;
    for my $part (split /^(?=##)/m, _page()) {
        my ($heading) = $part =~ /^##+ (.*)/ or next;
        my @rows = grep { !/^\|[-|]+\|$/ } $part =~ /^(\|.*\|)$/mg;
        $table{$heading} = [ map { [ _cells($_) ] } @rows ] if @rows;
    }
    return \%table;
}

sub sections {
    my $tables = _tables();
    return sort grep { $tables->{$_}[0][0] eq 'client' && $tables->{$_}[0][1] ne 'is' } keys %$tables;
}

sub words {
    my ($section) = @_;
    my $rows = _tables()->{$section} or die "docs/restarts.md has no table '$section'\n";
    my ($head, @rows) = @$rows;
    my $column = MPMX::Server::Toolchain::is_stock() ? 'stock event' : MPMX::Server::Toolchain::mpm();
    # One column may be about several MPMs.
    my ($i) = grep { grep { $_ eq $column } split /, /, $head->[$_] } 1 .. $#$head;
    return undef unless defined $i;
    return { map { $_->[0] => $_->[$i] } @rows };
}

# The clients of a section, in order.
sub clients {
    my ($section) = @_;
    my ($head, @rows) = @{ _tables()->{$section} };
    return map { $_->[0] } @rows;
}

# All words of a section, whatever the MPM.
sub all_words {
    my ($section) = @_;
    my ($head, @rows) = @{ _tables()->{$section} };
    return map { @$_[ 1 .. $#$_ ] } @rows;
}

sub legend {
    for my $rows (values %{ _tables() }) {
        return { map { $_->[0] => 1 } @$rows[ 1 .. $#$rows ] } if $rows->[0][0] eq 'word';
    }
    die "docs/restarts.md does not explain its words\n";
}

1;
