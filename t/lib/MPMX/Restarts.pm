package MPMX::Restarts;
# The bed of the tests that keep docs/restarts.md true: a server with one child,
# which has one client of each kind when something happens to it.
#
#   my $bed = MPMX::Restarts->new('Graceful restart');   a heading of that page
#   my $old = $bed->begin;                               server, clients; the child's pid
#   $bed->queue_while(sub { $bed->{srv}->signal('USR1') });
#   $bed->knock_until(sub { ... });
#   ...
#   $bed->compare;                                       one assertion for each row
#   $bed->finish(qr/.../);
#
# A child is SIGSTOPped to have a connection wait in the kernel's queue; nothing
# takes it from there meanwhile.
use strict;
use warnings;
use Test::More ();
use Time::HiRes qw(time sleep);
use MPMX::Docs;
use MPMX::Restarts::Clients;
use MPMX::Restarts::Table;
use MPMX::Server;
use MPMX::Server::Certificate;
use MPMX::WebSocket;

# The end of a connection is an answer here, not a death.
$SIG{PIPE} = 'IGNORE';

sub new {
    my ($class, $section, %o) = @_;
    my $self = bless { section => $section, seen => {}, frozen => [], test => $$ }, $class;
    $self->{want} = MPMX::Restarts::Table::words($section);
    Test::More::plan(skip_all => "the page does not say what stock does: $section") if !$self->{want};
    ($self->{port}{$_}, $self->{port_mark}{$_}) = MPMX::Server::Ports::reserve() for qw(tls ws);
    my @modules = $self->_modules;
    $self->{large} = MPMX::Docs::content(8_000_000);
    my $srv = $self->{srv} = MPMX::Server->new(
        handlers  => 1,
        # It tells when idle connections have travelled.
        log_level => 'notice' . (MPMX::Server->is_stock ? '' : ' mpm_' . MPMX::Server::mpm() . ':info'),
        modules   => \@modules,
        c_modules => ['mod_mpmxt_proc_hooks'],
        sizing    => { StartServers => 1, ServerLimit => 4, ThreadsPerChild => 32, MaxRequestWorkers => 128,
                       MinSpareThreads => 1, MaxSpareThreads => 128 },
        conf      => $self->_conf . ($o{conf} || ''),
    );
    $self->{port}{plain} = $srv->port;
    $self->{small} = $srv->read('htdocs/index.html');
    $srv->write('htdocs/large.bin', $self->{large});
    return $self;
}

# Finds out what there is of TLS and the like; the rows of the rest are skipped.
sub _modules {
    my ($self) = @_;
    my $have = sub { defined MPMX::Server::Toolchain::load_line($_[0]) };
    my $has = $self->{has} = {};
    $has->{tls} = MPMX::Server::Certificate::can_tls();
    $has->{http2} = $has->{tls} && $have->('http2');
    $has->{wstunnel} = $have->('proxy') && $have->('proxy_http') && $have->('proxy_wstunnel');
    return (($has->{tls} ? 'ssl' : ()), ($has->{http2} ? 'http2' : ()),
            ($has->{wstunnel} ? qw(proxy proxy_http proxy_wstunnel) : ()));
}

sub _conf {
    my ($self) = @_;
    my $text = "KeepAliveTimeout 60\nTimeout 60\n";
    # A head may have to wait for all that the other clients do.
    $text .= "RequestHeadTimeout 120\n" unless MPMX::Server::is_stock();
    $text .= "ProxyPass /ws/ ws://127.0.0.1:$self->{port}{ws}/ws/\n" if $self->{has}{wstunnel};
    return $text if !$self->{has}{tls};
    my $h2 = $self->{has}{http2} ? 'Protocols h2 http/1.1' : '';
    return $text . <<"CONF";
Listen 127.0.0.1:$self->{port}{tls} https
<VirtualHost 127.0.0.1:$self->{port}{tls}>
$h2
SSLEngine on
SSLCertificateFile \@DIR\@/pem
SSLCertificateKeyFile \@DIR\@/key
</VirtualHost>
CONF
}

sub begin {
    my ($self) = @_;
    my $srv = $self->{srv};
    MPMX::Server::Certificate::make(map { $srv->path($_) } qw(pem key)) if $self->{has}{tls};
    $self->{backend} = MPMX::WebSocket->backend($self->{port}{ws}) if $self->{has}{wstunnel};
    $srv->start;
    my @children = $srv->children;
    die "children: @children\n" if @children != 1;
    $self->{old} = $children[0];
    for my $kind (MPMX::Restarts::Clients::kinds()) {
        next if MPMX::Restarts::Clients::lacks($self, $kind);
        push @{ $self->{clients} }, MPMX::Restarts::Clients::begin($self, $kind);
    }
    return $self->{old};
}

# --- marks of /mpmxt/wait ----------------------------------------------------

sub hold_mark    { return $_[0]{srv}->write("marks/$_[1]", '') }
sub release_mark { return unlink $_[0]{srv}->path("marks/$_[1]") }

sub waits {
    my ($self, $mark) = @_;
    return MPMX::Server::wait_for(sub { -e $self->{srv}->path("marks/$mark.here") }, 10);
}

# --- the change ----------------------------------------------------------------

# Runs the code while the old child stands still and a client with a request waits in the queue.
sub queue_while {
    my ($self, $code) = @_;
    $self->freeze;
    $self->{queued} = $self->{srv}->connect;
    $self->{queued}->send_request('/index.html');
    $code->();
    $self->thaw;
    return;
}

sub freeze {
    my ($self) = @_;
    my $pid = $self->{old};
    push @{ $self->{frozen} }, $pid;
    MPMX::Server::Proc::freeze($pid);
    return;
}

sub thaw {
    my ($self) = @_;
    kill 'CONT', splice @{ $self->{frozen} };
    return;
}

# New clients, one after the other, until the code says that the change is over. The first
# that is not served says what became of them.
sub knock_until {
    my ($self, $over, $secs) = @_;
    my $word;
    my $done = MPMX::Server::wait_for(sub {
        my $saw = $self->_new_client;
        $word = $saw if !defined $word || $word eq 'served';
        return $over->();
    }, $secs || 20);
    $self->{seen}{'new'} = $word;
    return Test::More::ok($done, 'the change is over');
}

sub _new_client {
    my ($self) = @_;
    my $c = $self->{srv}->connect;
    my $r = $c->{error} ? undef : $c->request('/index.html', close => 1);
    my $word = !$r ? ($c->{error} =~ /refused/ ? 'refused' : 'cut') : $r->{status} == 200 ? 'served' : 'cut';
    $c->close;
    return $word;
}

# The old child has begun to end: graceful 1, or 0 at once.
sub leaves {
    my ($self, $graceful) = @_;
    return $self->{srv}->logged("child_stopping pid $self->{old} graceful $graceful");
}

# The idle connections of the old child have gone to another one, as far as they can. A request that
# comes earlier would be one in progress.
sub handed_over {
    my ($self) = @_;
    return 1 if MPMX::Server->is_stock || MPMX::Server::mpm() eq 'worker';
    return $self->{srv}->logged("child $self->{old} has handed \\d+ idle connections over");
}

# Tests: the old child only finishes its work, and who can go elsewhere has.
sub finishes {
    my ($self) = @_;
    Test::More::ok(MPMX::Server::wait_for(sub { $self->leaves(1) }, 10), 'the old child finishes');
    Test::More::ok(MPMX::Server::wait_for(sub { $self->handed_over }, 10), 'its idle clients have gone over, if they can');
    return;
}

# Another child serves.
sub renewed {
    my ($self) = @_;
    my $r = $self->{srv}->get('/mpmxt/id?0');
    return $r->{body} =~ /pid=(\d+)/ && $1 != $self->{old};
}

sub old_is_gone { return !MPMX::Server::Proc::alive($_[0]{old}) }

# --- afterwards ------------------------------------------------------------------

sub _look_at_queued {
    my ($self) = @_;
    my $c = $self->{queued} or return;
    my $r = $c->response(10 * MPMX::Server::slowness());
    $self->{seen}{'in the queue'} = $r->{status} == 200 ? 'served' : 'cut';
    $c->close;
    return;
}

# One assertion for each row: the client saw what the page says, or one of two things.
sub compare {
    my ($self) = @_;
    my %want = %{ $self->{want} };
    $self->_look_at_queued;
    for my $client (@{ $self->{clients} }) {
        my $name = $client->{name};
        $self->{seen}{$name} = MPMX::Restarts::Clients::look($client, defined $want{$name} ? $want{$name} : '');
        $client->{c}->close;
    }
    for my $name (MPMX::Restarts::Clients::kinds(), 'in the queue', 'new') {
        my $word = delete $want{$name};
        my $why = MPMX::Restarts::Clients::lacks($self, $name);
      SKIP: {
            Test::More::skip("$name: $why", 1) if $why;
            Test::More::note("$name | $self->{seen}{$name}");
            my ($seen) = grep { $_ eq $self->{seen}{$name} } split / or /, $word || '';
            Test::More::is($self->{seen}{$name}, defined $seen ? $seen : $word, "$self->{section}: $name");
        }
    }
    Test::More::is(join(', ', sort keys %want), '', 'every row was looked at');
    return;
}

sub finish {
    my ($self, @allow) = @_;
    $_->{c}->close for @{ $self->{clients} };
    $self->{srv}->finish(@allow);
    return;
}

sub DESTROY {
    my ($self) = @_;
    return if $$ != $self->{test};
    local ($?, $!);
    $self->thaw;
    if ($self->{backend}) {
        kill 'TERM', $self->{backend};
        waitpid $self->{backend}, 0;
    }
    return;
}

1;
