package Bench::Machine;
# What figures depend on, for those who compare them with their own.
use strict;
use warnings;
use POSIX ();
use MPMX::Server::Proc;

# Lines for the table: httpd and nginx (or undef) are programs.
sub describe {
    my ($httpd, $nginx) = @_;
    my ($system, undef, $release, undef, $architecture) = POSIX::uname();
    my ($version) = qx{"$httpd" -v 2>&1} =~ m{Server version: (\S+)};
    my @lines = (
        'CPU: ' . MPMX::Server::Proc::cores() . ' cores, ' . _model(),
        "System: $system $release, $architecture" . _distribution(),
        'Server: ' . ($version || $httpd),
    );
    if ($nginx) {
        my ($nginx_version) = qx{"$nginx" -v 2>&1} =~ m{(nginx/\S+)};
        push @lines, 'Beside it: ' . ($nginx_version || $nginx);
    }
    return @lines;
}

# The load of the machine by now: what else runs here makes figures worthless.
sub load {
    my $text = MPMX::Server::Proc::slurp('/proc/loadavg');
    return defined $text ? (split ' ', $text)[0] : undef;
}

sub _model {
    my $text = MPMX::Server::Proc::slurp('/proc/cpuinfo');
    # x86 calls it "model name", POWER "cpu"; ARM tells numbers only.
    return defined $text && $text =~ /^(?:model name|cpu)\s*:\s*(\S.*)/m ? $1 : 'model unknown';
}

sub _distribution {
    my $text = MPMX::Server::Proc::slurp('/etc/os-release');
    return defined $text && $text =~ /^PRETTY_NAME="?([^"\n]+)/m ? ", $1" : '';
}

1;
