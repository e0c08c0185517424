package MPMX::Server::Messages;
# The AH numbers of messages that each MPM says under a number of its own, which
# is that of httpd's MPM of the same name.
#
#   ah('full')          AH00484, AH00286 or AH00326
#   clamp('limit')      the two numbers of a correction: at start, at a restart
use strict;
use warnings;
use MPMX::Server::Toolchain;

my %number = (
    #                 event  worker winnt
    configured   => [   489,   292,   455 ],   # resuming normal operations
    stop         => [   491,   295,   422 ],
    graceful_stop => [  492,   296,   422 ],
    graceful     => [   493,   297,   424 ],
    restart      => [   494,   298,   424 ],
    full         => [   484,   286,   326 ],   # reached MaxRequestWorkers, ThreadsPerChild
    crashes      => [ 10392, 10393,   428 ],   # children that end again and again
);

# The first of two numbers; a change that a restart cannot make has one only.
my %clamp = (
    ServerLimit_high       => [ 497, 300 ],
    ServerLimit_low        => [ 499, 302 ],
    ServerLimit_change     => [ 501, 304 ],
    ThreadLimit_high       => [ 502, 305, 439 ],
    ThreadLimit_low        => [ 504, 307, 441 ],
    ThreadLimit_change     => [ 506, 309, 443 ],
    ThreadsPerChild_high   => [ 507, 310, 444 ],
    ThreadsPerChild_low    => [ 509, 312, 446 ],
    MaxRequestWorkers_low  => [ 511, 314 ],
    MaxRequestWorkers_odd  => [ 513, 316 ],
    MaxRequestWorkers_high => [ 515, 318 ],
    StartServers_low       => [ 517, 320 ],
    MinSpareThreads_low    => [ 519, 322 ],
);

sub _of {
    my ($table, $what) = @_;
    my %column = (event => 0, worker => 1, winnt => 2);
    my $row = $table->{$what} or die "no message '$what'\n";
    return $row->[ $column{ MPMX::Server::Toolchain::mpm() } ];
}

sub ah {
    my ($what) = @_;
    my $n = _of(\%number, $what);
    return sprintf 'AH%05d', defined $n ? $n : die "this MPM has no message '$what'\n";
}

# Nothing if this MPM has no such limit.
sub clamp {
    my ($what) = @_;
    my $n = _of(\%clamp, $what);
    return defined $n ? map { sprintf 'AH%05d', $_ } $n, $n + 1 : ();
}

1;
