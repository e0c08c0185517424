package Bench::Nginx;
# An installed nginx, beside the MPMs: one worker process per core, the same document, the same
# keep-alive settings. Sizes mean nothing to it. Further options of new(): user, group (those of the
# httpds, or none where we are not root).
use strict;
use warnings;
use parent -norequire, 'Bench::Server';
use Bench::Server;
use MPMX::Server::Proc;

# It calls its processes "nginx: master process", with the command line behind it, so the directory
# is in it as it is with httpd.
sub reload_signal { return 'HUP' }

sub _command {
    my ($self) = @_;
    my ($major, $minor, $patch) = qx{"$self->{program}" -v 2>&1} =~ m{nginx/(\d+)\.(\d+)\.(\d+)};
    # Before 1.19.5 it opens the log that was compiled in first, and complains if it may not.
    my @log = $major && ($major * 1e6 + $minor * 1e3 + $patch >= 1_019_005) ? ('-e', $self->{error_log}) : ();
    return ($self->{program}, '-p', "$self->{dir}/", '-c', "$self->{dir}/server.conf", @log);
}

sub _configuration {
    my ($self) = @_;
    my $dir = $self->{dir};
    my $user = defined $self->{user} ? "user $self->{user} $self->{group};" : '';
    my $temporary = join "\n    ", map { "${_}_temp_path $dir/run/$_;" } qw(client_body proxy fastcgi uwsgi scgi);
    return <<"END";
$user
worker_processes auto;
pid $self->{pid_file};
error_log $self->{error_log};
events {
    worker_connections 16384;
}
http {
    $temporary
    default_type text/plain;
    access_log off;
    sendfile off;
    keepalive_timeout 60;
    keepalive_requests 1000000000;
    server {
        listen 127.0.0.1:$self->{port};
        root $dir/htdocs;
    }
}
END
}

1;
