#!/usr/bin/env bash
# Tells what this machine needs for building, running and testing CloudAI, and mends it where it may.
#   scripts/doctor.sh            prints the table; exits 1 when something needed is missing
#   scripts/doctor.sh --install  installs what apt has (root, or sudo without a password); never touches Rust
#   scripts/doctor.sh --run ...  leaves out what only the tests need
# CLOUDAI_NO_INSTALL=1 turns installing off: then the commands are printed instead.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

RUST_MIN=1.95
DISK_MIN_GB=8

run_only=''
if [ "${1:-}" = --run ]; then
    run_only=--run
    shift
fi

packages=() # what apt can mend
by_hand=()  # commands that only the user may run

row() { printf '   %-16s %-26s %-9s %s\n' "$1" "$2" "$3" "${4:-}"; }

# need NAME FOUND KIND MEND: an empty FOUND is missing. KIND: apt (MEND is packages), hand (a command), optional (a remark).
need() {
    local name=$1 found=$2 kind=$3 mend=$4 names
    if [ -n "$found" ]; then
        row "$name" "$found" ok
    elif [ "$kind" = optional ]; then
        row "$name" - "optional" "$mend"
    elif [ "$kind" = apt ]; then
        row "$name" - MISSING "apt-get install $mend"
        read -ra names <<<"$mend"
        packages+=("${names[@]}")
    else
        row "$name" - MISSING "$mend"
        by_hand+=("$mend")
    fi
}

# first_version COMMAND...: the first number with dots that the command prints.
first_version() { "$@" 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1 || true; }

at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

check_rust() {
    local version how
    version=$(first_version cargo --version)
    if ! command -v cargo >/dev/null && [ -x "${HOME:-}/.cargo/bin/cargo" ]; then
        # shellcheck disable=SC2016 # printed for the user's shell to expand
        how='. "$HOME/.cargo/env"'
    elif command -v rustup >/dev/null; then
        how="rustup toolchain install $RUST_MIN.0 --component rustfmt,clippy"
    else
        how="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --default-toolchain $RUST_MIN.0"
    fi
    [ -n "$version" ] && ! at_least "$version" "$RUST_MIN" && version=
    need "cargo >= $RUST_MIN" "$version" hand "$how"
    [ -n "$version" ] || return 0
    need rustfmt "$(first_version cargo fmt --version)" hand 'rustup component add rustfmt'
    need clippy "$(first_version cargo clippy --version)" hand 'rustup component add clippy'
    version=$(first_version cargo nextest --version)
    need nextest "$version" optional 'cargo test is used instead'
    need 'nightly rust' "$(first_version rustc +nightly --version)" optional 'for make fuzz alone: rustup toolchain install nightly --profile minimal'
}

check_engine() {
    local version problem
    # The client is asked first: a client without an engine is common, and an engine needs a client.
    need 'docker client' "$(first_version docker --version)" apt docker-cli
    if version=$(engine_version) && [ -n "$version" ]; then
        need engine "$version (running)" apt docker.io
        return
    fi
    problem=$(timeout 10 docker version 2>&1 || true)
    if [[ $problem == *'permission denied'* ]]; then
        need engine '' hand "sudo usermod -aG docker $(id -un) && newgrp docker"
    elif [ -x /usr/sbin/dockerd ] || command -v dockerd >/dev/null; then
        version=$(PATH=$PATH:/usr/sbin first_version dockerd --version)
        need engine "$version (not started yet)" apt docker.io
    else
        need engine '' apt docker.io
    fi
}

check_system() {
    local gcc='' busybox='' free
    printf '#include <stdio.h>\nint main(void) { return 0; }\n' | cc -x c -o /dev/null - 2>/dev/null && gcc=$(first_version cc -dumpfullversion)
    need 'C compiler' "$gcc" apt 'gcc libc6-dev'
    need make "$(first_version make --version)" apt make
    need python3 "$(first_version "$PYTHON" --version)" apt python3
    if [ -x /bin/busybox ] && { LC_ALL=C ldd /bin/busybox 2>&1 || true; } | grep -qE 'not a dynamic|statically'; then
        busybox=$(first_version /bin/busybox)
    fi
    need busybox-static "$busybox" apt busybox-static
    # Tests set the wall clock of single processes with it.
    need faketime "$(first_version faketime --version)" apt faketime
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    if [ "$free" -ge "$DISK_MIN_GB" ]; then
        row disk "$free GB free" ok
    else
        row disk "$free GB free" low "a build takes up to $DISK_MIN_GB GB"
    fi
}

# Real peers of the tests, and what makes networks whose links can be cut.
check_tests() {
    local podman=''
    # The sample agent's packages are installed for it alone.
    need python3-venv "$("$PYTHON" -c 'import ensurepip, venv; print(ensurepip.version())' 2>/dev/null || true)" apt python3-venv
    need ip "$(PATH=$PATH:/usr/sbin:/sbin command -v ip)" apt iproute2
    need iptables "$(PATH=$PATH:/usr/sbin:/sbin first_version iptables --version)" apt iptables
    need docker-registry "$(command -v docker-registry)" apt docker-registry
    # Without its init process it runs no container of ours.
    [ -x /usr/libexec/podman/catatonit ] || [ -x /usr/bin/catatonit ] && podman=$(first_version podman --version)
    need podman "$podman" apt 'podman catatonit'
}

install_packages() {
    export DEBIAN_FRONTEND=noninteractive
    say "installing with apt: ${packages[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq update ||
        die 'apt-get update failed' 'see the lines above' 'mend the package sources, then run this again'
    # Its package starts a registry for everybody on port 5000; the tests start their own.
    if [[ " ${packages[*]} " == *' docker-registry '* && -d /run/systemd/system ]]; then
        as_root systemctl mask docker-registry.service >>"$RUN/apt.log" 2>&1 || true
    fi
    # Debian 12 and Ubuntu ship the client inside docker.io; newer Debian has it apart.
    if ! apt-cache show docker-cli >/dev/null 2>&1; then packages=("${packages[@]/#docker-cli/docker.io}"); fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq -y --no-install-recommends \
        install "${packages[@]}" >"$RUN/apt.log" 2>&1 || {
        tail -n 20 "$RUN/apt.log" >&2
        die "apt could not install ${packages[*]}" "the log is $RUN/apt.log" "sudo apt-get install ${packages[*]}"
    }
}

step 'what this machine has'
row need found state 'how to mend'
check_rust
check_system
check_engine
if [ -z "$run_only" ]; then check_tests; fi

if [ "${#by_hand[@]}" -eq 0 ] && [ "${#packages[@]}" -eq 0 ]; then exit 0; fi

if [ "${1:-}" = --install ] && [ "${#packages[@]}" -gt 0 ] && [ -z "${CLOUDAI_NO_INSTALL:-}" ] &&
    command -v apt-get >/dev/null && may_be_root; then
    mkdir -p "$RUN"
    install_packages
    # Look again with fresh eyes; without --install, so that it ends.
    exec "$0" ${run_only:+"$run_only"}
fi

printf '\nerror: this machine lacks something that CloudAI needs; run:\n' >&2
if [ "${#packages[@]}" -gt 0 ]; then
    printf '  sudo apt-get update && sudo apt-get install -y --no-install-recommends %s\n' "${packages[*]/#docker-cli/docker.io}" >&2
fi
for command in "${by_hand[@]}"; do printf '  %s\n' "$command" >&2; done
exit 1
