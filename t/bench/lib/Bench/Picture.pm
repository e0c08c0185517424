package Bench::Picture;
# The results as a picture (SVG): horizontal bars, one group for each scenario's CPU time per request,
# one for each figure of memory. It follows the reader's choice of light or dark, uses the fonts that
# are there, and tells those who cannot see it the same as text.
use strict;
use warnings;
use Bench::Table;

# In pixels of the picture's own scale.
my ($width, $margin, $label_width, $value_width) = (800, 24, 130, 150);
my ($bar_height, $bar_gap, $title_height, $group_gap) = (18, 8, 26, 22);
my $bar_room = $width - 2 * $margin - $label_width - $value_width;
# A bar this many times as long as the next one leaves too little room for the others.
my $far = 3;

my $style = <<'END';
    .paper { fill: #ffffff }
    text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", "DejaVu Sans", sans-serif; fill: #1f2328 }
    .title { font-size: 18px; font-weight: 600 }
    .group { font-weight: 600 }
    .small { font-size: 12px; fill: #59636e }
    .right { text-anchor: end }
    .axis { stroke: #818b98; stroke-width: 1 }
    .break { stroke: #ffffff; stroke-width: 3 }
    .stock { fill: #8c959f }
    .mpmx { fill: #0969da }
    .nginx { fill: #1a7f37 }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117 }
      text { fill: #e6edf3 }
      .small { fill: #9198a1 }
      .axis { stroke: #656c76 }
      .break { stroke: #0d1117 }
      .stock { fill: #6e7681 }
      .mpmx { fill: #4493f8 }
      .nginx { fill: #3fb950 }
    }
END

# Options: results, date, machine (a line below the title). Returns the text of the file, or nothing
# where nothing that is drawn has been measured.
sub svg {
    my (%o) = @_;
    my @groups = map { _groups($_) } @{ $o{results} } or return;
    my $y = $margin + 18;
    my $body = _text($margin, $y, 'title', 'Apache httpd: mpmx beside the stock MPMs');
    $y += 20;
    $body .= _text($margin, $y, 'small', "$o{date}. $o{machine}. Less is better.");
    $y += $group_gap;
    for my $group (@groups) {
        $body .= _group($group, \$y);
        $y += $group_gap;
    }
    $body .= _text($margin, $y, 'small',
        'In brackets: in proportion to the stock MPM of the same name (winnt: to stock worker).');
    my $height = $y + $margin;
    my $told = join "\n", map { my $g = $_; "$g->{title}: " . join ', ', map { "$_->{label} $_->{value}" } @{ $g->{bars} } } @groups;
    return <<"END";
<svg xmlns="http://www.w3.org/2000/svg" width="$width" height="$height" viewBox="0 0 $width $height" role="img" aria-labelledby="title told">
  <title id="title">Apache httpd: CPU time per request and memory per idle connection, mpmx beside the stock MPMs</title>
  <desc id="told">@{[ _escape($told) ]}</desc>
  <style>
$style  </style>
  <rect class="paper" width="$width" height="$height"/>
$body</svg>
END
}

# One for each metric of a result that is to be drawn.
sub _groups {
    my ($result) = @_;
    my @groups;
    for my $metric (grep { $_->{bars} } @{ $result->{scenario}{metrics} }) {
        my @bars;
        for my $row (grep { @{ $_->{runs} } } @{ $result->{rows} }) {
            my $value = Bench::Table::value($row, $metric->{key});
            next unless defined $value;
            push @bars, { label => $row->{server}->label, about => $row->{server}->reference, length => $value > 0 ? $value : 0,
                value => sprintf('%.*f %s', $metric->{digits} || 0, $value, $metric->{bars}) . _ratio($result, $row, $metric) };
        }
        push @groups, { title => "$result->{scenario}{title}: $metric->{head}", bars => \@bars } if @bars;
    }
    return @groups;
}

sub _ratio {
    my ($result, $row, $metric) = @_;
    my $reference = Bench::Table::reference($result, $row) or return '';
    my $ratio = Bench::Table::ratio_to($row, $reference, $metric->{key});
    return defined $ratio ? ' (' . Bench::Table::ratio_text($ratio) . ')' : '';
}

# The length that takes all the room. A bar beyond it is shown broken; that is never one of two that
# are to be compared, only a bystander's.
sub _full {
    my @bars = sort { $b->{length} <=> $a->{length} } @_;
    my %compared = map { $_->{about} ? ($_->{label} => 1, $_->{about} => 1) : () } @bars;
    shift @bars if @bars > 1 && !$compared{ $bars[0]{label} } && $bars[0]{length} > $far * $bars[1]{length};
    return $bars[0]{length} || 1;
}

sub _group {
    my ($group, $y) = @_;
    my $left = $margin + $label_width;
    my $full = _full(@{ $group->{bars} });
    my $text = _text($margin, $$y + 14, 'group', $group->{title});
    $$y += $title_height;
    my $top = $$y;
    for my $bar (@{ $group->{bars} }) {
        my $broken = $bar->{length} > $full;
        # Room for the break behind the longest whole bar.
        my $length = sprintf '%.1f', $broken ? $bar_room : $bar->{length} / $full * ($bar_room - 24);
        my ($class) = $bar->{label} =~ /^(stock|mpmx|nginx)/;
        my $base = $$y + 14;
        $text .= _text($left - 8, $base, 'right', $bar->{label});
        $text .= sprintf qq{  <rect class="%s" x="%d" y="%d" width="%s" height="%d" rx="2"/>\n},
            $class || 'stock', $left, $$y, $length > 1 ? $length : 1, $bar_height;
        if ($broken) {
            my $x = $left + $bar_room - 18;
            $text .= sprintf qq{  <line class="break" x1="%d" y1="%d" x2="%d" y2="%d"/>\n},
                $x, $$y + $bar_height + 2, $x + 8, $$y - 2;
        }
        $text .= _text($left + ($length > 1 ? $length : 1) + 8, $base, '', $bar->{value});
        $$y += $bar_height + $bar_gap;
    }
    $text .= sprintf qq{  <line class="axis" x1="%d" y1="%d" x2="%d" y2="%d"/>\n}, $left, $top - 3, $left, $$y - $bar_gap + 3;
    return $text;
}

sub _text {
    my ($x, $y, $class, $text) = @_;
    my $attribute = $class ? qq{ class="$class"} : '';
    return sprintf qq{  <text x="%s" y="%s"%s>%s</text>\n}, $x, $y, $attribute, _escape($text);
}

sub _escape {
    my ($text) = @_;
    my %entity = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;', '"' => '&quot;');
    $text =~ s/([&<>"])/$entity{$1}/g;
    return $text;
}

1;
