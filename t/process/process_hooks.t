# The hooks about processes add up: every child reported as started is reported
# as exited once, with the same generation; a generation ends once, after its
# last child; child_stopping runs once per kind in every child that was not
# killed; monitor runs every now and then.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use MPMX::Server;

my $srv = MPMX::Server->new(handlers => 1, c_modules => ['mod_mpmxt_proc_hooks'],
    sizing => { StartServers => 2, MinSpareThreads => 16 });
$srv->start;
my $many = $srv->first_children;
$srv->wait_for(sub { $srv->children >= $many }, 5);

# A life with everything in it: a busy drain, a crash, both kinds of restart.
my $killed;
for my $event (qw(USR1 KILL USR1 busy HUP USR1)) {
    my %old = map { $_ => 1 } $srv->children;
    my @busy = $event eq 'busy' ? $srv->hold(2, 'busy') : ();
    if ($event eq 'KILL') {
        ($killed) = keys %old;
        $srv->wait_logged("mpmxt: child_init pid $killed\\b", 5);
        kill 'KILL', $killed;
        ok($srv->wait_for(sub { my @now = $srv->children; @now >= $many && !grep { $_ == $killed } @now }, 10), 'a killed child is replaced');
        next;
    }
    $srv->signal($event eq 'busy' ? 'USR1' : $event);
    ok($srv->wait_for(sub { grep { !$old{$_} } $srv->children }, 15), "$event: a new generation");
    is($srv->release('busy', @busy), 2, 'the old one finishes its requests') if @busy;
    ok($srv->wait_for(sub { my @now = $srv->children; @now >= $many && !grep { $old{$_} } @now }, 15), "$event: the old one is gone");
}
is($srv->get('/index.html')->{status}, 200, 'serving');
ok($srv->wait_logged('mpmxt: monitor', 14), 'monitor runs');
# Gone is for /proc who is still to be told of by the parent.
$srv->wait_logged('mpmxt: end_generation 4', 5);
$srv->stop;

my (%started, %exited, %stopping, %ended, @order, %last);
for (split /\n/, $srv->error_log) {
    if (/mpmxt: child_status (\w+) pid (\d+) generation (\d+)/) {
        push @{ $started{$2} }, $3 if $1 eq 'started';
        if ($1 eq 'exited') { push @{ $exited{$2} }, $3; push @order, "exit $3" }
    }
    elsif (/mpmxt: child_stopping pid (\d+) graceful (\d)/) { $stopping{$1}{$2}++ }
    elsif (/mpmxt: end_generation (\d+)/) { $ended{$1}++; push @order, "end $1" }
}
my @twice = grep { @{ $started{$_} } != 1 || @{ $exited{$_} || [] } != 1 } keys %started;
is("@twice", '', 'every child started once and exited once');
is(join(' ', grep { !$started{$_} } keys %exited), '', 'none exited that had not started');
is(join(' ', grep { ($exited{$_}[0] // -1) != $started{$_}[0] } keys %started), '', 'with the same generation');

my %generations = map { $_->[0] => 1 } values %started;
my ($last) = sort { $b <=> $a } keys %generations;
is($last, 5, 'five restarts: generations 0 to 5');
# HUP ended generation 3: then its last child goes while the modules are being
# unloaded, and httpd has nobody left to tell.
is(join(' ', map { $ended{$_} // 0 } 0, 1, 2, 4), '1 1 1 1', 'generations ended gracefully ended once');
cmp_ok($ended{3} // 0, '<=', 1, 'the one that HUP ended not twice');
cmp_ok($ended{$last} // 0, '<=', 1, 'the last one not twice');
my $order_ok = 1;
for my $i (0 .. $#order) {
    next unless $order[$i] =~ /^end (\d+)/;
    $order_ok = 0 if grep { $_ eq "exit $1" } @order[ $i + 1 .. $#order ];
}
ok($order_ok, 'and after its last child');

my @silent = grep { !$stopping{$_} && $_ != $killed } keys %started;
is("@silent", '', 'child_stopping ran in every child that was not killed');
my @often = grep { my $p = $_; grep { $_ > 1 } values %{ $stopping{$p} } } keys %stopping;
is("@often", '', 'never twice in the same kind');
is($srv->logged('mpmxt: child_init'), scalar keys %started, 'child_init once in each');

$srv->finish(qr/exit signal Killed/);
done_testing;
