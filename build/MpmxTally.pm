package MpmxTally;
# A TAP::Harness that also notes the result of every test file, for the sum at the end of check.sh.
# Used by both prove and Apache::Test through HARNESS_SUBCLASS=MpmxTally; MPMX_TALLY is the file to
# append to, MPMX_STAGE the stage these tests belong to. One line per test file, fields separated by
# tabs: stage, passed, failed, skipped, name, what the first few that failed say of themselves. Written
# after each file, so that a stage that is stopped half-way still counts what it did.
#
# With MPMX_JOBS=n, n test files at a time run where that is possible: those of t/process have servers
# of their own and mostly wait, all others share one and look at its counters.
use strict;
use warnings;
use parent 'TAP::Harness';

sub _initialize {
    my ($self, $args) = @_;
    my %jobs = !$ENV{MPMX_JOBS} ? () : (jobs => $ENV{MPMX_JOBS},
        rules => { seq => [{ par => '**process/*' }, { seq => '**' }] });
    $self->SUPER::_initialize({ %{ $args || {} }, %jobs }) or return;
    $self->callback(made_parser => \&_listen);
    $self->callback(after_test => \&_note);
    return $self;
}

my %failed;     # by parser: descriptions

sub _listen {
    my ($parser) = @_;
    $parser->callback(test => sub {
        my ($test) = @_;
        return if $test->is_ok;
        (my $says = $test->description) =~ s/^- //;
        $says =~ s/\s+/ /g;
        push @{ $failed{$parser} }, 'test ' . $test->number . ' "' . $says . '"';
    });
    return;
}

sub _note {
    my ($job, $parser) = @_;
    my @says = @{ delete $failed{$parser} || [] };
    splice @says, 3, @says - 3, '...' if @says > 4;
    my $file = $ENV{MPMX_TALLY} or return;
    my $skipped = () = $parser->skipped;
    my $passed = () = $parser->passed;
    my $failed = () = $parser->failed;
    # A file that died, or did not keep to its plan, failed even if each of its asserts passed.
    $failed ||= 1 if $parser->parse_errors || $parser->exit || $parser->wait;
    my @fields = ($ENV{MPMX_STAGE} || '', $passed - $skipped, $failed,
        $skipped + ($parser->skip_all ? 1 : 0), ref $job ? $job->[1] : $job, join(', ', @says));
    open(my $out, '>>', $file) or die "$file: $!\n";
    print $out join("\t", @fields), "\n";
    close($out) or die "$file: $!\n";
    return;
}

1;
