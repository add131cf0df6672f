# shellcheck shell=bash
# What the scripts of this folder share: messages, recorded processes, the engine's state, a little JSON.
# Source it; it starts nothing by itself. Every path is relative to the root of the repository, where it changes to.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT" || exit 1
RUN=.run
# shellcheck disable=SC2034 # used by the scripts that source this
BIN="${CARGO_TARGET_DIR:-target}/ci/cloudai"
# The system's own Python: the sample's base image is made of its files, and the scripts read JSON with it.
PYTHON=/usr/bin/python3

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    BOLD=$'\033[1m' PLAIN=$'\033[0m'
else
    BOLD='' PLAIN=''
fi

step() { printf '\n%s== %s%s\n' "$BOLD" "$*" "$PLAIN"; }
say() { printf '   %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }

# die WHAT [WHY [NEXT]]: says what happened, why, and the next command; exits 1.
die() {
    printf 'error: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf '  why:  %s\n' "$2" >&2
    [ -z "${3:-}" ] || printf '  next: %s\n' "$3" >&2
    exit 1
}

# may_be_root: whether as_root works without asking for a password.
may_be_root() { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }

# engine_version: prints the version of the engine that answers; fails when none does.
engine_version() { timeout 10 docker version --format '{{.Server.Version}}' 2>/dev/null; }

# --- recorded processes -------------------------------------------------------------------------------------
# A pid alone may name another process after a while; with its start time it can not.

# start_time PID: the boot-clock tick at which the process started; fails when it is gone or a zombie.
start_time() {
    local line fields
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    # The name in parentheses may hold blanks: cut to behind it.
    read -ra fields <<<"${line##*) }"
    [ "${fields[0]}" != Z ] && printf '%s\n' "${fields[19]}"
}

# record FILE PID: remembers the process in FILE.
record() { printf '%s %s\n' "$2" "$(start_time "$2" || echo gone)" >"$1"; }

# recorded_alive FILE: whether the process that FILE names still runs; leaves its pid in PID.
recorded_alive() {
    local start
    PID=
    [ -s "$1" ] && read -r PID start <"$1" && [ "$(start_time "$PID")" = "$start" ]
}

# spawn DIR NAME COMMAND...: runs it in a session of its own (Ctrl-C does not reach it), recorded in DIR/NAME.pid,
# stdout in DIR/NAME.out and stderr at the end of DIR/NAME.log.
spawn() {
    local dir=$1 name=$2
    shift 2
    setsid "$@" >"$dir/$name.out" 2>>"$dir/$name.log" </dev/null 9>&- &
    record "$dir/$name.pid" $!
}

# stop_recorded GRACE_S FILE...: SIGTERM to all that still run, SIGKILL to those that outlive the grace.
stop_recorded() {
    local grace=$1 file deadline
    shift
    for file in "$@"; do
        recorded_alive "$file" && { kill -TERM "$PID" 2>/dev/null || as_root kill -TERM "$PID" || true; }
    done
    deadline=$((SECONDS + grace))
    local told=
    for file in "$@"; do
        while recorded_alive "$file" && [ "$SECONDS" -lt "$deadline" ]; do
            if [ -z "$told" ] && [ "$SECONDS" -ge $((deadline - grace + 2)) ]; then
                told=yes
                say "waiting for $(basename "$file" .pid) to stop its containers ($grace s at most)"
            fi
            sleep 0.1
        done
        if recorded_alive "$file"; then
            warn "$(basename "$file" .pid) (pid $PID) did not stop within $grace s: killed"
            kill -KILL "$PID" 2>/dev/null || as_root kill -KILL "$PID" || true
        fi
        rm -f "$file"
    done
}

# clusters_in DIR: whether a master or worker recorded in DIR still runs.
clusters_in() {
    local file
    for file in "$1"/*.pid; do recorded_alive "$file" && return 0; done
    return 1
}

# clusters_running [EXCEPT_DIR]: whether any cluster started from this folder still runs.
clusters_running() {
    local dir
    for dir in "$RUN"/*/; do
        dir=${dir%/}
        [ "$dir" != "${1:-}" ] && clusters_in "$dir" && return 0
    done
    return 1
}

# --- small things -------------------------------------------------------------------------------------------

# json FIELD: reads JSON lines (or one document) from stdin, prints FIELD of the first object that has it.
json() {
    "$PYTHON" -c '
import json, sys
text, field = sys.stdin.read(), sys.argv[1]
try:
    found = [json.loads(text)]
except ValueError:
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
for one in found:
    if field in one:
        print("" if one[field] is None else one[field])
        sys.exit(0)
sys.exit(1)' "$1"
}

# wait_for SECONDS WHAT COMMAND...: repeats the command every 0.1 s until it succeeds; fails after SECONDS.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || { warn "gave up waiting for $what"; return 1; }
        sleep 0.1
    done
}

# answers HOST:PORT PATH: whether an HTTP GET is answered with 200. Bash alone: curl may not be there.
answers() {
    local line=
    { exec 3<>"/dev/tcp/${1%:*}/${1##*:}"; } 2>/dev/null || return 1
    printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$2" "$1" >&3
    read -r -t 5 line <&3 || true
    exec 3>&-
    [[ $line == *' 200 '* ]]
}

# port_free PORT: whether nothing listens there on the loopback address.
port_free() { ! { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; }

# --- a cluster of this machine ------------------------------------------------------------------------------

# build: the binary that tests use as well. On a terminal cargo shows its own progress.
build() {
    local cargo=(cargo build --locked --profile ci -p cloudai)
    say 'cargo build --profile ci (the first time 3 to 8 minutes on 2 cores, seconds later on)'
    if [ -t 2 ]; then
        "${cargo[@]}"
    else
        "${cargo[@]}" 2>&1 | awk '/^ *(Compiling|Download)/ { if (++n % 50 == 0) { print "   " n " crates"; fflush() } next } { print; fflush() }'
    fi || die 'the build failed' 'the lines above are the compiler'\''s' "${cargo[*]}"
}

# start_master DIR GRPC HTTP [secured]: returns when it answers; leaves its addresses in GRPC and HTTP, the client's in
# CLOUDAI_ADDR. One that is not said to be secured has no users and no encryption.
start_master() {
    local dir=$1 open=--insecure
    [ "${4:-}" != secured ] || open=
    spawn "$dir" master "$BIN" master ${open:+"$open"} --data-dir "$ROOT/$dir/master" --grpc "$2" --http "$3" \
        --strategy greedy --no-shell --print-addresses --print-credentials
    wait_for 30 'the master' master_answers_or_died "$dir" || true
    find_master "$dir" || {
        tail -n 15 "$dir/master.log" >&2
        die 'the master did not start' "the end of its log is above; all of it is in $dir/master.log"
    }
}

master_answers_or_died() { find_master "$1" || ! recorded_alive "$1/master.pid"; }

# find_master DIR: whether the master recorded there runs and answers; sets GRPC, HTTP and CLOUDAI_ADDR.
find_master() {
    recorded_alive "$1/master.pid" && GRPC=$(json grpc <"$1/master.out") && HTTP=$(json http <"$1/master.out") &&
        answers "$HTTP" /livez && export CLOUDAI_ADDR="http://$HTTP"
}

# start_worker DIR ID [CPUS MEMORY]: does not wait for its registration, see wait_for_workers.
start_worker() {
    local token
    token=$("$BIN" worker token) || die 'the master gave no join token' "see $1/master.log"
    spawn "$1" "$2" "$BIN" worker start --master "$GRPC" --join-token "$token" --id "$2" --executor docker \
        ${3:+--cpus "$3" --mem "$4"} --disk 10g --data-dir "$ROOT/$1/$2"
}

# wait_for_workers DIR N: until N workers are registered.
wait_for_workers() {
    wait_for 30 "$2 workers" workers_registered "$2" || {
        tail -n 5 "$1"/worker-*.log >&2
        die 'not every worker registered with the master' "the ends of their logs are above; all of them are in $1/"
    }
}

workers_registered() { [ "$("$BIN" worker list -o quiet 2>/dev/null | wc -l)" -ge "$1" ]; }

# stop_cluster DIR: workers first, so that they end their containers and tell the master; then the master.
stop_cluster() {
    stop_recorded 40 "$1"/worker-*.pid
    stop_recorded 20 "$1/master.pid"
}
