package MPMX::Run;

# Apache::TestRun for a server root that is not inside the source tree.

use strict;
use warnings;
use base 'Apache::TestRun';

# Apache::Test refuses to run as root because its mod_perl tests need to write where only the
# user may. Here the server runs as an ordinary user on world-readable files: nothing to refuse.
sub check_runtime_user { 1 }

# Apache::Test would rewrite each <VirtualHost> of t/conf/*.in, with a Listen and a ServerName of its
# choice. These tests depend on listeners and names as written.
{
    no warnings 'redefine';
    *Apache::TestConfig::replace_vhost_modules = sub { };
}

# Names of our own (ports and the like) become @name@ in t/conf/*.in and Apache::Test::vars('name').
sub new_test_config {
    my $self = shift;
    my $config = $self->SUPER::new_test_config(@_);
    my $ours = $self->{mpmx_vars} || {};
    $config->{vars}{$_} = $ours->{$_} for keys %$ours;
    return $config;
}

1;
