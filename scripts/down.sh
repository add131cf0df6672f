#!/usr/bin/env bash
# Ends what `make up` started, by the pids it recorded, and nothing else. ENGINE=1 ends an engine started from here too.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

DIR=$RUN/up
if clusters_in "$DIR"; then
    stop_cluster "$DIR"
    say "cluster stopped; its data stays in $DIR (to begin anew: rm -r $DIR)"
else
    stop_cluster "$DIR" # forgets records of processes that ended by themselves
    say 'no cluster of make up runs'
fi

if [ -n "${ENGINE:-}" ]; then
    if clusters_running ''; then
        warn 'the engine stays: a demo uses it'
    else
        scripts/engine.sh stop
    fi
elif recorded_alive "$RUN/dockerd.pid" || [ -e "$RUN/dockerd.unit" ]; then
    say 'the engine started from here still runs; to stop it as well: make down ENGINE=1'
fi
