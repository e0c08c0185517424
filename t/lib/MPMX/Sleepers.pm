package MPMX::Sleepers;
# For tests of idle connections: a server whose only module beside httpd's own
# can tell whether a connection still has its conn_rec.
#
#   my $srv = MPMX::Sleepers->server(conf => ..., defines => [...]);   # as MPMX::Server->new
#   my $r = MPMX::Sleepers->watch($client);      # a request; from now on its conn_rec counts
#   MPMX::Sleepers->alive($srv)                  # how many watched conn_recs there are
#   MPMX::Sleepers->all_asleep($srv)             # waits until there is none
use strict;
use warnings;
use Test::More ();
use MPMX::Server;
use MPMX::Server::Proc;

# What is counted is counted by process, so there is one.
sub server {
    my ($class, %o) = @_;
    my $conf = delete $o{conf};
    return MPMX::Server->new(
        modules   => ['status'],
        c_modules => ['mod_mpmxt_connections'],
        sizing    => { StartServers => 1, ServerLimit => 1, ThreadsPerChild => 8, MaxRequestWorkers => 8,
                       MinSpareThreads => 1, MaxSpareThreads => 8 },
        conf      => "<Location /mpmxt-conn>\nSetHandler mpmxt-conn\n</Location>\n" . (defined $conf ? $conf : ''),
        %o,
    );
}

# The whole test is about what only asynchronous MPMs of this project have.
sub only_here {
    Test::More::plan(skip_all => 'only mpmx has this') if MPMX::Server->is_stock;
    MPMX::Server->only_for([qw(event winnt)], 'an idle connection keeps its thread');
    return;
}

# Pairs "name=value" of an answer.
sub pairs {
    my ($class, $r) = @_;
    return { $r->{body} =~ /(\w+)=(\S+)/g };
}

sub watch {
    my ($class, $c, %o) = @_;
    return $c->request('/mpmxt-conn/watch', %o);
}

sub counts {
    my ($class, $srv) = @_;
    return $class->pairs($srv->get('/mpmxt-conn/counts'));
}

sub alive {
    my ($class, $srv) = @_;
    my $n = $class->counts($srv)->{alive};
    return defined $n ? $n : -1;
}

sub all_asleep {
    my ($class, $srv, $secs) = @_;
    return MPMX::Server::wait_for(sub { $class->alive($srv) == 0 }, $secs || 6);
}

# Proportional set size in KB, undef where the system does not tell. Without what files are mapped,
# if that is told apart (Linux 5.4): other servers' ends would make a child's share of them grow.
sub pss {
    my ($class, @pids) = @_;
    my $sum = 0;
    for my $pid (@pids) {
        my $text = MPMX::Server::Proc::slurp("/proc/$pid/smaps_rollup");
        return undef unless defined $text && $text =~ /^Pss:\s+(\d+) kB/m;
        my @parts = ($1);
        @parts = ($1, $2) if $text =~ /^Pss_Anon:\s+(\d+) kB\n(?:.*\n)*?Pss_Shmem:\s+(\d+) kB/m;
        $sum += $_ for @parts;
    }
    return $sum;
}

1;
