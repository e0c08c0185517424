package MPMX::Server::Ports;
# TCP ports on the loopback address for servers that are yet to start, or stop and
# start again: nobody has them, and no other test takes them meanwhile.
#
# The mark of who takes a port is the UDP port of the same number, bound for as long as it is needed.
# It does not get in the way of the server, and the system takes it back whatever becomes of the test.
use strict;
use warnings;
use Socket;

# Below the ephemeral range, so that no client socket takes one before the server does.
use constant { LEAST => 12_000, MOST => 30_999 };

# Takes this port: the mark, to be kept, or undef if somebody has it.
sub take {
    my ($port) = @_;
    my $address = sockaddr_in($port, INADDR_LOOPBACK);
    socket(my $mark, PF_INET, SOCK_DGRAM, 0) or die "socket: $!\n";
    bind($mark, $address) or return undef;
    socket(my $free, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    return bind($free, $address) ? $mark : undef;
}

# Takes any port: (its number, the mark).
sub reserve {
    for (1 .. 500) {
        my $port = LEAST + int rand(MOST - LEAST + 1);
        my $mark = take($port);
        return ($port, $mark) if $mark;
    }
    die "no free port\n";
}

# Takes so many ports in a row: (the first one's number, the marks).
sub reserve_block {
    my ($n) = @_;
    for (1 .. 500) {
        my $first = LEAST + int rand(MOST - LEAST + 2 - $n);
        my @marks;
        for my $port ($first .. $first + $n - 1) {
            my $mark = take($port) or last;
            push @marks, $mark;
        }
        return ($first, @marks) if @marks == $n;
    }
    die "no $n free ports in a row\n";
}

1;
