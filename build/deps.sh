#!/bin/sh
# usage: deps.sh run|check|bench
#
# Finds out what is missing to build and run, to run all tests, or to compare with the stock MPM.
# On Debian and its relatives root gets it installed; anybody else is told the one command for it.
# Elsewhere the missing things are named. When nothing is missing, nothing is done and no network
# is used. Exit status: 0 all there, 2 something is missing.
#
# A web server of this machine is left alone: services are neither started nor restarted by what is
# installed here, and its configuration stays as it is.
set -u
cd "$(dirname "$0")/.." || exit 2
. build/lib.sh

packages=
names=

# missing NAME PACKAGE...: NAME for people, PACKAGE for Debian.
missing() {
    names="$names
  $1"
    shift
    for _package in "$@"; do
        case " $packages " in
            *" $_package "*) ;;
            *) packages="$packages $_package" ;;
        esac
    done
}

compiler() {
    if [ -n "${CC:-}" ]; then
        say "$CC"
    elif find_apxs; then
        ask_apxs CC
    else
        say cc
    fi
}

# links SOURCE COMPILER [OPTION...]: does it make a program out of this C source?
links() {
    _source=$1
    shift
    _program=$(mktemp) || die "cannot make a temporary file"
    printf '%s\n' "$_source" | "$@" -x c -o "$_program" - >/dev/null 2>&1
    _status=$?
    rm -f "$_program"
    return $_status
}

# have_support NAME: is this support program of httpd there?
have_support() {
    have "$1" || { find_apxs && { have "$(ask_apxs BINDIR)/$1" || have "$(ask_apxs SBINDIR)/$1"; }; }
}

a_program='#include <stdio.h>
int main(void) { return printf("") != 0; }'
a_fuzz_target='int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return p == 0 && n == 1; }'

look_for_build() {
    # The compiler may be a command with options of its own, so it is not quoted.
    # shellcheck disable=SC2046
    links "$a_program" $(compiler) || missing "a C compiler with the C library's headers" gcc libc6-dev
    have "${NM:-nm}" || missing "nm" binutils
    find_make || missing "GNU make" make
    have perl || missing "perl" perl
    if find_apxs; then
        [ -f "$(ask_apxs INCLUDEDIR)/httpd.h" ] || missing "httpd's headers, in $(ask_apxs INCLUDEDIR)" apache2-dev
        find_httpd || missing "httpd itself, in $(ask_apxs SBINDIR)" apache2-bin
    else
        missing "apxs and httpd's headers" apache2-dev
        have apache2 || have /usr/sbin/apache2 || missing "httpd itself" apache2-bin
    fi
}

look_for_tests() {
    # Not all of perl is there where perl-base is.
    perl -MTest::Harness -MTest::More -e 1 2>/dev/null || missing "perl's standard library" perl
    perl -MApache::Test -e 1 2>/dev/null || missing "Apache::Test for perl" libapache2-mod-perl2
    perl -MIO::Socket::SSL -e 1 2>/dev/null || missing "IO::Socket::SSL for perl" libio-socket-ssl-perl
    have_support rotatelogs || missing "httpd's rotatelogs" apache2-utils
    have curl || missing "curl" curl
    { have h2load && have nghttp; } || missing "the nghttp2 clients nghttp and h2load" nghttp2-client
    have openssl || missing "openssl" openssl
    have timeout || missing "timeout" coreutils
    # shellcheck disable=SC2046
    links "$a_program" $(compiler) -fsanitize=address,undefined ||
        missing "the compiler's sanitizers (libasan, libubsan)" gcc
    links "$a_fuzz_target" clang -fsanitize=fuzzer,address || missing "clang with libFuzzer" clang libclang-rt-dev
}

look() {
    packages=
    names=
    look_for_build
    [ "$1" = run ] || look_for_tests
    [ "$1" != bench ] || have wrk || missing "wrk" wrk
    [ -z "$names" ]
}

is_debian() {
    have apt-get && grep -q -E '^ID(_LIKE)?=.*debian' /etc/os-release 2>/dev/null
}

# ---- Debian ----

policy=/usr/sbin/policy-rc.d
policy_mark='# temporary, by mpmx build/deps.sh'
perl_link=/etc/apache2/mods-enabled/perl.load

# Debian asks this program before it starts or restarts a service for a package.
hold_services() {
    [ -e "$policy" ] && ! grep -q "$policy_mark" "$policy" && return 0
    trap release_services EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" > "$policy" && chmod 755 "$policy"
}

release_services() {
    grep -q "$policy_mark" "$policy" 2>/dev/null && rm -f "$policy"
    trap - EXIT INT TERM HUP
}

install_missing() {
    export DEBIAN_FRONTEND=noninteractive
    had_perl_link=$([ -e "$perl_link" ] && echo yes)
    hold_services
    # shellcheck disable=SC2086
    apt-get -qq -o Acquire::Retries=3 update &&
        apt-get -qq -y -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install --no-install-recommends $packages
    status=$?
    release_services
    # The package with Apache::Test enables mod_perl in the machine's own server: undo that.
    [ -e "$perl_link" ] && [ -z "$had_perl_link" ] && a2dismod -q -f perl
    return $status
}

# ---- main ----

case ${1:-} in
    run | check | bench) purpose=$1 ;;
    *) die "usage: deps.sh run|check|bench" ;;
esac

# A chosen httpd can not be installed by us.
[ -z "${APXS:-}" ] || have "$APXS" || die "APXS=$APXS is not a program"
look "$purpose" && exit 0

say "Missing:$names"
command="apt-get update && apt-get install -y --no-install-recommends$packages"
if ! is_debian; then
    die "please install what is named above, and start again"
elif [ "$(id -u)" -ne 0 ]; then
    say "" "As root, please run:"
    say "    $command"
    exit 2
fi

say "" "Installing it: $command"
install_missing || die "the installation failed; see above"
look "$purpose" || die "still missing after the installation:$names"
say "Installed."
