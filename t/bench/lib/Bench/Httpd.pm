package Bench::Httpd;
# An httpd with one MPM. Further options of new(): so (the MPM's DSO), common (lines that all
# configurations have: modules, user).
use strict;
use warnings;
use parent -norequire, 'Bench::Server';
use Bench::Server;

sub reload_signal { return 'USR1' }

sub _command {
    my ($self) = @_;
    return ($self->{program}, '-f', "$self->{dir}/server.conf", '-k', 'start');
}

sub _configuration {
    my ($self, $size) = @_;
    my $dir = $self->{dir};
    return <<"END" . $self->_sizing($size);
ServerRoot "$dir"
DefaultRuntimeDir "$dir/run"
PidFile "$self->{pid_file}"
ErrorLog "$self->{error_log}"
ServerName localhost
Listen 127.0.0.1:$self->{port}
LoadModule mpm_$self->{family}_module "$self->{so}"
$self->{common}
DocumentRoot "$dir/htdocs"
EnableSendfile off
EnableMMAP off
Timeout 60
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
<Directory />
    AllowOverride None
    Options FollowSymLinks
    Require all granted
</Directory>
END
}

sub _sizing {
    my ($self, $size) = @_;
    my ($processes, $threads, $workers) = @$size{qw(processes threads workers)};
    my $family = $self->{family};
    # The one child of winnt has them all.
    return "ThreadsPerChild $workers\n" if $family eq 'winnt';
    if ($family eq 'prefork') {
        # All at once, and replaced at once, so that none is made during a measurement; or as they are needed.
        my ($first, $spare) = $size->{grows} ? ($processes, 1) : ($workers, $workers);
        return "StartServers $first\nMinSpareServers $spare\nMaxSpareServers " . ($workers + 1)
            . "\nServerLimit $workers\nMaxRequestWorkers $workers\n";
    }
    my $limit = int(($workers + $threads - 1) / $threads);
    my $text = <<"END";
StartServers $processes
ServerLimit $limit
ThreadsPerChild $threads
MaxRequestWorkers $workers
MinSpareThreads $threads
MaxSpareThreads $workers
END
    # Or stock event would not accept as many connections as some scenarios have.
    $text .= "AsyncRequestWorkerFactor 400\n" if $family eq 'event';
    return $text;
}

1;
