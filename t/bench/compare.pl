#!/usr/bin/env perl
# The measuring part of compare.sh, which finds out its arguments:
#   compare.pl [option ...] [scenario ...]
#     --httpd FILE              the program
#     --common FILE             configuration lines that every httpd has
#     --server FAMILY=DSO       an MPM to be measured, stock (mod_mpm_*.so) or ours (mod_mpmx_*.so)
#     --nginx FILE              an nginx to be measured, too
#     --work DIRECTORY          for the servers' files; removed by the caller
#     --out DIRECTORY           where table and picture are written
#     --quick                   less of everything
# Each of the settings below can be changed in the environment: BENCH_ROUNDS=9.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../lib";
use Getopt::Long qw(GetOptions);
use POSIX qw(strftime);
use Bench::Httpd;
use Bench::Machine;
use Bench::Nginx;
use Bench::Picture;
use Bench::Scenarios;
use Bench::Session;
use Bench::Table;

#                      default  --quick
my %settings = (
    rounds          => [5,      3],         # how often each server is measured in scenarios with rounds
    seconds         => [2,      1],         # how long each time
    warm            => [1,      0.5],       # how long the first time, which does not count
    rate            => [2000,   2000],      # requests per second of the steady load
    idle            => [8000,   2000],      # idle connections
    idle_seconds    => [6,      3],         # how long they idle
    slow            => [2000,   500],       # clients with slow heads
    reloads         => [8,      3],
    survivors       => [400,    400],       # idle connections over a reload
    kills           => [5,      2],
    minutes         => [15,     5],         # nothing is begun after so many
);

STDOUT->autoflush(1);
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);
# Servers may have another user, who has to read what is made here.
umask 022;

my %o;
GetOptions(\%o, 'httpd=s', 'common=s', 'server=s@', 'nginx=s', 'work=s', 'out=s', 'quick') or exit 2;
for my $name (qw(httpd common server work out)) {
    die "start this with compare.sh (no --$name)\n" unless $o{$name};
}
-r '/proc/self/smaps_rollup' or die "CPU time and memory are read from /proc as on Linux, which this system does not have\n";
my %set = map { $_ => setting($_) } keys %settings;
my @scenarios = map { Bench::Scenarios::named($_) || die "there is no scenario '$_', only: @{[ Bench::Scenarios::names() ]}\n" }
    @ARGV ? @ARGV : Bench::Scenarios::names();
fit_descriptors();

my @servers = servers();
my $session = Bench::Session->new(servers => \@servers, scenarios => \@scenarios, settings => \%set);
printf "measuring %s: about %d minute(s)\n", join(', ', map { $_->label } @servers), $session->estimate / 60 + 1;
my $load = Bench::Machine::load();
print "other programs keep this machine busy (load $load): figures will tell little\n" if defined $load && $load > 0.5;
write_results($session->run);
exit 0;

sub setting {
    my ($name) = @_;
    my $value = $ENV{ 'BENCH_' . uc $name };
    return $settings{$name}[ $o{quick} ? 1 : 0 ] unless defined $value && length $value;
    die "BENCH_\U$name\E=$value is no number above 0\n" unless $value =~ /^\d*\.?\d+\z/ && $value > 0;
    return $value;
}

# A descriptor for each connection, on both sides.
sub fit_descriptors {
    my $limit = POSIX::sysconf(&POSIX::_SC_OPEN_MAX) || 1024;
    for my $name (qw(idle slow survivors)) {
        next if $set{$name} <= $limit - 200;
        $set{$name} = $limit - 200;
        print "the limit of open files (ulimit -n) is $limit: $name is $set{$name}\n";
    }
    return;
}

sub servers {
    open(my $in, '<', $o{common}) or die "$o{common}: $!\n";
    my $common = do { local $/; <$in> };
    my @list;
    for my $wanted (@{ $o{server} }) {
        my ($family, $so) = split /=/, $wanted, 2;
        my $ours = $so =~ m{mod_mpmx_[^/]*\z};
        # httpd's own winnt is for Windows.
        my $reference = $ours ? 'stock ' . ($family eq 'winnt' ? 'worker' : $family) : undef;
        push @list, Bench::Httpd->new(label => ($ours ? 'mpmx' : 'stock') . " $family", family => $family, so => $so,
            reference => $reference, program => $o{httpd}, common => $common, work => $o{work});
    }
    if ($o{nginx}) {
        my ($user) = $common =~ /^User (\S+)/m;
        my ($group) = $common =~ /^Group (\S+)/m;
        push @list, Bench::Nginx->new(label => 'nginx', family => 'nginx', program => $o{nginx}, user => $user,
            group => $group, work => $o{work});
    }
    return @list;
}

sub write_results {
    my ($results) = @_;
    my @now = localtime;
    my $name = strftime('%Y-%m-%d_%H%M%S', @now);
    my $date = strftime('%Y-%m-%d', @now);
    my @machine = Bench::Machine::describe($o{httpd}, $o{nginx});
    my @how = (
        "Settings: $set{rounds} rounds of $set{seconds} s for each server in turn, after $set{warm} s that do not count; "
            . "steady load: $set{rate} requests/s; idle: $set{idle_seconds} s.",
        'Figures with rounds are medians. Behind them is how far the rounds lie apart, half of the distance from least '
            . 'to most. A ratio is to the stock MPM of the same name (winnt: to stock worker), the median of the ratios '
            . 'of the rounds.',
        'Every httpd: a file of 1000 bytes, KeepAliveTimeout 60, MaxKeepAliveRequests 0, EnableSendfile off, EnableMMAP off, no access log, mod_status; '
            . 'event, stock and ours: AsyncRequestWorkerFactor 400.',
        'Scenarios without rounds are measured once, each server freshly started.',
        sprintf('It took %.0f s%s.', $session->took, defined $load ? "; load of the machine before: $load" : ''),
    );
    my $svg = Bench::Picture::svg(results => $results, date => $date, machine => join('; ', @machine[0, 2]));
    my $table = Bench::Table::markdown(results => $results, machine => \@machine, settings => \@how, date => $date,
        picture => defined $svg ? "$name.svg" : undef);
    Bench::Server::write_file("$o{out}/$name.svg", $svg) if defined $svg;
    Bench::Server::write_file("$o{out}/$name.md", $table);
    print $table, "\nwritten: $o{out}/$name.md", defined $svg ? " and $name.svg" : '', "\n";
    return;
}
