# Promise: clients that ask for large files and do not read hold no thread; when they read in the
# end, everything arrives whole. (Files sent with EnableSendfile On; without it httpd's core
# sends all but the last 64 kB from within the handler, whatever the MPM.)
use MPMX::Test;
need_async('it is what sends the file');

# more stuck clients than the server has threads; two of them want 50 MB
my %want = map { $_ => doc($_) } qw(large.bin huge.bin);
my @readers;
for my $i (1 .. 40) {
    my $name = $i <= 2 ? 'huge.bin' : 'large.bin';
    my $c = client(undef, timeout => seconds(60));
    $c->send_request("/bysendfile/$name");
    push @readers, { client => $c, want => \$want{$name}, at => 0 };
}

my $free = wait_until { my $busy = busy_workers(); defined $busy && $busy <= 1 } 15;
ok($free, 'no thread stays with them');
my $writing = wait_until { (status()->{ConnsAsyncWriting} || 0) >= 40 } 15;
ok($writing, 'mod_status counts them as writing') or diag(status()->{ConnsAsyncWriting});
others_are_served('meanwhile');

# now all read, each as much as there is
my $until = time + seconds(60);
my %open = map { $_ => $readers[$_] } 0 .. $#readers;
my $whole = 0;
while (%open && time < $until) {
    my $set = '';
    vec($set, fileno($_->{client}->fh), 1) = 1 for values %open;
    select($set, undef, undef, 1);
    for my $i (keys %open) {
        my $r = $open{$i};
        next unless vec($set, fileno($r->{client}->fh), 1);
        my $n = sysread $r->{client}->fh, my $piece, 262_144;
        if (!$n) {
            delete $open{$i};
            next;
        }
        if (!$r->{head}) {
            ($r->{head}, $piece) = split /\r\n\r\n/, $piece, 2;
            next if !defined $piece;
        }
        if ($piece ne substr ${ $r->{want} }, $r->{at}, length $piece) {
            diag("reader $i: wrong after byte $r->{at}");
            delete $open{$i};
            next;
        }
        $r->{at} += length $piece;
        if ($r->{at} == length ${ $r->{want} }) {
            ++$whole;
            delete $open{$i};
        }
    }
}
is($whole, 40, 'all of them got their file, whole');

my $again = grep { $_->{client}->request('/small.bin')->{status} == 200 } @readers;
is($again, 40, 'and their connections go on');
$_->{client}->close for @readers;

done();
