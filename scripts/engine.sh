#!/usr/bin/env bash
# The container engine of this machine: starts one when none answers, and ends only one that it started itself.
#   scripts/engine.sh start|stop|status
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

RECORD=$RUN/dockerd.pid       # a dockerd that we started
UNIT_RECORD=$RUN/dockerd.unit # the system's own service, when we started that
LOG=$RUN/dockerd.log
WAIT_S=60

# start_dockerd: in a session of its own, so that it outlives make. The daemon's own pid file keeps a second one out.
start_dockerd() {
    local group=()
    [ "$(id -u)" -eq 0 ] || group=(--group "$(id -gn)") # so that this user may talk to it
    as_root setsid env PATH="$PATH:/usr/sbin:/sbin" dockerd "${group[@]}" >"$LOG" 2>&1 </dev/null 9>&- &
    local starter=$!
    wait_for "$WAIT_S" 'the engine' dockerd_answers_or_died "$starter" || return 1
    engine_version >/dev/null || return 1
    local pid
    pid=$(cat /var/run/docker.pid 2>/dev/null || echo "$starter")
    # Another script may have won the race: then the engine is not ours to end.
    if kill -0 "$starter" 2>/dev/null || as_root kill -0 "$starter" 2>/dev/null; then record "$RECORD" "$pid"; fi
}

dockerd_answers_or_died() { engine_version >/dev/null || ! start_time "$1" >/dev/null; }

start() {
    local version
    mkdir -p "$RUN"
    # One start at a time in this folder; started processes do not inherit the lock.
    exec 9>"$RUN/engine.lock"
    flock 9
    if version=$(engine_version); then
        say "engine $version answers"
        return
    fi
    may_be_root || die 'no container engine answers' 'starting one needs root' 'sudo systemctl start docker   (or: sudo dockerd)'
    if [ "$(cat /proc/1/comm)" = systemd ]; then
        say 'no engine answers: starting the docker service'
        as_root systemctl start docker || die 'the docker service did not start' '' 'systemctl status docker'
        wait_for "$WAIT_S" 'the engine' engine_version >/dev/null || die 'the docker service does not answer' '' 'journalctl -u docker'
        touch "$UNIT_RECORD"
    else
        say "no engine answers: starting dockerd (log: $LOG)"
        if ! start_dockerd; then
            tail -n 15 "$LOG" >&2 || true
            die 'dockerd did not come up' "the end of its log is above; all of it is in $LOG" "sudo dockerd   (and read what it says)"
        fi
    fi
    say "engine $(engine_version) answers now"
}

stop() {
    if [ -e "$UNIT_RECORD" ]; then
        as_root systemctl stop docker docker.socket
        rm -f "$UNIT_RECORD"
        say 'docker service stopped'
    elif recorded_alive "$RECORD"; then
        stop_recorded 20 "$RECORD"
        say 'dockerd stopped'
    else
        rm -f "$RECORD"
        say 'no engine was started from this folder: nothing to stop'
    fi
}

case "${1:-}" in
start) start ;;
stop) stop ;;
status) engine_version || die 'no container engine answers' '' 'scripts/engine.sh start' ;;
*) die "usage: scripts/engine.sh start|stop|status" ;;
esac
