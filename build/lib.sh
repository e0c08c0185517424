# shellcheck shell=sh
# What run.sh, check.sh, deps.sh and the benchmark share; sourced in the root of the checkout.
# Plain POSIX sh. Settings that the environment may carry:
#   APXS        the apxs of the httpd to use (default: apxs2 or apxs in PATH)
#   MPMX_HTTPD  its httpd binary (default: what apxs says)

# One line per argument.
say() { printf '%s\n' "$@"; }

# A short headline before each long step.
step() { printf '\n== %s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

# The MPMs that this tree can build; Makefile.unix has the one list.
known_mpms() { sed -n 's/^MPMS *:= *//p' Makefile.unix; }

is_known_mpm() {
    for _mpm in $(known_mpms); do
        [ "$_mpm" = "$1" ] && return 0
    done
    return 1
}

find_apxs() {
    if [ -z "${APXS:-}" ]; then
        for _name in apxs2 apxs; do
            APXS=$(command -v "$_name") && break
        done
    fi
    [ -n "${APXS:-}" ] && have "$APXS" && export APXS
}

ask_apxs() { "$APXS" -q "$1" 2>/dev/null; }

# Sets HTTPD. Needs APXS. Not looked up in PATH first: that httpd may be another one.
find_httpd() {
    HTTPD=${MPMX_HTTPD:-}
    [ -n "$HTTPD" ] && return 0
    _dir=$(ask_apxs SBINDIR)
    for _name in "$(ask_apxs PROGNAME)" "$(ask_apxs TARGET)" httpd apache2; do
        if [ -n "$_name" ] && [ -x "$_dir/$_name" ]; then
            HTTPD=$_dir/$_name
            return 0
        fi
    done
    return 1
}

# GNU make is gmake where make is another one.
find_make() {
    for _name in gmake make; do
        if have "$_name" && "$_name" --version 2>/dev/null | grep -q '^GNU Make'; then
            MAKE=$_name
            return 0
        fi
    done
    return 1
}

# Sets APXS, HTTPD, LIBEXECDIR, MAKE and HTTPD_STATIC (the names of modules linked into httpd), and
# refuses an httpd that cannot load an MPM at all.
find_server() {
    find_apxs || die "no apxs found; name one with APXS=/path/to/apxs"
    find_httpd || die "$APXS names no httpd that exists; name one with MPMX_HTTPD=/path/to/httpd"
    find_make || die "GNU make not found"
    # shellcheck disable=SC2034
    LIBEXECDIR=$(ask_apxs LIBEXECDIR)
    _list=$("$HTTPD" -l) || die "$HTTPD does not run"
    HTTPD_STATIC=$(printf '%s\n' "$_list" | sed -n 's/^ *\([a-z0-9_]*\)\.c$/\1/p')
    for _mpm in event worker prefork; do
        ! is_static "$_mpm" || die "$HTTPD has the MPM '$_mpm' compiled in and cannot load another one; it has to be built with --enable-mpms-shared"
    done
}

is_static() {
    printf '%s\n' "$HTTPD_STATIC" | grep -qx "$1"
}

# LoadModule lines for those of the named modules (without mod_) that this httpd has as DSOs.
load_modules() {
    for _mod in "$@"; do
        if ! is_static "mod_$_mod" && [ -f "$LIBEXECDIR/mod_$_mod.so" ]; then
            say "LoadModule ${_mod}_module \"$LIBEXECDIR/mod_$_mod.so\""
        fi
    done
}

# User and Group lines for a server started as root; nothing for anybody else, who keeps their own.
server_user() {
    [ "$(id -u)" -eq 0 ] || return 0
    for _user in www-data nobody; do
        if id "$_user" >/dev/null 2>&1; then
            say "User $_user"
            say "Group $(id -gn "$_user")"
            return 0
        fi
    done
    die "neither www-data nor nobody exists; as root a server needs a user to run its processes as"
}

cpus() { getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1; }

# build [VARIABLE=value ...] [target ...]: make with one job per processor.
build() { "$MAKE" --no-print-directory -f Makefile.unix -j "$(cpus)" "$@"; }

# port_state ADDRESS PORT: prints "free", "busy" or why the port cannot be used.
# Perl does it because apxs is perl: it is always there.
port_state() {
    perl -MSocket -e '
        my ($address, $port) = @ARGV;
        socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!;
        setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
        if (bind($s, sockaddr_in($port, inet_aton($address))) && listen($s, 1)) { print "free" }
        elsif ($!{EADDRINUSE}) { print "busy" }
        else { print $! }' "$1" "$2"
}
