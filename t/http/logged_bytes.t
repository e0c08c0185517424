# Promise: mod_logio counts every byte of request and response, also those that the MPM received
# before the connection had a thread.
use MPMX::Test;
need_module('logio', 'log_config');

my $c = client('io');
my @want;
for my $n (0, 10, 5000, 200_000) {
    my $body = 'b' x $n;
    my $bytes = "POST /sink?n=$n HTTP/1.1\r\nHost: localhost\r\nContent-Length: $n\r\n\r\n$body";
    $n == 5000 ? map { $c->send($_); sleep 0.01 } $bytes =~ /(.{1,700})/gs : $c->send($bytes);
    $c->response_head;
    my $line = $c->line;
    push @want, "/sink?n=$n in=" . length $bytes;
}
$c->close;

my $text = '';
my $logged = wait_until {
    open my $in, '<', logs_dir() . '/io_log' or return 0;
    local $/;
    $text = <$in> || '';
    @want == grep { index($text, "$_ out=") >= 0 } @want;
} 5;
ok($logged, 'the bytes received are logged') or diag("want: @want\ngot: $text");
my @out = $text =~ /out=(\d+)/g;
is(scalar(grep { $_ > 100 && $_ < 1000 } @out), scalar @want, 'and those sent');

done();
