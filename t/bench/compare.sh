#!/bin/sh
# usage: sh t/bench/compare.sh [mpm] [scenario ...]
#
# The stock MPM of this httpd (for winnt: worker) and the one of mpmx side by side: same configuration, same machine,
# in turn. See compare.pl for the scenarios and settings. Loads this machine's loopback only.
set -u
cd "$(dirname "$0")/../.." || exit 2
. build/lib.sh

mpm=${1:-event}
[ $# -eq 0 ] || shift
is_known_mpm "$mpm" || die "there is no MPM '$mpm' here, only: $(known_mpms)"

sh build/deps.sh bench || exit 2
find_server
build all || exit 2
out=$("$MAKE" -s --no-print-directory -f Makefile.unix print-out)
case $out in /*) ;; *) out=$PWD/$out ;; esac

# httpd's own winnt is for Windows.
rival=$mpm
[ "$mpm" != winnt ] || rival=worker
stock=$LIBEXECDIR/mod_mpm_$rival.so
[ -f "$stock" ] || die "this httpd has no stock $rival to compare with: $stock"

# Servers and client need a descriptor for each of a thousand connections.
# shellcheck disable=SC3045 # where it is unknown, nothing is lost
ulimit -n "$(ulimit -H -n)" 2>/dev/null

work=$(mktemp -d "${TMPDIR:-/tmp}/mpmx-bench.XXXXXX") || exit 2
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# What both configurations have in common; the rest differs by server.
{
    load_modules unixd authz_core mime dir
    server_user
} > "$work/common.conf" || exit 2

perl t/bench/compare.pl "$work" "$HTTPD" "$stock" "$out/mod_mpmx_$mpm.so" "$@"
