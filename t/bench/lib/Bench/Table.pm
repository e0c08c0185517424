package Bench::Table;
# The results as Markdown, with columns that also line up in a terminal.
use strict;
use warnings;
use Bench::Figures qw(median spread ratio);

# The median over the rounds, or undef.
sub value {
    my ($row, $key) = @_;
    return median(grep { defined } map { $_->{$key} } @{ $row->{runs} });
}

# The row of the server that ratios of this one are about, if it has been measured.
sub reference {
    my ($result, $row) = @_;
    my $label = $row->{server}->reference or return;
    my ($found) = grep { $_->{server}->label eq $label && @{ $_->{runs} } } @{ $result->{rows} };
    return $found;
}

sub ratio_to {
    my ($row, $reference, $key) = @_;
    return ratio(map { [ map { $_->{$key} || 0 } @{ $_->{runs} } ] } $row, $reference);
}

# So many digits that a small one does not become nothing.
sub ratio_text {
    my ($ratio) = @_;
    return sprintf $ratio < 0.1 ? '%.3f' : '%.2f', $ratio;
}

# Everything. Options: results, machine and settings (lists of lines), date, picture (a file name).
sub markdown {
    my (%o) = @_;
    my $text = "# Benchmark of $o{date}\n\n";
    $text .= join '', map { "* $_\n" } @{ $o{machine} }, @{ $o{settings} };
    $text .= "\n![The picture of it]($o{picture})\n" if $o{picture};
    $text .= overview($o{results});
    $text .= scenario($_) for @{ $o{results} };
    return $text;
}

# What matters most of everything, one line each, one column for each server.
sub overview {
    my ($results) = @_;
    my (@servers, %seen, @lines);
    for my $row (map { @{ $_->{rows} } } @$results) {
        my $label = $row->{server}->label;
        push @servers, $label unless $seen{$label}++;
    }
    for my $result (grep { !$_->{skipped} } @$results) {
        my %row = map { $_->{server}->label => $_ } grep { @{ $_->{runs} } } @{ $result->{rows} };
        for my $metric (grep { $_->{short} } @{ $result->{scenario}{metrics} }) {
            push @lines, [ "$result->{scenario}{title}: $metric->{head}",
                map { $row{$_} ? _short_cell($result, $row{$_}, $metric) : '-' } @servers ];
        }
    }
    return '' unless @lines;
    return "\n## Overview\n\nIn brackets: the ratio.\n\n" . _aligned([ 'what', @servers ], @lines);
}

sub _short_cell {
    my ($result, $row, $metric) = @_;
    my $text = _cell($row, { %$metric, spread => 0 });
    my $reference = $metric->{ratio} ? reference($result, $row) : undef;
    my $ratio = $reference ? ratio_to($row, $reference, $metric->{key}) : undef;
    return defined $ratio ? "$text (" . ratio_text($ratio) . ')' : $text;
}

sub scenario {
    my ($result) = @_;
    my $scenario = $result->{scenario};
    my $text = "\n## $scenario->{title}\n\n$scenario->{about}\n\n";
    return "${text}Not measured: $result->{skipped}.\n" if $result->{skipped};
    my @measured = grep { @{ $_->{runs} } } @{ $result->{rows} };
    $text .= _aligned(_head($scenario), map { _line($result, $_) } @measured) if @measured;
    my @why = _not_measured($result);
    $text .= "\n" if @measured && @why;
    $text .= "* $_\n" for @why;
    return $text;
}

# One line for each reason.
sub _not_measured {
    my ($result) = @_;
    my (%who, @order);
    for my $row (grep { $_->{failed} } @{ $result->{rows} }) {
        my $what = (@{ $row->{runs} } ? 'not to the end' : 'not measured') . " ($row->{failed})";
        push @order, $what unless $who{$what};
        push @{ $who{$what} }, $row->{server}->label;
    }
    return map { join(', ', @{ $who{$_} }) . ": $_" } @order;
}

sub _head {
    my ($scenario) = @_;
    return [ 'server', map { ($_->{head}, $_->{ratio} ? 'ratio' : ()) } @{ $scenario->{metrics} } ];
}

sub _line {
    my ($result, $row) = @_;
    my @cells = ($row->{server}->label);
    my $reference = reference($result, $row);
    for my $metric (@{ $result->{scenario}{metrics} }) {
        push @cells, _cell($row, $metric);
        next unless $metric->{ratio};
        my $ratio = $reference ? ratio_to($row, $reference, $metric->{key}) : undef;
        push @cells, defined $ratio ? ratio_text($ratio) : '';
    }
    return \@cells;
}

sub _cell {
    my ($row, $metric) = @_;
    my $value = value($row, $metric->{key});
    return '' unless defined $value;
    my $text = sprintf "%.*f", $metric->{digits} || 0, $value;
    $text .= sprintf ' of %.0f', value($row, $metric->{of}) if $metric->{of};
    my $spread = $metric->{spread} ? spread(map { $_->{ $metric->{key} } } @{ $row->{runs} }) : undef;
    $text .= sprintf ' (+-%.0f%%)', $spread if defined $spread;
    return $text;
}

# Lines of a table: the first column to the left, numbers to the right.
sub _aligned {
    my @lines = @_;
    my @width = (0) x @{ $lines[0] };
    for my $line (@lines) {
        for my $i (0 .. $#width) {
            my $n = length $line->[$i];
            $width[$i] = $n if $n > $width[$i];
        }
    }
    my $rule = [ '-' x $width[0], map { '-' x ($_ > 2 ? $_ - 1 : 1) . ':' } @width[1 .. $#width] ];
    my $text = '';
    for my $line ($lines[0], $rule, @lines[1 .. $#lines]) {
        $text .= '| ' . join(' | ', map { sprintf '%*s', $_ ? $width[$_] : -$width[0], $line->[$_] } 0 .. $#width) . " |\n";
    }
    return $text;
}

1;
