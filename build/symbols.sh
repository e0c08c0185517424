#!/bin/sh
# usage: symbols.sh DSO SYMBOL - fails unless SYMBOL is the only symbol that DSO exports.
set -u
dso=$1
wanted=$2

# These are made by some linkers and C runtimes, not by us.
exported=$(${NM:-nm} -D --defined-only "$dso" | awk '{print $NF}' |
    grep -v -x -e _init -e _fini -e _edata -e _end -e __bss_start)

if [ "$exported" = "$wanted" ]; then
    echo "ok   $dso exports $wanted only"
    exit 0
fi
{
    echo "FAIL $dso must export $wanted and nothing else; it exports:"
    echo "${exported:-nothing}" | sed 's/^/    /'
} >&2
exit 1
