#!/bin/sh
# usage: sh build/check.sh [--quick] [--mpm NAME]
#
# Installs what is missing, builds everything, and runs every test there is:
#   symbols       each DSO exports its module record only
#   unit, fuzz    the unit tests, also with AddressSanitizer and UndefinedBehaviorSanitizer, and with
#                 ThreadSanitizer those with threads; the fuzz targets for a short time
#   suite         the Apache::Test suite with each MPM, once more with the APR poller (one MPM:
#                 pollers know nothing of MPMs), and once more each with AddressSanitizer and
#                 UndefinedBehaviorSanitizer; three suites at a time, except for the first
# The last line printed is "N passed, N failed, N skipped". Exit status: 0 if none failed.
#
#   --quick       the normal build, its symbols and its suite only
#   --mpm NAME    this MPM only
#   MPMX_TESTS="t/a.t t/b.t"  these files of the suite only
#   MPMX_JOBS                 how many test files of a suite at a time, where that is possible (2)
#   MPMX_CHECK_MINUTES        after so many minutes (30) what is left counts as failed
set -u
cd "$(dirname "$0")/.." || exit 2
. build/lib.sh

sanitizers=address,undefined
work=
running=

read_arguments() {
    quick=
    mpms=$(known_mpms)
    while [ $# -gt 0 ]; do
        case $1 in
            --quick) quick=yes ;;
            --mpm)
                [ $# -ge 2 ] || die "--mpm needs a name: $(known_mpms)"
                shift
                is_known_mpm "$1" || die "there is no MPM '$1' here, only: $(known_mpms)"
                mpms=$1
                ;;
            -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' build/check.sh; exit 0 ;;
            *) die "usage: sh build/check.sh [--quick] [--mpm NAME]" ;;
        esac
        shift
    done
}

now() { date +%s; }

# Servers below a directory whose tests died without stopping them: their pid files are all that
# is left to go by. Succeeds if there were any.
stop_left_servers() {
    _found=1
    for _file in "$1"/*/run/httpd.pid "$1"/*/t/logs/httpd.pid; do
        _pid=$(cat "$_file" 2>/dev/null) || continue
        # The number may be another program's by now; a server's command line names its directory.
        case $(command_line "$_pid" 2>/dev/null) in
            *"$1"*) ;;
            *) continue ;;
        esac
        _found=0
        say "stopping the server left behind in ${_file%/httpd.pid}"
        stop TERM "$_pid"
    done
    return $_found
}

# Small systems have no ps.
command_line() {
    if [ -r "/proc/$1/cmdline" ]; then tr '\0' ' ' < "/proc/$1/cmdline"; else ps -o args= -p "$1"; fi
}

# gone_within SECONDS PID: waits for its end at most so long; fails if it is still there. A negative
# PID is a process group.
gone_within() {
    _tries=$(($1 * 10))
    while kill -s 0 -- "$2" 2>/dev/null; do
        [ "$_tries" -gt 0 ] || return
        sleep 0.1
        _tries=$((_tries - 1))
    done
}

# stop SIGNAL PID: sends it, waits for 20 seconds, then uses force.
stop() {
    kill -s "$1" -- "$2" 2>/dev/null
    gone_within 20 "$2" || kill -s KILL -- "$2" 2>/dev/null
}

# shellcheck disable=SC2317 # called by trap
clean_up() {
    trap - EXIT
    trap '' INT TERM HUP
    [ -z "$running" ] || say "" "stopping"
    # Those that run stages side by side first, or they would go on with the next stage.
    for _pid in $running; do kill -s KILL "$_pid" 2>/dev/null; done
    [ -n "$work" ] || return
    for _file in "$work"/pids/*; do
        # timeout(1) made itself the leader of a process group, which is gone when all of them are.
        [ ! -f "$_file" ] || stop TERM "-$(cat "$_file")"
    done
    for _dir in "$work/tmp" "$work"/tmp/*; do
        stop_left_servers "$_dir"
        # A tee that nobody writes to any more, or never did, sees the end of the pipe.
        # shellcheck disable=SC2188
        [ ! -p "$_dir/said.pipe" ] || : <> "$_dir/said.pipe"
        rm -f "$_dir/said" "$_dir/said.pipe"
    done
    tell_what_is_left
    remove_work
}

remove_work() {
    rm -rf "$work/tally" "$work/times" "$work/words" "$work"/reports.* "$work"/output.* "$work/pids"
    # Stays with what failed tests left in it.
    rmdir "$work" 2>/dev/null
}

# Tests remove what is theirs unless they fail.
tell_what_is_left() {
    rmdir "$work"/tmp/* "$work/tmp" 2>/dev/null
    [ ! -d "$work/tmp" ] || say "" "what failed tests left is in $work/tmp"
}

# note PASSED FAILED SKIPPED NAME: counts what is not counted by the test harness.
note() { printf '%s\t%s\t%s\t%s\t%s\n' "$MPMX_STAGE" "$@" >> "$MPMX_TALLY"; }

stage_failures() {
    awk -F '\t' -v stage="$MPMX_STAGE" '$1 == stage { n += $3 } END { print n + 0 }' "$MPMX_TALLY"
}

# stage NAME SECONDS COMMAND...: runs one part of the check, at most that long and not beyond the
# end of the whole. Fails if it did. A failure that nothing counted counts as one.
stage() {
    MPMX_STAGE=$1
    _limit=$2
    shift 2
    export MPMX_STAGE
    _start=$(now)
    [ $((_start + _limit)) -le "$deadline" ] || _limit=$((deadline - _start))
    step "$MPMX_STAGE"
    if [ "$_limit" -le 0 ]; then
        say "no time left for it"
        note 0 1 0 "no time left"
        return 1
    fi
    # What it says is shown and kept.
    _said=$TMPDIR/said
    rm -f "$_said" "$_said.pipe"
    mkfifo "$_said.pipe" || { note 0 1 0 "no named pipe"; return 1; }
    tee "$_said" < "$_said.pipe" &
    _tee=$!
    # In the background for the shell only, so that its traps work at once. A shell starts such
    # commands with SIGINT ignored, which tests must not inherit.
    perl -e '$SIG{INT} = $SIG{QUIT} = "DEFAULT"; exec @ARGV or exit 127' timeout -k 20 "$_limit" "$@" > "$_said.pipe" 2>&1 &
    _pid=$!
    echo "$_pid" > "$work/pids/$_pid"
    wait "$_pid"
    _status=$?
    rm -f "$work/pids/$_pid"
    ! stop_left_servers "$TMPDIR" || note 0 1 0 "a server was left behind"
    printf '%s\t%s\n' "$MPMX_STAGE" $(($(now) - _start)) >> "$work/times"
    case $_status in
        0) ;;
        124 | 137) say "stopped: not finished after $_limit seconds"; note 0 1 0 "not finished in time" ;;
        *) [ "$(stage_failures)" -gt 0 ] || note 0 1 0 "exit status $_status" ;;
    esac
    # It ends when nobody has the pipe open; a process that was left behind may.
    gone_within 5 "$_tee" || kill -s TERM "$_tee" 2>/dev/null
    [ "$(stage_failures)" -eq 0 ] || keep_words "$_said"
    rm -f "$_said" "$_said.pipe"
    [ "$(stage_failures)" -eq 0 ]
}

# The last of what the failed tests of a stage said, for the end of the whole output, which may be
# all that somebody gets to see.
keep_words() {
    {
        printf '%s said at last:\n' "$MPMX_STAGE"
        sed '/^\[..:..:..\]/d; /^ok /d; /^# error log/d; /^ *$/d; /^Test Summary Report/,$d' "$1" | tail -n 12 | cut -c 1-160
    } >> "$work/words"
}

# A stage that is itself one test.
single() {
    stage "$@" && note 1 0 0 "$1"
}

# aside COMMAND...: runs stages beside others; what they say is shown by together().
aside() {
    asides=$((asides + 1))
    mkdir -p "$work/tmp/$asides" && chmod 755 "$work/tmp/$asides"
    (
        trap - EXIT INT TERM HUP
        TMPDIR=$work/tmp/$asides
        export TMPDIR
        "$@"
    ) > "$work/output.$asides" 2>&1 &
    running="$running $!"
}

# Waits for what was started with aside() and shows it, one after the other; a sign of life meanwhile.
together() {
    _seconds=0
    for _pid in $running; do
        while kill -s 0 "$_pid" 2>/dev/null; do
            sleep 1
            _seconds=$((_seconds + 1))
            [ $((_seconds % 30)) -ne 0 ] || files_so_far
        done
        wait "$_pid"
    done
    running=
    for _file in "$work"/output.*; do
        [ -f "$_file" ] || continue
        cat "$_file"
        rm -f "$_file"
    done
}

files_so_far() {
    awk -F '\t' '
        FILENAME == ARGV[1] { over[$1] = 1; next }
        !($1 in over) { n[$1]++ }
        END { for (s in n) printf "... %s: %d files%s", s, n[s], "\n" }' "$work/times" "$MPMX_TALLY"
}

make_it() { "$MAKE" --no-print-directory -f Makefile.unix "$@"; }

# build_stage LABEL [VARIABLE=value ...]: sets out to the directory of the DSOs, or to nothing if
# they could not be built.
build_stage() {
    _label=$1
    shift
    out=
    single "build: $_label" 600 "$MAKE" --no-print-directory -f Makefile.unix -j "$(cpus)" all "$@" &&
        out=$(make_it -s print-out "$@")
}

# suite_stage LABEL SECONDS MPM DIRECTORY [NAME=value ...]: the suite with the DSO in that
# directory, with these environment variables.
suite_stage() {
    _label=$1
    _seconds=$2
    _mpm=$3
    _dir=$4
    shift 4
    # Without it the build has failed, and was counted.
    [ -n "$_dir" ] || { step "suite: $_label"; say "not run: not built"; return 1; }
    case $_dir in /*) ;; *) _dir=$PWD/$_dir ;; esac
    # The names of the tests are a list.
    # shellcheck disable=SC2086
    stage "suite: $_label" "$_seconds" env "MPMX_MPM=$_mpm" "MPMX_SO=$_dir/mod_mpmx_$_mpm.so" "$@" \
        perl t/TEST ${MPMX_TESTS:-}
}

# The sanitizers' runtime has to be there before httpd is, which was linked without it.
preload() {
    _cc=${CC:-$(ask_apxs CC)}
    printf '%s:%s\n' "$($_cc -print-file-name=libasan.so)" "$($_cc -print-file-name=libubsan.so)"
}

# Any report that a sanitizer wrote is a failure, whichever test it belongs to.
sanitized_suite() {
    _reports=$work/reports.$1
    rm -rf "$_reports"
    # Processes of any user write here.
    mkdir "$_reports" && chmod 1777 "$_reports" || return
    # httpd frees little at its end, so that leaks cannot be told from habits. A failed allocation
    # is something to handle, not an error in itself. A thread that ends in APR, which is not
    # instrumented, leaves its stack marked as in use, and the sanitizer would stumble over that
    # itself when it takes back the signal stack it gave the thread.
    suite_stage "$1, sanitizers" 1200 "$1" "$sanitized_out" \
        "MPMX_JOBS=${MPMX_JOBS:-2}" "MPMX_PRELOAD=$(preload)" "MPMX_SANITIZER_LOG=$_reports/report" \
        "ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:use_sigaltstack=0:log_path=$_reports/report" \
        "UBSAN_OPTIONS=print_stacktrace=1"
    _shown=0
    for _file in "$_reports"/*; do
        [ -f "$_file" ] || continue
        _shown=$((_shown + 1))
        if [ $_shown -le 5 ]; then
            say "" "sanitizer report $(basename "$_file"):"
            # What follows in the file is a memory map.
            sed -n '/^Shadow bytes/q; 1,60p' "$_file"
        fi
        note 0 1 0 "sanitizer report $(basename "$_file")"
    done
}

check_all() {
    build_stage "as installed"
    plain_out=$out
    if [ -z "$quick" ]; then
        build_stage "APR poller" POLLER=apr
        apr_out=$out
        build_stage "sanitizers" "SANITIZE=$sanitizers"
        sanitized_out=$out
    fi
    [ -z "$plain_out" ] || single symbols 60 "$MAKE" --no-print-directory -s -f Makefile.unix symbols
    if [ -z "$quick" ]; then
        stage unit 300 "$MAKE" --no-print-directory -f Makefile.unix unit
        stage "unit, sanitizers" 300 "$MAKE" --no-print-directory -f Makefile.unix unit-asan
        stage "unit, threads" 300 "$MAKE" --no-print-directory -f Makefile.unix unit-tsan
        single fuzz 300 "$MAKE" --no-print-directory -f Makefile.unix fuzz
    fi
    # Alone, with nothing else to keep it waiting.
    first=${mpms%% *}
    suite_stage "$first" 900 "$first" "$plain_out" "MPMX_JOBS=${MPMX_JOBS:-2}"
    for mpm in ${mpms#"$first"}; do
        aside suite_stage "$mpm" 900 "$mpm" "$plain_out" "MPMX_JOBS=${MPMX_JOBS:-2}"
    done
    # Where that is the only poller, the suite has just been run with it.
    if [ -z "$quick" ] && [ "$(make_it -s print-out)" != "$(make_it -s print-out POLLER=apr)" ]; then
        aside suite_stage "$first, APR poller" 900 "$first" "$apr_out" "MPMX_JOBS=${MPMX_JOBS:-2}"
    fi
    together
    [ -z "$quick" ] || return
    for mpm in $mpms; do
        aside sanitized_suite "$mpm"
    done
    together
}

# The sum: per stage, what failed, and the one line for those who read only the last.
summary() {
    printf '\n== summary (%s seconds)\n' $(($(now) - started))
    awk -F '\t' -v words="$work/words" '
        FILENAME == ARGV[1] { seconds[$1] += $2; next }
        !($1 in seen) { seen[$1] = 1; order[++stages] = $1 }
        { p[$1] += $2; f[$1] += $3; s[$1] += $4; passed += $2; failed += $3; skipped += $4 }
        $3 > 0 { broken[++breaks] = $1 ": " $5 " (" $3 " failed)" ($6 == "" ? "" : ": " $6) }
        END {
            for (i = 1; i <= stages; i++) {
                n = order[i]
                printf "%-32s %6d passed %4d failed %4d skipped %5d s\n", n, p[n], f[n], s[n], seconds[n]
            }
            for (i = 1; i <= breaks; i++) print "FAILED  " broken[i]
            while ((getline line < words) > 0) print line
            printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
            exit failed > 0 || passed == 0
        }' "$work/times" "$MPMX_TALLY"
}

read_arguments "$@"
# Called by make, this would otherwise build what make was called for.
unset MAKEFLAGS MFLAGS POLLER SANITIZE DEBUG DESTDIR
sh build/deps.sh check || exit 2
find_server
work=$(mktemp -d "${TMPDIR:-/tmp}/mpmx-check.XXXXXX") || die "cannot make a temporary directory"
# The servers under test and their sanitizer reports are in there, and may be another user's.
mkdir "$work/tmp" "$work/pids" && chmod 755 "$work" "$work/tmp" || exit 2
asides=0
TMPDIR=$work/tmp
export TMPDIR
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

started=$(now)
deadline=$((started + ${MPMX_CHECK_MINUTES:-30} * 60))
MPMX_APXS=$APXS
MPMX_HTTPD=$HTTPD
MPMX_TALLY=$work/tally
HARNESS_SUBCLASS=MpmxTally
HARNESS_TIMER=1
PERL5LIB=$PWD/build${PERL5LIB:+:$PERL5LIB}
export MPMX_APXS MPMX_HTTPD MPMX_TALLY HARNESS_SUBCLASS HARNESS_TIMER PERL5LIB
: > "$MPMX_TALLY"
: > "$work/times"

say "testing with $("$HTTPD" -v | sed -n 's/^Server version: //p'), $HTTPD"
check_all
tell_what_is_left
# The last line of all is the sum, so nothing may be said after it.
summary
status=$?
trap - EXIT
remove_work
exit $status
