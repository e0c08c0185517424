package MPMX::Docs;

# The documents and CGI scripts that the tests ask the server for.

use strict;
use warnings;
use File::Path qw(make_path);

# name => bytes
our %FILES = (
    'small.bin' => 1_000,
    'medium.bin' => 100_000,
    'large.bin' => 10_000_000,
    'huge.bin' => 50_000_000,
);

my %CGI = (
    'env.cgi' => <<'SH',
#!/bin/sh
# echoes what a CGI script can see of the request
printf 'Content-Type: text/plain\r\n\r\n'
printf 'method=%s query=%s length=%s protocol=%s\n' \
    "$REQUEST_METHOD" "$QUERY_STRING" "$CONTENT_LENGTH" "$SERVER_PROTOCOL"
SH
    'big.cgi' => <<'SH',
#!/bin/sh
# QUERY_STRING blocks of 1000 bytes, each line numbered
printf 'Content-Type: text/plain\r\n\r\n'
awk -v n="$QUERY_STRING" 'BEGIN {
    for (i = 1; i <= n; i++) { s = sprintf("%010d ", i); while (length(s) < 999) s = s "x"; print s }
}'
SH
    'post.cgi' => <<'SH',
#!/bin/sh
# a POSTed body's length and checksum
printf 'Content-Type: text/plain\r\n\r\n'
cksum
SH
    'lasting.cgi' => <<'SH',
#!/bin/sh
# the time; goes on after its response, also when it is told to end
trap '' TERM
printf 'Content-Type: text/plain\n\n'
perl -MTime::HiRes=time -e 'printf "%.6f\n", time'
exec <&- >&- 2>&-
sleep 1
SH
    'slow.cgi' => <<'SH',
#!/bin/sh
# output in pieces with pauses
printf 'Content-Type: text/plain\r\n\r\n'
for i in 1 2 3 4 5; do echo "part $i"; sleep 0.2; done
SH
);

sub generate {
    my ($htdocs, $cgi_bin) = @_;
    make_path($htdocs, "$htdocs/slowline", $cgi_bin);
    put("$htdocs/index.html", "it works\n");
    put("$htdocs/text.txt", join '', map { "line $_ of a text that compresses well\n" } 1 .. 2000);
    # about five seconds of a 56k modem
    put("$htdocs/slowline/modem.bin", content(40_000));
    put("$htdocs/$_", content($FILES{$_})) for keys %FILES;
    for my $name (keys %CGI) {
        put("$cgi_bin/$name", $CGI{$name});
        chmod 0755, "$cgi_bin/$name";
    }
    return;
}

# No two 1000-byte blocks are alike, so a lost, doubled or moved piece shows.
sub content {
    my $size = shift;
    my $filler = join '', map { chr(33 + ($_ * $_ + ($_ >> 3)) % 90) } 1 .. 980;
    my $out = '';
    for (my $i = 0; length $out < $size; ++$i) {
        $out .= sprintf "%018d:%s\n", $i, $filler;
    }
    return substr $out, 0, $size;
}

sub put {
    my ($file, $text) = @_;
    open my $out, '>:raw', $file or die "$file: $!\n";
    print {$out} $text;
    close $out or die "$file: $!\n";
    chmod 0644, $file;
    return;
}

1;
