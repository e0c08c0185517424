package Bench::Figures;
# Small sums over measured values.
use strict;
use warnings;
use Exporter qw(import);
use POSIX qw(ceil);

our @EXPORT_OK = qw(median percentile spread ratio);

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return undef unless @sorted;
    my $middle = int(@sorted / 2);
    return @sorted % 2 ? $sorted[$middle] : ($sorted[$middle - 1] + $sorted[$middle]) / 2;
}

# Of an ascending list; p from 0 to 100.
sub percentile {
    my ($sorted, $p) = @_;
    return undef unless @$sorted;
    my $i = ceil(@$sorted * $p / 100) - 1;
    return $sorted->[$i < 0 ? 0 : $i];
}

# How far the values lie from their median: half of the distance from least to most, in per cent.
sub spread {
    my @sorted = sort { $a <=> $b } @_;
    my $median = median(@sorted);
    return undef unless @sorted > 1 && $median;
    return ($sorted[-1] - $sorted[0]) / 2 / $median * 100;
}

# The median of the ratios of each round: both values of a round met the same state of the machine.
sub ratio {
    my ($ours, $theirs) = @_;
    my $n = @$ours < @$theirs ? @$ours : @$theirs;
    return median(map { $ours->[$_] / $theirs->[$_] } grep { $theirs->[$_] } 0 .. $n - 1);
}

1;
