package MPMX::Server::Terminal;
# A pseudo terminal for a server to run on, with a window that can be resized.
# Linux, where it takes no more than three ioctls; their numbers are the same on
# all but old architectures.
#
#   my $terminal = MPMX::Server::Terminal->new or plan skip_all => 'no pseudo terminals';
#   my $srv = MPMX::Server->new(terminal => $terminal);
#   $srv->start(mode => 'foreground');       # a session of its own, on this terminal
#   $terminal->resize;
use strict;
use warnings;
use Fcntl qw(O_RDWR O_NOCTTY);
use POSIX ();

use constant { TIOCGPTN => 0x80045430, TIOCSPTLCK => 0x40045431, TIOCSWINSZ => 0x5414, TIOCGPGRP => 0x540f };

# Nothing if the system has none.
sub new {
    my ($class) = @_;
    sysopen(my $fh, '/dev/ptmx', O_RDWR | O_NOCTTY) or return;
    my ($number, $unlocked) = (pack('i', -1), pack('i', 0));
    ioctl($fh, TIOCGPTN, $number) && ioctl($fh, TIOCSPTLCK, $unlocked) or return;
    my $name = '/dev/pts/' . unpack 'i', $number;
    return -c $name ? bless({ fh => $fh, name => $name, lines => 24 }, $class) : ();
}

# In a process that is about to become the server: the terminal is its controlling
# terminal, and that of what it starts.
sub take {
    my ($self) = @_;
    POSIX::setsid() or die "setsid: $!\n";
    # The first that a session's leader opens (tty_ioctl(4)).
    sysopen(my $tty, $self->{name}, O_RDWR) or die "$self->{name}: $!\n";
    open(STDIN, '<&', $tty) or die "$self->{name}: $!\n";
    CORE::close $_ for $tty, $self->{fh};
    return;
}

# Who gets its signals: a process group, or 0.
sub foreground {
    my ($self) = @_;
    my $group = pack 'i', 0;
    return ioctl($self->{fh}, TIOCGPGRP, $group) ? unpack 'i', $group : 0;
}

# The kernel sends SIGWINCH if the size is another one.
sub resize {
    my ($self) = @_;
    my $size = pack 'S4', ++$self->{lines}, 80, 0, 0;
    ioctl($self->{fh}, TIOCSWINSZ, $size) or die "TIOCSWINSZ: $!\n";
    return;
}

1;
