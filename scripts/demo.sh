#!/usr/bin/env bash
# From nothing to the result of a container: a master and three workers on this machine run two tasks, their logs are
# followed, their files fetched and checked; then everything that this script started is stopped.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

DIR=            # this run's data, logs and pids
TASKS=()        # ids of what was submitted
STOPPED=        # set once all that is done
STARTED_ENGINE= # set when no engine ran before
GRPC='' HTTP=''
unset CLOUDAI_ADDR CLOUDAI_TOKEN CLOUDAI_CA
export CLOUDAI_CONFIG_DIR=$ROOT/.run/contexts # not the contexts of whoever runs this

# stop_all: ends it all, once; fails when a container of the demo had outlived its worker.
stop_all() {
    local id left clean=yes
    [ -z "$STOPPED" ] || return 0
    STOPPED=yes
    [ -n "$DIR" ] || { stop_engine; return; }
    step 'stopping what the demo started'
    stop_cluster "$DIR"
    say 'workers and master stopped'
    for id in "${TASKS[@]}"; do
        left=$(docker ps -aq --filter "label=cloudai.task=$id" | tr '\n' ' ') || true
        [ -n "$left" ] || continue
        clean=
        warn "task $id left containers behind; removing them: $left"
        xargs docker rm -f <<<"$left" >/dev/null || true
    done
    [ -z "$clean" ] || say 'no container of the demo is left'
    stop_engine
    [ -n "$clean" ]
}

# stop_engine: only one that this demo started, and only when nobody else uses it by now.
stop_engine() {
    [ -n "$STARTED_ENGINE" ] || return 0
    if clusters_running "$DIR" || [ -n "$(docker ps -q || true)" ]; then
        say 'the engine stays: other containers or clusters use it by now'
    else
        scripts/engine.sh stop
    fi
}

on_exit() {
    local code=$?
    trap - EXIT
    trap '' INT TERM
    stop_all || code=1
    [ "$code" -eq 0 ] || printf '\ndemo failed; its logs are in %s\n' "${DIR:-$RUN}" >&2
    exit "$code"
}

# submit COMMAND...: sets ID to the id of the new task.
submit() {
    say "\$ cloudai $*"
    ID=$("$BIN" "$@" -o quiet) || die 'the task was not accepted' 'the line above is the master'\''s'
    TASKS+=("$ID")
    say "$ID"
}

# report ID: prints outcome and times of a finished task; fails unless it completed with exit code 0.
report() {
    "$BIN" task info "$1" -o json | "$PYTHON" -c '
import datetime, json, re, sys

def moment(value):
    if isinstance(value, (int, float)):
        return datetime.datetime.fromtimestamp(value / 1000, datetime.timezone.utc)
    text = re.sub(r"\.(\d{1,6})\d*", lambda m: "." + m[1].ljust(6, "0"), value.replace("Z", "+00:00"))
    return datetime.datetime.fromisoformat(text)

task = json.load(sys.stdin)
ok = task["status"] == "completed" and task["exit_code"] == 0
print("   status     {status}, exit code {exit_code}, on {worker_id}, attempt {attempt}".format(**task))
if not ok:
    print("   reason     {reason}: {message}".format(**task))
else:
    queued, started, finished = (moment(task[name]) for name in ("created_at", "started_at", "finished_at"))
    clock = lambda t: t.strftime("%H:%M:%S.%f")[:-3]
    print(f"   times      queued {clock(queued)}, started {clock(started)}, finished {clock(finished)} (UTC)")
    wait, run = (started - queued).total_seconds(), (finished - started).total_seconds()
    print(f"   seconds    {wait:.2f} from submit to start, {run:.2f} running")
sys.exit(not ok)'
}

# fetch ID FILE: downloads the files of a task; sets FETCHED to the path of FILE, which has to be among them.
fetch() {
    "$BIN" task download "$1" "$DIR/files/$1" >/dev/null || die "the files of $1 could not be fetched"
    FETCHED=$DIR/files/$1/$2
    [ -s "$FETCHED" ] || die "$2 is not among the files of $1" "there is: $(cd "$DIR/files/$1" && find . -type f | tr '\n' ' ')"
}

prepare() {
    step 'tools'
    if scripts/doctor.sh --run >/dev/null 2>&1; then say 'everything needed is there'; else scripts/doctor.sh --run --install; fi
    step 'container engine'
    mkdir -p "$RUN"
    if engine_version >/dev/null; then
        say "engine $(engine_version) answers"
    else
        scripts/engine.sh start
        STARTED_ENGINE=yes
    fi
    step 'build'
    build
    scripts/images.sh
}

start_cluster() {
    step 'a master and three workers'
    DIR=$(mktemp -d "$RUN/demo-XXXXXX")
    mkdir "$DIR/files"
    start_master "$DIR" 127.0.0.1:0 127.0.0.1:0
    local n
    for n in 1 2 3; do start_worker "$DIR" "worker-$n" 1 1g; done
    wait_for_workers "$DIR" 3
    say "master on $CLOUDAI_ADDR, embedded storage in $DIR"
    "$BIN" worker list | sed 's/^/   /'
}

run_tasks() {
    local first second
    step 'task 1: data-processing, placed by the scheduler'
    submit task submit --file samples/data-processing/task.toml
    first=$ID
    step 'task 2: hello, sent to worker-2'
    submit dispatch worker-2 cloudai/hello:latest --name hello
    second=$ID

    step 'logs of task 1, live'
    "$BIN" task logs "$first" --follow | sed -u 's/^/   | /'
    "$BIN" task wait "$first" --timeout 120s >/dev/null || true
    report "$first" || die 'task 1 did not complete'
    step 'logs of task 2'
    "$BIN" task wait "$second" --timeout 120s >/dev/null || true
    "$BIN" task logs "$second" | sed 's/^/   | /'
    report "$second" || die 'task 2 did not complete'

    step 'files that the tasks left in /out'
    fetch "$first" result.json
    say "$FETCHED"
    "$PYTHON" -m json.tool "$FETCHED" | sed 's/^/   /' || die 'result.json is not JSON'
    fetch "$second" hello.txt
    say "$FETCHED: $(cat "$FETCHED")"
    grep -q "$second.*worker-2" "$FETCHED" || die 'hello.txt does not name its task and worker-2'
}

trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

prepare
start_cluster
run_tasks
stop_all
trap - EXIT
# Without root the files of other users stay: the containers wrote them as nobody.
rm -rf "$DIR" 2>/dev/null || as_root rm -rf "$DIR" 2>/dev/null || say "left behind: $DIR"
step "done: two tasks, two results, nothing left running; $SECONDS s in all"
