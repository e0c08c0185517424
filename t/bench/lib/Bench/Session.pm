package Bench::Session;
# One run of the benchmark: which servers meet which scenarios, in what order, for how long, and what
# came out. The result of run() is a list of
#   { scenario =>, rows => [ { server =>, runs => [ {key => number} ... ], failed => why not } ... ],
#     skipped => why not at all }
use strict;
use warnings;
use Time::HiRes qw(time);
use Bench::Scenarios;

# Options: servers, scenarios, settings (rounds, seconds, warm, minutes and what scenarios read).
sub new {
    my ($class, %o) = @_;
    my $self = bless { %o, started => time, line => 0 }, $class;
    $self->{deadline} = $self->{started} + $o{settings}{minutes} * 60;
    $self->{left} = 0;
    $self->{left} += $self->_estimate($_) for @{ $o{scenarios} };
    return $self;
}

sub estimate { return $_[0]{left} }

sub run {
    my ($self) = @_;
    my @results;
    for my $scenario (@{ $self->{scenarios} }) {
        my $estimate = $self->_estimate($scenario);
        push @results, my $result = { scenario => $scenario, rows => [] };
        my @servers;
        for my $server (@{ $self->{servers} }) {
            my $why = Bench::Scenarios::unfair_for($scenario, $server);
            push @{ $result->{rows} }, my $row = { server => $server, runs => [], failed => $why };
            push @servers, $row unless $why;
        }
        # Both are said in the table, and the others go on.
        if ($scenario->{needs} && !_have($scenario->{needs})) { $result->{skipped} = "no $scenario->{needs}" }
        elsif (!@servers) { $result->{skipped} = 'no server here that it would be a fair question for' }
        elsif (time > $self->{deadline}) { $result->{skipped} = 'no time left' }
        else {
            $self->_say("$scenario->{title}");
            $scenario->{rounds} ? $self->_in_turn($scenario, \@servers) : $self->_one_by_one($scenario, \@servers);
        }
        $self->{left} -= $estimate;
    }
    $self->_say('');
    return \@results;
}

sub took { return time - $_[0]{started} }

sub _have {
    my ($program) = @_;
    return grep { -x "$_/$program" && !-d _ } split /:/, $ENV{PATH} || '';
}

# About how long a scenario takes. Servers start in half a second and stop in as much.
sub _estimate {
    my ($self, $scenario) = @_;
    my $set = $self->{settings};
    my $servers = grep { !Bench::Scenarios::unfair_for($scenario, $_) } @{ $self->{servers} };
    my $once = $scenario->{seconds}->($set);
    return $servers * ($scenario->{rounds} ? 1 + $set->{warm} + $set->{rounds} * ($once + 0.1) : 1 + $once);
}

# All at the same time, so that a machine that gets slower or faster treats them alike; who is first
# changes from round to round. What only the first load makes a server do is done in a round that
# does not count.
sub _in_turn {
    my ($self, $scenario, $rows) = @_;
    my $set = $self->{settings};
    $self->_try($_, sub { $_[0]->start(%{ $scenario->{size} }) }) for @$rows;
    my %warm = (%$set, seconds => $set->{warm});
    for my $row (@$rows) {
        $self->_progress("warming up: " . $row->{server}->label);
        $self->_try($row, sub { $scenario->{measure}->($_[0], \%warm) });
    }
    for my $round (1 .. $set->{rounds}) {
        for my $row ($round % 2 ? @$rows : reverse @$rows) {
            next if $row->{failed};
            # A round that only some have been measured in would count for nobody's ratio.
            last if time > $self->{deadline} && $row == ($round % 2 ? $rows->[0] : $rows->[-1]);
            $self->_progress("round $round of $set->{rounds}: " . $row->{server}->label);
            $self->_try($row, sub { push @{ $row->{runs} }, $scenario->{measure}->($_[0], $set) });
        }
    }
    for my $row (@$rows) {
        $row->{server}->stop;
        $row->{failed} ||= 'no time left' unless @{ $row->{runs} };
    }
    return;
}

sub _one_by_one {
    my ($self, $scenario, $rows) = @_;
    for my $row (@$rows) {
        if (time > $self->{deadline}) { $row->{failed} = 'no time left'; next }
        $self->_progress($row->{server}->label);
        $self->_try($row, sub {
            my $server = shift;
            $server->start(%{ $scenario->{size} });
            push @{ $row->{runs} }, $scenario->{measure}->($server, $self->{settings});
        });
        $row->{server}->stop;
    }
    return;
}

# What one server cannot do is no reason not to measure the others.
sub _try {
    my ($self, $row, $code) = @_;
    return if $row->{failed};
    return if eval { $code->($row->{server}); 1 };
    ($row->{failed}) = $@ =~ /([^\n]*)/;
    $self->_say('  ' . $row->{server}->label . ": $@");
    return;
}

# ---- what is said meanwhile

sub _say {
    my ($self, $text) = @_;
    $self->_erase;
    print "$text\n";
    return;
}

# On a terminal one line that changes, else a line each.
sub _progress {
    my ($self, $what) = @_;
    my $spent = time - $self->{started};
    my $text = sprintf '  %3d s  %s', $spent, $what;
    if (-t STDOUT) {
        $self->_erase;
        print $text;
        $self->{line} = length $text;
    }
    else { print "$text\n" }
    return;
}

sub _erase {
    my ($self) = @_;
    print "\r", ' ' x $self->{line}, "\r" if $self->{line};
    $self->{line} = 0;
    return;
}

1;
