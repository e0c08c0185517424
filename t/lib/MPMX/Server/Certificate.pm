package MPMX::Server::Certificate;
# A self-signed certificate for localhost, for servers and clients of a test.
use strict;
use warnings;
use MPMX::Server::Toolchain;

# Is there all that a test with TLS needs: httpd's module, the program, and a client?
sub can_tls {
    return defined MPMX::Server::Toolchain::load_line('ssl') && MPMX::Server::Toolchain::find_program('openssl')
        && eval { require IO::Socket::SSL; 1 };
}

# Writes certificate and key to these files. Dies, with what openssl says, if it cannot.
sub make {
    my ($pem, $key) = @_;
    my $openssl = MPMX::Server::Toolchain::find_program('openssl') or die "no openssl found\n";
    my $said = `'$openssl' req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout '$key' -out '$pem' 2>&1`;
    die "openssl: $said" if $?;
    return;
}

1;
