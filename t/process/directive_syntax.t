# A value that is no number, or has something behind the number, is an error
# that names the directive, the value and what is allowed; so is a directive of
# the whole server inside <VirtualHost>.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my %limits = (
    event  => { StartServers => qr/\b1\b/, ServerLimit => qr/\b1\b.*\b20000\b/s, ThreadLimit => qr/\b1\b.*\b100000\b/s,
                ThreadsPerChild => qr/\b1\b/, MinSpareThreads => qr/\b1\b/, MaxSpareThreads => qr/\b[01]\b/,
                MaxRequestWorkers => qr/\b1\b/, MaxClients => qr/\b1\b/, GracefulShutdownTimeout => qr/\b0\b/,
                GracefulDrainTimeout => qr/\b0\b.*\b2147483\b/s,
                AsyncRequestWorkerFactor => qr/\b[01]\b/ },
    worker => { StartServers => qr/\b1\b/, ServerLimit => qr/\b1\b.*\b20000\b/s, ThreadLimit => qr/\b1\b.*\b20000\b/s,
                ThreadsPerChild => qr/\b1\b/, MinSpareThreads => qr/\b1\b/, MaxSpareThreads => qr/\b[01]\b/,
                MaxRequestWorkers => qr/\b1\b/, MaxClients => qr/\b1\b/, GracefulShutdownTimeout => qr/\b0\b/,
                GracefulDrainTimeout => qr/\b0\b.*\b2147483\b/s },
    winnt  => { ThreadLimit => qr/\b1\b.*\b15000\b/s, ThreadsPerChild => qr/\b1\b/, GracefulShutdownTimeout => qr/\b0\b/,
                GracefulDrainTimeout => qr/\b0\b.*\b2147483\b/s },
);
my $range_of = $limits{ MPMX::Server::mpm() };
my $srv = MPMX::Server->new(sizing => {});

for my $name (sort keys %$range_of) {
    # strtod takes hexadecimal for a number, httpd always has.
    for my $value ('abc', '25x', $name =~ /Factor/ ? () : ('0x10', '2.5'), '-', '1 2', '""') {
        my ($rc, $out) = $srv->check_config("$name $value");
        isnt($rc, 0, "$name $value: refused") or next;
        # Line number and file say nothing about the value.
        $out =~ s/^.*Syntax error on line.*\n//m;
        like($out, qr/\b$name\b/, "$name $value: names the directive");
        # httpd's own words when the number of arguments is wrong
        next if $value eq '1 2' || $value eq '""';
        like($out, qr/\Q$value\E/, "$name $value: shows the value") or diag($out);
        like($out, $range_of->{$name}, "$name $value: tells what is allowed") or diag($out);
    }
    my ($rc, $out) = $srv->check_config($name);
    isnt($rc, 0, "$name without a value: refused");
}

for my $name (sort keys %$range_of) {
    my ($rc, $out) = $srv->check_config("<VirtualHost *:80>\n$name 2\n</VirtualHost>");
    isnt($rc, 0, "$name in <VirtualHost>: refused");
    like($out, qr/\b$name\b.*VirtualHost/s, 'and the message says why') or diag($out);
}

SKIP: {
    skip 'no AsyncRequestWorkerFactor here', 4 unless $range_of->{AsyncRequestWorkerFactor};
    for my $value (qw(0 -1)) {
        my ($rc, $out) = $srv->check_config("AsyncRequestWorkerFactor $value");
        isnt($rc, 0, "AsyncRequestWorkerFactor $value: refused");
    }
    for my $value (qw(0.5 2.5)) {
        my ($rc, $out) = $srv->check_config("AsyncRequestWorkerFactor $value");
        is($rc, 0, "AsyncRequestWorkerFactor $value: accepted") or diag($out);
    }
}
done_testing;
