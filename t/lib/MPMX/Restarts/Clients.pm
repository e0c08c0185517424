package MPMX::Restarts::Clients;
# One client of each kind that a restart or stop may meet. Each is brought to
# its place before the change (begin), and tells afterwards in one word what it
# saw (look). The words are explained in docs/restarts.md.
#
#   kinds()                          the names, in the order of the tables
#   begin($bed, $kind)               a client; dies if it does not get there
#   look($client, $expected)         the word
#
# What is expected only decides how long to wait for an end, and whether what is
# in progress goes on: nobody who shall be cut off helps the server to finish.
use strict;
use warnings;
use Time::HiRes ();
use MPMX::Client;
use MPMX::H2;
use MPMX::WebSocket;

# HTTP/2 that remembers whether the server has said goodbye.
package MPMX::Restarts::H2 {
    our @ISA = ('MPMX::H2');

    sub next_frame {
        my ($self, @args) = @_;
        my $f = $self->SUPER::next_frame(@args);
        $self->{told} = 1 if $f && $f->{type} == MPMX::H2::GOAWAY;
        return $f;
    }
}

my @order = (
    'connected, has sent nothing', 'sending a request head', 'idle', 'idle, TLS', 'idle, HTTP/2', 'idle, WebSocket',
    'in a request', 'in a request, TLS', 'in a request, HTTP/2', 'uploading',
    'downloading', 'downloading, TLS', 'downloading, HTTP/2', 'talking, WebSocket',
);

my %kind = (
    'connected, has sent nothing' => [ \&begin_silent,   \&look_silent ],
    'sending a request head'      => [ \&begin_head,     \&look_head ],
    'idle'                        => [ \&begin_idle,     \&look_idle ],
    'in a request'                => [ \&begin_request,  \&look_request ],
    'uploading'                   => [ \&begin_upload,   \&look_upload ],
    'downloading'                 => [ \&begin_download, \&look_download ],
    'idle, HTTP/2'                => [ \&begin_h2_idle,  \&look_h2_idle ],
    'in a request, HTTP/2'        => [ \&begin_h2_request, \&look_h2_stream ],
    'downloading, HTTP/2'         => [ \&begin_h2_download, \&look_h2_stream ],
    'idle, WebSocket'             => [ \&begin_ws,       \&look_ws ],
    'talking, WebSocket'          => [ \&begin_ws_talk,  \&look_ws_talk ],
);
$kind{"$_, TLS"} = $kind{$_} for 'idle', 'in a request', 'downloading';

sub kinds { return @order }

# Why this kind is not to be had here, or ''.
sub lacks {
    my ($bed, $name) = @_;
    return 'no mod_ssl or IO::Socket::SSL' if $name =~ /TLS|HTTP/ && !$bed->{has}{tls};
    return 'no mod_http2'                  if $name =~ /HTTP/ && !$bed->{has}{http2};
    return 'no mod_proxy_wstunnel'         if $name =~ /WebSocket/ && !$bed->{has}{wstunnel};
    return '';
}

sub begin {
    my ($bed, $name) = @_;
    my $self = bless { bed => $bed, name => $name, secs => 10 * MPMX::Server::slowness() };
    my %o = (port => $bed->{port}{plain}, timeout => $self->{secs});
    $o{rcvbuf} = 16_384 if $name =~ /^downloading/;
    @o{qw(port tls)} = ($bed->{port}{tls}, {}) if $name =~ /TLS/;
    @o{qw(port tls)} = ($bed->{port}{tls}, { SSL_alpn_protocols => ['h2'] }) if $name =~ /HTTP/;
    my $c = $self->{c} = MPMX::Client->new(%o);
    die "$name: $c->{error}\n" if $c->{error};
    $kind{$name}[0]->($self) or die "$name: did not get there ($c->{error})\n";
    return $self;
}

sub look {
    my ($self, $expected) = @_;
    $self->{leaves_it} = $expected =~ /told$/;
    $self->{wait_end} = $expected =~ /^(?:closed|cut)/ ? $self->{secs} : 0;
    $self->{closes} = $expected eq 'finished, closed';
    return $kind{ $self->{name} }[1]->($self);
}

# --- ends -------------------------------------------------------------------

# What is to be seen when the server ends the connection in between: an end in
# order, or one that leaves the client guessing. 'open' if there was none.
sub _end {
    my ($self, $secs) = @_;
    my $c = $self->{c};
    $c->_again;
    1 while $c->_fill(Time::HiRes::time() + $secs);
    if ($c->{error} eq 'timeout') {
        $c->_again;
        return 'open';
    }
    return $c->{error} eq 'eof' && !length $c->{buf} && !$self->{in_progress} && _tls_said($c) ? 'closed' : 'cut';
}

# TLS ends with a word of its own; without it somebody else may have cut the line.
sub _tls_said {
    my ($c) = @_;
    return 1 if !$c->{tls};
    return Net::SSLeay::get_shutdown($c->{fh}->_get_ssl_object) & Net::SSLeay::RECEIVED_SHUTDOWN();
}

# After an answer: is the connection kept, and was the client told if not?
sub _after {
    my ($self, $r) = @_;
    # Where the head had promised more: a request that is there before the end of the answer would be served.
    return $self->look_idle if !$r->{closing} && !$self->{closes};
    my $end = _end($self, $self->{secs});
    return $end if $end ne 'open';
    return $r->{closing} ? 'left open' : $self->look_idle;
}

sub _finished {
    my ($self, $r) = @_;
    my $then = _after($self, $r);
    return $then eq 'cut' ? 'finished, cut' : "finished, $then";
}

# --- HTTP/1.1, with and without TLS -----------------------------------------

sub begin_silent { return 1 }

# The kernel may have let go of it without a word, which shows when something is sent.
sub look_silent {
    my ($self) = @_;
    $self->{wait_end} = 0;
    return $self->look_idle;
}

# Half a head. Nobody tells that it has arrived: what comes after it on another connection has.
sub begin_head {
    my ($self) = @_;
    $self->{c}->send("GET /index.html HTTP/1.1\r\nHost: local") or return 0;
    return $self->{bed}{srv}->get('/index.html')->{status} == 200;
}

sub look_head {
    my ($self) = @_;
    return _cut($self) if $self->{wait_end};
    $self->{c}->send("host\r\n\r\n") or return 'cut';
    my $r = $self->{c}->response;
    return $r->{status} == 200 ? _finished($self, $r) : 'cut';
}

sub begin_idle {
    my ($self) = @_;
    my $r = $self->{c}->request('/index.html');
    return $r->{status} == 200 && !$r->{closing};
}

sub look_idle {
    my ($self) = @_;
    my $c = $self->{c};
    if ($self->{wait_end}) {
        my $end = _end($self, $self->{wait_end});
        return $end if $end ne 'open';
    }
    my $r = $c->request('/index.html');
    return $c->{error} eq 'eof' ? 'closed' : 'cut' if $r->{status} != 200;
    return 'kept' if !$r->{closing} && $c->request('/index.html')->{status} == 200;
    return 'closed untold' if !$r->{closing};
    return _end($self, $self->{secs}) eq 'closed' ? 'one more' : 'one more, cut';
}

# The handler says nothing until it is let go, so the head of its answer is yet to come.
sub begin_request {
    my ($self) = @_;
    ($self->{mark} = $self->{name}) =~ s/\W+/_/g;
    $self->{bed}->hold_mark($self->{mark});
    $self->{c}->send_request("/mpmxt/wait?$self->{mark}");
    return $self->{bed}->waits($self->{mark});
}

sub look_request {
    my ($self) = @_;
    return _cut($self) if $self->{wait_end};
    $self->{bed}->release_mark($self->{mark});
    my $r = $self->{c}->response;
    return $r->{status} == 200 && $r->{body} eq "done\n" ? _finished($self, $r) : 'cut';
}

# It asks for a go-ahead, which comes when the handler begins to read.
sub begin_upload {
    my ($self) = @_;
    my $c = $self->{c};
    $c->send("POST /mpmxt/sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600000\r\nExpect: 100-continue\r\n\r\n");
    my $head = $c->response_head;
    return $head && $head->{status} == 100 && $c->send('u' x 300_000);
}

sub look_upload {
    my ($self) = @_;
    return _cut($self) if $self->{wait_end};
    $self->{c}->send('u' x 300_000) or return 'cut';
    my $r = $self->{c}->response;
    return $r->{status} == 200 && $r->{body} eq "read 600000\n" ? _finished($self, $r) : 'cut';
}

# More than all buffers on the way hold.
sub begin_download {
    my ($self) = @_;
    $self->{c}->send_request('/large.bin');
    $self->{answer} = $self->{c}->response_head;
    return $self->{answer} && $self->{answer}{status} == 200;
}

sub look_download {
    my ($self) = @_;
    my $r = $self->{answer};
    $self->{c}->_body($r, Time::HiRes::time() + 2 * $self->{secs});
    return 'cut' if $r->{error};
    return $r->{body} eq $self->{bed}{large} ? _finished($self, $r) : 'damaged';
}

# Nothing is to be had from it but its end.
sub _cut {
    my ($self) = @_;
    $self->{in_progress} = 1;
    return _end($self, $self->{secs});
}

# --- HTTP/2 -----------------------------------------------------------------

sub _h2_get {
    my ($self, $path) = @_;
    my $stream = $self->{h2}->get($path);
    my $body = $self->{h2}->body($stream, $self->{secs});
    return defined $body ? $body : '';
}

sub begin_h2_idle {
    my ($self) = @_;
    $self->{h2} = MPMX::Restarts::H2->new($self->{c});
    return _h2_get($self, '/index.html') eq $self->{bed}{small};
}

sub _h2_end {
    my ($self, $secs) = @_;
    1 while $self->{h2}->next_frame($secs);
    if ($self->{c}{error} eq 'timeout') {
        $self->{c}->_again;
        return 'open';
    }
    return $self->{c}{error} eq 'eof' && $self->{h2}{told} && !$self->{in_progress} ? 'closed' : 'cut';
}

# One that is told to go may have a GOAWAY at any time; what it has asked for before is answered.
sub look_h2_idle {
    my ($self) = @_;
    if ($self->{wait_end}) {
        my $end = _h2_end($self, $self->{wait_end});
        return $end if $end ne 'open';
    }
    my $served = _h2_get($self, '/index.html') eq $self->{bed}{small};
    return _h2_end($self, $self->{secs}) if !$served;
    return 'kept' if !$self->{h2}{told} && _h2_get($self, '/index.html') eq $self->{bed}{small} && !$self->{h2}{told};
    my $then = $self->_h2_bye;
    return $then eq 'closed' ? 'one more' : "one more, $then";
}

# After a GOAWAY: is the connection closed, or left to the client?
sub _h2_bye {
    my ($self) = @_;
    my $end = _h2_end($self, $self->{leaves_it} ? 0.1 : $self->{secs});
    return $end eq 'open' ? 'told' : $end;
}

sub begin_h2_request {
    my ($self) = @_;
    my $h2 = $self->{h2} = MPMX::Restarts::H2->new($self->{c});
    $self->{mark} = 'h2';
    $self->{want} = "done\n";
    $self->{bed}->hold_mark('h2');
    $self->{stream} = $h2->get('/mpmxt/wait?h2');
    return $self->{bed}->waits('h2');
}

# The window of the stream is what it has until it asks for more.
sub begin_h2_download {
    my ($self) = @_;
    my $h2 = $self->{h2} = MPMX::Restarts::H2->new($self->{c}, window => 1 << 16);
    $self->{want} = $self->{bed}{large};
    $self->{stream} = $h2->get('/large.bin');
    while (my $f = $h2->next_frame($self->{secs})) {
        return 1 if $f->{type} == MPMX::H2::HEADERS;
    }
    return 0;
}

sub look_h2_stream {
    my ($self) = @_;
    if ($self->{wait_end}) {
        $self->{in_progress} = 1;
        return _h2_end($self, $self->{secs});
    }
    $self->{bed}->release_mark($self->{mark}) if $self->{mark};
    my $body = $self->{h2}->body($self->{stream}, 2 * $self->{secs});
    return 'cut' if !defined $body;
    return 'damaged' if $body ne $self->{want};
    return 'finished, ' . ($self->{h2}{told} ? $self->_h2_bye : $self->look_h2_idle);
}

# --- WebSocket --------------------------------------------------------------

sub begin_ws {
    my ($self) = @_;
    $self->{ws} = MPMX::WebSocket->new($self->{c}, '/ws/') or return 0;
    $self->{ws}->say('hello');
    return ($self->{ws}->hear || '') eq 'hello';
}

sub look_ws {
    my ($self) = @_;
    return _cut($self) if $self->{wait_end};
    $self->{ws}->say('still there');
    return ($self->{ws}->hear || '') eq 'still there' ? 'kept' : 'cut';
}

# In the middle of a message.
sub begin_ws_talk {
    my ($self) = @_;
    $self->begin_ws or return 0;
    $self->{message} = MPMX::WebSocket::message('m' x 100_000);
    return $self->{c}->send(substr $self->{message}, 0, 50_000, '');
}

sub look_ws_talk {
    my ($self) = @_;
    return _cut($self) if $self->{wait_end};
    $self->{c}->send($self->{message});
    return ($self->{ws}->hear || '') eq 'm' x 100_000 ? $self->look_ws : 'cut';
}

1;
