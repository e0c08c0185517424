#!/bin/sh
# usage: sh build/run.sh [mpm] [port]
#
# Installs what is missing, builds, and runs a throw-away httpd with the MPM (default: event) in the
# foreground until Ctrl-C: a small site and /server-status on port 8080, or the next free one unless
# a port is given. Everything it writes is in a temporary directory that goes away with it.
#   MPMX_ADDRESS  the address to listen on (default: 127.0.0.1, this machine only)
set -u
cd "$(dirname "$0")/.." || exit 2
. build/lib.sh

usage="usage: sh build/run.sh [$(known_mpms | tr ' ' '|')] [port]"
default_port=8080
address=${MPMX_ADDRESS:-127.0.0.1}
root=
pid=

read_arguments() {
    mpm=event
    port=
    case ${1:-} in
        -h | --help) say "$usage"; exit 0 ;;
        '' | *[!0-9]*) mpm=${1:-event}; [ $# -eq 0 ] || shift ;;
    esac
    [ $# -le 1 ] || die "$usage"
    port=${1:-}
    is_known_mpm "$mpm" || die "there is no MPM '$mpm' here, only: $(known_mpms)"
    case $port in
        *[!0-9]* | ??????*) die "'$port' is not a port (1 to 65535)" ;;
    esac
    [ -z "$port" ] || { [ "$port" -ge 1 ] && [ "$port" -le 65535 ]; } || die "'$port' is not a port (1 to 65535)"
}

# A given port must be free; otherwise the first free one of a hundred is taken.
choose_port() {
    if [ -n "$port" ]; then
        _state=$(port_state "$address" "$port")
        case $_state in
            free) return ;;
            busy) die "port $port is in use by another program; give another one: sh build/run.sh $mpm $((port % 65535 + 1))" ;;
            *) die "cannot listen on $address, port $port: $_state" ;;
        esac
    fi
    port=$default_port
    while [ "$port" -lt $((default_port + 100)) ]; do
        _state=$(port_state "$address" "$port")
        case $_state in
            free) return ;;
            busy) port=$((port + 1)) ;;
            *) die "cannot listen on $address, port $port: $_state" ;;
        esac
    done
    die "no free port from $default_port to $port; give one: sh build/run.sh $mpm PORT"
}

write_site() {
    cat > "$root/htdocs/index.html" <<END
<!DOCTYPE html>
<title>mpmx</title>
<h1>It works: mpmx $mpm</h1>
<ul>
<li><a href="/server-status">server-status</a> and <a href="/server-status?auto">its machine-readable form</a>
<li><a href="/big.bin">a file of 16 MB</a>
</ul>
END
    dd if=/dev/zero of="$root/htdocs/big.bin" bs=65536 count=256 2>/dev/null
}

write_config() {
    cat > "$root/httpd.conf" <<END
ServerRoot "$root"
DefaultRuntimeDir "$root/run"
PidFile "$root/run/httpd.pid"
ServerName localhost
Listen $address:$port
LoadModule mpm_${mpm}_module "$dso"
$(load_modules unixd log_config authz_core authz_host mime dir status reqtimeout)
$(server_user)
ErrorLog "$root/logs/error.log"
LogLevel notice mpm_$mpm:info
LogFormat "%h %l %u %t \"%r\" %>s %b" common
CustomLog "$root/logs/access.log" common
DocumentRoot "$root/htdocs"
DirectoryIndex index.html
TypesConfig /dev/null
AddType text/html .html
ExtendedStatus On
<Directory />
    AllowOverride None
    Require all denied
</Directory>
<Directory "$root/htdocs">
    Require all granted
</Directory>
<Location "/server-status">
    SetHandler server-status
</Location>
END
}

# Ends the server if it still runs, and leaves nothing behind.
# shellcheck disable=SC2317 # called by trap
finish() {
    trap - EXIT
    trap '' INT TERM HUP
    if [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null; then
        _tries=0
        while kill -0 "$pid" 2>/dev/null && [ "$_tries" -lt 150 ]; do
            sleep 0.1
            _tries=$((_tries + 1))
        done
        kill -KILL "$pid" 2>/dev/null && say "httpd did not end in time and was killed"
    fi
    [ -z "$root" ] || rm -rf "$root"
}

announce() {
    # Nobody can open http://0.0.0.0/.
    case $address in
        0.0.0.0) _host=localhost ;;
        *) _host=$address ;;
    esac
    say "" "$("$HTTPD" -v | sed -n 's/^Server version: //p') with mpmx $mpm is running." \
        "  site        http://$_host:$port/" \
        "  status      http://$_host:$port/server-status" \
        "  error log   $root/logs/error.log" \
        "  access log  $root/logs/access.log" \
        "  config      $root/httpd.conf" \
        "Stop it with Ctrl-C; its files go away then." ""
}

# Returns once the server answers, or fails when it ended instead.
wait_until_up() {
    _tries=0
    while kill -0 "$pid" 2>/dev/null && [ "$_tries" -lt 300 ]; do
        [ -s "$root/run/httpd.pid" ] && [ "$(port_state "$address" "$port")" = busy ] && return 0
        sleep 0.1
        _tries=$((_tries + 1))
    done
    return 1
}

serve() {
    trap finish EXIT
    trap 'say "" "stopping"; exit 0' INT
    trap 'exit 143' TERM HUP
    root=$(mktemp -d "${TMPDIR:-/tmp}/mpmx-run.XXXXXX") || die "cannot make a temporary directory"
    # The server's processes may run as another user than the one who started it.
    chmod 755 "$root"
    (umask 022 && mkdir "$root/run" "$root/logs" "$root/htdocs" && write_site && write_config) || exit 2

    # In the background for the shell only, so that its traps work at once.
    "$HTTPD" -f "$root/httpd.conf" -DFOREGROUND &
    pid=$!
    if wait_until_up; then
        announce
        wait "$pid"
    fi
    say "httpd ended by itself. Its error log:"
    tail -n 20 "$root/logs/error.log" 2>/dev/null
    pid=
    exit 1
}

read_arguments "$@"
sh build/deps.sh run || exit 2
find_server
choose_port
step "building mpmx $mpm for $HTTPD"
dso=$("$MAKE" -s -f Makefile.unix print-out)/mod_mpmx_$mpm.so || exit 2
build all || exit 2
case $dso in /*) ;; *) dso=$PWD/$dso ;; esac
serve
