#!/usr/bin/env bash
# Leaves a cluster running on this machine: one master, WORKERS workers (1), data in .run/up. `make down` ends it.
# Run again, it starts only what does not run.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

DIR=$RUN/up
WORKERS=${WORKERS:-1}
HTTP_PORT_WANTED=8080
GRPC_PORT_WANTED=50051
GRPC='' HTTP=''
unset CLOUDAI_ADDR CLOUDAI_TOKEN CLOUDAI_CA
export CLOUDAI_CONFIG_DIR=$ROOT/.run/contexts # not the contexts of whoever runs this

[[ $WORKERS =~ ^[1-9][0-9]?$ ]] || die "WORKERS=$WORKERS is not a number from 1 to 99" '' 'make up WORKERS=2'

# address PORT: that port of the loopback address, or any free one when it is taken.
address() {
    if port_free "$1"; then
        echo "127.0.0.1:$1"
    else
        say "port $1 is taken: using a free one" >&2
        echo 127.0.0.1:0
    fi
}

# share: what each of several workers may use: the machine's CPUs and its memory less 1 GiB, in equal parts. One
# alone finds out by itself.
share() {
    local memory_mb
    CPUS='' MEMORY=''
    [ "$WORKERS" -gt 1 ] || return 0
    CPUS=$(($(nproc) / WORKERS))
    [ "$CPUS" -ge 1 ] || CPUS=1
    memory_mb=$((($(awk '/MemTotal/ { print $2 }' /proc/meminfo) / 1024 - 1024) / WORKERS))
    [ "$memory_mb" -ge 512 ] || memory_mb=512
    MEMORY=${memory_mb}m
}

if scripts/doctor.sh --run >/dev/null 2>&1; then :; else scripts/doctor.sh --run --install; fi
mkdir -p "$DIR"
scripts/engine.sh start
step 'build'
build
scripts/images.sh

exec 9>"$RUN/up.lock" # one `make up` at a time
flock 9
step 'cluster'
if find_master "$DIR"; then
    say "the master runs already on $CLOUDAI_ADDR"
else
    # Where it was before: workers of a master that died look for it there, with their containers.
    grpc='' http=''
    if [ -e "$DIR/master.out" ]; then
        grpc=$(json grpc <"$DIR/master.out") || grpc=
        http=$(json http <"$DIR/master.out") || http=
    fi
    if clusters_in "$DIR" && [ -n "$grpc" ] && [ -n "$http" ]; then
        say 'workers run without their master: starting it where they look for it'
    else
        grpc=$(address $GRPC_PORT_WANTED) http=$(address $HTTP_PORT_WANTED)
    fi
    start_master "$DIR" "$grpc" "$http"
    say "master started on $CLOUDAI_ADDR"
fi
share
for n in $(seq "$WORKERS"); do
    if recorded_alive "$DIR/worker-$n.pid"; then
        say "worker-$n runs already"
    else
        start_worker "$DIR" "worker-$n" "$CPUS" "$MEMORY"
        say "worker-$n started${CPUS:+: $CPUS CPU, $MEMORY}"
    fi
done
wait_for_workers "$DIR" "$WORKERS"

cat <<TEXT

   Address: $CLOUDAI_ADDR   (data and logs: $DIR)
   Next:
     export CLOUDAI_ADDR=$CLOUDAI_ADDR
     $BIN task submit --file samples/data-processing/task.toml --follow
     $BIN dispatch worker-1 cloudai/hello:latest --follow
     $BIN task list --all
     $BIN cluster status
     make down
TEXT
