#!/usr/bin/env bash
# Sends a running master what its OpenAPI document allows, and what it does not, for SECONDS (100): no answer may be a
# fault of the master, and each must be as the document says. Half of that time an administrator asks one with users,
# the other half anybody one without. Python packages (pip) go to .run/schemathesis, and each master and its worker,
# which only acts, stop when this ends.
#   scripts/schemathesis.sh [SECONDS] [BINARY]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

SECONDS_OF_IT=${1:-100}
BIN=${2:-$BIN}
HOME_OF_IT=$RUN/schemathesis
PACKAGE=schemathesis==4.32.5
CHECKS=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance
# What never ends, and what is no HTTP once it has begun.
LEFT_OUT='^(/ws/|/api/v1/events)'
DIR=
GRPC='' HTTP='' KEY=''
unset CLOUDAI_ADDR CLOUDAI_TOKEN CLOUDAI_JOIN_TOKEN

[[ $SECONDS_OF_IT =~ ^[1-9][0-9]*$ ]] || die "$SECONDS_OF_IT is no number of seconds" '' "$0 100"
[ -x "$BIN" ] || die "there is no $BIN" 'the API that is asked is that of a built binary' 'make all'

on_exit() {
    local code=$?
    trap - EXIT
    trap '' INT TERM
    [ -z "$DIR" ] || stop_cluster "$DIR"
    if [ "$code" -eq 0 ]; then
        rm -rf "$DIR"
    else
        printf '\nthe check of the API failed; logs and reports are in %s\n' "${DIR:-$RUN}" >&2
    fi
    exit "$code"
}

# packages: a Python of its own with the package; what is current is left alone.
packages() {
    local hash
    mkdir -p "$RUN"
    exec 8>"$RUN/schemathesis.lock" # one at a time
    flock 8
    hash=$({ "$PYTHON" --version; printf '%s\n' "$PACKAGE"; } | sha256sum | cut -c 1-16)
    if [ "$(cat "$HOME_OF_IT/made-of" 2>/dev/null)" != "$hash" ]; then
        if [ -n "${CLOUDAI_NO_INSTALL:-}" ]; then
            die "$PACKAGE is not there" 'CLOUDAI_NO_INSTALL is set' "unset CLOUDAI_NO_INSTALL; $0"
        fi
        rm -rf "$HOME_OF_IT"
        if ! { "$PYTHON" -m venv "$HOME_OF_IT" &&
            "$HOME_OF_IT/bin/python" -m pip install --quiet "$PACKAGE"; } >"$RUN/schemathesis.log" 2>&1; then
            tail -n 15 "$RUN/schemathesis.log" >&2
            die "$PACKAGE can not be installed" "the log is $RUN/schemathesis.log" "$0"
        fi
        printf '%s\n' "$hash" >"$HOME_OF_IT/made-of"
    fi
    exec 8>&-
}

# call METHOD PATH [JSON]: asks the master, as whoever KEY is of where there is one; prints what it answers.
call() {
    KEY=$KEY "$PYTHON" -c '
import os, sys, urllib.request
method, address, body = sys.argv[1:]
request = urllib.request.Request(address, body.encode() or None, {"content-type": "application/json"}, method=method)
if os.environ["KEY"]:
    request.add_header("authorization", "Bearer " + os.environ["KEY"])
print(urllib.request.urlopen(request, timeout=30).read().decode())' "$1" "http://$HTTP$2" "${3:-}"
}

# ended ID: whether the task has ended.
ended() { [ "$(call GET "/api/v1/tasks/$1" | json status)" = completed ]; }

# joined: whether the worker is there.
joined() { call GET /api/v1/workers/worker-1 >/dev/null 2>&1; }

# sign_in: an API key of the administrator's. A session would end with the first sign-out that is tried, a key stays.
sign_in() {
    local password
    password=$(json admin_password <"$DIR/master.out")
    KEY=$(call POST /api/v1/auth/login "{\"user\": \"admin\", \"password\": \"$password\"}" | json access_token)
    KEY=$(call POST /api/v1/keys '{"name": "api-check"}' | json key)
}

# settings TASK JOB KEY: who asks; ids that are there stand in most of the paths, the others are made up.
settings() {
    cat <<TOML
[cache]
enabled = false

[dictionaries]
tasks = { values = ["$1"] }
jobs = { values = ["$2"] }
workers = { values = ["worker-1"] }
strategies = { values = ["greedy", "balanced", "ai"] }
people = { values = ["somebody"] }
keys = { values = ["$3"] }

[[operations]]
include-path-regex = "^/api(/v1)?/tasks/\\\\{id"
[operations.parameters]
"path.id" = { dictionary = "tasks", probability = 0.8 }
"query.strategy" = { dictionary = "strategies", probability = 0.8 }

[[operations]]
include-path-regex = "^/api/v1/jobs/\\\\{id"
[operations.parameters]
"path.id" = { dictionary = "jobs", probability = 0.8 }

[[operations]]
include-path-regex = "^(/api(/v1)?/workers|/telemetry)/\\\\{id"
include-method = ["GET", "POST", "PATCH"]
[operations.parameters]
"path.id" = { dictionary = "workers", probability = 0.8 }

# Names and ids that answers told are tried as well: whoever asks must not be removed that way.
[[operations]]
include-path-regex = "^/api/v1/users/"
[operations.parameters]
"path.name" = { dictionary = "people", probability = 1.0 }

[[operations]]
include-path-regex = "^/api/v1/keys/"
[operations.parameters]
"path.id" = { dictionary = "keys", probability = 1.0 }
TOML
    [ -z "$KEY" ] || printf '\n[headers]\nAuthorization = "Bearer %s"\n' "$KEY"
}

# check open|secured SECONDS: one master, asked for so long.
check() {
    local security=$1 seconds=$2 token task job other=none
    KEY=
    DIR=$(mktemp -d "$RUN/api-check.XXXXXX")
    start_master "$DIR" 127.0.0.1:0 127.0.0.1:0 "$security"
    if [ "$security" = secured ]; then
        sign_in || die 'the administrator can not sign in' "see $DIR/master.log"
        call POST /api/v1/users '{"name": "somebody", "role": "user"}' >/dev/null || die 'no user was made'
        other=$(call POST /api/v1/keys '{"name": "other"}' | json id) || die 'no key was made'
    fi
    token=$(json join_token <"$DIR/master.out") || die 'the master gave no join token' "see $DIR/master.log"
    spawn "$DIR" worker-1 "$BIN" worker start --master "$GRPC" --join-token "$token" --id worker-1 --executor fake \
        --cpus 8 --mem 16g --disk 100g --data-dir "$ROOT/$DIR/worker-1"
    wait_for 30 'the worker' joined || die 'the worker did not join' "see $DIR/worker-1.log"
    task=$(call POST /api/v1/tasks '{"image": "fake:true", "env": {"FAKE_STDOUT": "hello"}}' | json id) ||
        die 'no task was accepted'
    job=$(call POST /api/v1/jobs '{"tasks": [{"name": "a", "image": "fake:true", "array": 3}]}' | json id) ||
        die 'no job was accepted'
    wait_for 30 "$task" ended "$task" || die "the task did not end" "see $DIR/worker-1.log"
    settings "$task" "$job" "$other" >"$DIR/schemathesis.toml"
    ask "$security" "$seconds"
    # A master that fell and was begun anew would answer as well.
    recorded_alive "$DIR/master.pid" || die 'the master has died' "see $DIR/master.log"
    if grep -q 'request handler panicked' "$DIR/master.log"; then
        die 'a handler panicked' "see $DIR/master.log"
    fi
    # Whoever is nobody is answered 401 to everything, which the document allows.
    if [ "$security" = secured ] && [ "$(call GET /api/v1/auth/whoami | json key)" != api-check ]; then
        die 'the API key was lost on the way' 'what came after that was asked by nobody' "see $DIR/report.txt"
    fi
    stop_cluster "$DIR"
    rm -rf "$DIR"
    DIR=
}

# ask open|secured SECONDS: in the folder of the check, for what it leaves behind.
ask() {
    say "schemathesis asks a master ($1) at $CLOUDAI_ADDR for $2 s"
    # It may look at the clock a little late; what it began is ended in any case.
    (cd "$DIR" && timeout $(($2 + 120)) "$ROOT/$HOME_OF_IT/bin/schemathesis" --config-file schemathesis.toml run \
        "$CLOUDAI_ADDR/api/openapi.json" --exclude-path-regex "$LEFT_OUT" --phases examples,coverage,fuzzing \
        --checks "$CHECKS" --max-time "$2" --max-failures 20 --workers 2 --request-timeout 70 \
        --suppress-health-check all --warnings off --no-color >report.txt 2>&1) || {
        tail -n 200 "$DIR/report.txt" >&2
        die 'the master did not answer as its document says' "all of it is in $DIR/report.txt" "$0 $SECONDS_OF_IT"
    }
    grep -E 'Tested:|generated' "$DIR/report.txt" | sed 's/^ */   /'
}

trap on_exit EXIT
packages
half=$(((SECONDS_OF_IT + 1) / 2))
check secured "$half"
check open "$half"
