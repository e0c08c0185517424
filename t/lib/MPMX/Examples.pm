package MPMX::Examples;

# The example configurations in build/conf/, as the tests read them.
#
# In these files a directive that is commented out has no space behind its #, a comment has one. The
# fragment for a plain httpd.conf is for all MPMs: what is in <IfModule mpm_..._module> or its
# negation is there for some of them.

use strict;
use warnings;
use MPMX::Server::Toolchain;

my $dir = MPMX::Server::Toolchain::top() . '/build/conf';

# The file of one MPM in Debian's form, and the one for all.
sub debian_conf { return "mpmx_$_[0].conf" }
sub debian_load { return "mpmx_$_[0].load" }
sub plain_conf  { return 'mpmx-httpd.conf' }

sub text {
    my ($name) = @_;
    open(my $fh, '<', "$dir/$name") or die "$dir/$name: $!\n";
    local $/;
    return scalar <$fh>;
}

# Every MPM that there is, by its short name: Makefile.unix has the one list.
sub mpms {
    open(my $fh, '<', MPMX::Server::Toolchain::top() . '/Makefile.unix') or die "Makefile.unix: $!\n";
    my ($names) = map { /^MPMS\s*:=\s*(.*?)\s*$/ ? $1 : () } <$fh>;
    return split ' ', $names;
}

# [directive, arguments, whether it is commented out], in the order of the file, as far as they
# concern this MPM.
sub directives {
    my ($name, $mpm) = @_;
    my (@found, @in_force);
    for (split /\n/, text($name)) {
        if (/^\s*<IfModule\s+(!?)(\w+)>/) {
            push @in_force, ($2 eq "mpm_${mpm}_module") != ($1 eq '!');
        }
        elsif (m{^\s*</IfModule>}) {
            pop @in_force;
        }
        elsif (/^\s*(#?)([A-Z]\w*)\s+(\S.*?)\s*$/ && !(grep { !$_ } @in_force)) {
            push @found, [$2, $3, $1 eq '#'];
        }
    }
    return @found;
}

# The file with every directive in force but those named, and without its LoadModule lines.
sub uncommented {
    my ($name, @without) = @_;
    my $text = text($name);
    $text =~ s/^(\s*)#([A-Z])/$1$2/mg;
    $text =~ s/^\s*$_\s.*\n//mg for 'LoadModule', @without;
    return $text;
}

# The LoadModule lines, commented out or not: [module, file, whether it is commented out].
sub load_lines {
    my ($name) = @_;
    my $text = text($name);
    my @found;
    push @found, [$2, $3, $1 eq '#'] while $text =~ /^(#?)LoadModule (\w+) (\S+)$/mg;
    return @found;
}

1;
