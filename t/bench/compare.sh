#!/bin/sh
# usage: sh t/bench/compare.sh [--quick] [--out DIRECTORY] [mpm ...] [scenario ...]
#
# The MPMs of mpmx and the stock MPMs of the same httpd side by side: same configuration, same machine, in turn.
# Without names all of both, with all scenarios, in about 10 minutes; --quick takes event only, and 2.
# Stock prefork is measured with event, whose place is often its; an nginx that is in PATH, always.
# Table (Markdown) and picture (SVG) go to out/bench, or the directory given.
# See compare.pl for the settings, lib/Bench/Scenarios.pm for the scenarios, and docs/internals/benchmark.md.
# Loads this machine's loopback only.
set -u
called_in=$PWD
cd "$(dirname "$0")/../.." || exit 2
. build/lib.sh

quick=
results=
mpms=
scenarios=
while [ $# -gt 0 ]; do
    case $1 in
        --quick) quick=--quick ;;
        --out)
            [ $# -ge 2 ] || die "--out needs a directory"
            shift
            case $1 in /*) results=$1 ;; *) results=$called_in/$1 ;; esac
            ;;
        -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' t/bench/compare.sh; exit 0 ;;
        -*) die "unknown option $1; see --help" ;;
        *) if is_known_mpm "$1"; then mpms="$mpms $1"; else scenarios="$scenarios $1"; fi ;;
    esac
    shift
done
if [ -z "$mpms" ]; then
    mpms=$(known_mpms)
    [ -z "$quick" ] || mpms=event
fi

sh build/deps.sh bench || exit 2
find_server
# MPMS may have been said to the make that called, about the benchmark; what it builds is another matter.
build all MPMS="$(known_mpms)" || exit 2
out=$("$MAKE" -s --no-print-directory -f Makefile.unix print-out)
case $out in /*) ;; *) out=$PWD/$out ;; esac
results=${results:-$out/bench}
mkdir -p "$results" || exit 2

# add_stock NAME: measure that one, once.
add_stock() {
    case " $added " in *" $1 "*) return ;; esac
    added="$added $1"
    if [ -f "$LIBEXECDIR/mod_mpm_$1.so" ]; then
        servers="$servers $1=$LIBEXECDIR/mod_mpm_$1.so"
    else
        say "this httpd has no stock $1 to compare with"
    fi
}
# Each of ours stands behind the stock one that it is compared with. httpd's own winnt is for Windows.
added=
servers=
for mpm in $mpms; do
    case $mpm in winnt) add_stock worker ;; *) add_stock "$mpm" ;; esac
    servers="$servers $mpm=$out/mod_mpmx_$mpm.so"
    [ "$mpm" != event ] || [ -n "$quick" ] || add_stock prefork
done

# Servers and clients need a descriptor for each of thousands of connections.
# shellcheck disable=SC3045 # where it is unknown, nothing is lost
ulimit -n "$(ulimit -H -n)" 2>/dev/null

work=$(mktemp -d "${TMPDIR:-/tmp}/mpmx-bench.XXXXXX") || exit 2
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# What all configurations have in common; the rest differs by server.
{
    # mod_status as most servers have it: it turns ExtendedStatus on, which costs something with each request.
    load_modules unixd authz_core mime dir status
    say "TypesConfig /dev/null"
    server_user
} > "$work/common.conf" || exit 2

set -- --httpd "$HTTPD" --common "$work/common.conf" --work "$work" --out "$results"
nginx=$(command -v nginx) && set -- "$@" --nginx "$nginx"
for server in $servers; do set -- "$@" --server "$server"; done
# The names of scenarios are a list.
# shellcheck disable=SC2086
perl t/bench/compare.pl $quick "$@" $scenarios
