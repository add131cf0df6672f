#!/usr/bin/env bash
# Feeds every target of crates/fuzzing with what libFuzzer makes of its seeds (fuzz/seeds), for SECONDS (1200) in all,
# each for its share. What it learned stays in .run/fuzz/corpus and is where the next run begins. Fails on any finding,
# with the input and the command that repeats it. Needs a nightly compiler; cargo-fuzz is installed where it is missing.
#   scripts/fuzz.sh [SECONDS] [TARGET...]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

SECONDS_OF_IT=${1:-1200}
HOME_OF_IT=$ROOT/$RUN/fuzz
BUILD=$HOME_OF_IT/target
# One input may take so long and so much memory, in seconds and MiB, and have so many bytes.
INPUT_SECONDS=20
INPUT_MEMORY=2048
INPUT_BYTES=65536
unset CARGO_TARGET_DIR
# All that a backtrace needs: with everything the programs take gigabytes.
export RUSTFLAGS=-Cdebuginfo=line-tables-only
shift || true

[[ $SECONDS_OF_IT =~ ^[1-9][0-9]*$ ]] || die "$SECONDS_OF_IT is no number of seconds" '' "$0 1200"

# tools: a nightly compiler, which is never installed for you, and cargo-fuzz.
tools() {
    command -v rustup >/dev/null ||
        die 'there is no rustup' 'a nightly compiler stands beside the pinned one with it' 'see https://rustup.rs'
    rustc +nightly --version >/dev/null 2>&1 ||
        die 'there is no nightly compiler' 'libFuzzer needs flags that only nightly takes' \
            'rustup toolchain install nightly --profile minimal'
    command -v c++ >/dev/null ||
        die 'there is no C++ compiler' 'libFuzzer is built from its source' 'sudo apt-get install g++'
    cargo +nightly fuzz --version >/dev/null 2>&1 && return
    [ -z "${CLOUDAI_NO_INSTALL:-}" ] ||
        die 'there is no cargo-fuzz' 'CLOUDAI_NO_INSTALL is set' 'cargo install cargo-fuzz --locked'
    say 'cargo install cargo-fuzz --locked'
    cargo install cargo-fuzz --locked >"$RUN/cargo-fuzz.log" 2>&1 || {
        tail -n 15 "$RUN/cargo-fuzz.log" >&2
        die 'cargo-fuzz can not be installed' "the log is $RUN/cargo-fuzz.log" "$0 $SECONDS_OF_IT"
    }
}

# figure NAME FILE: a figure that libFuzzer printed at its end; 0 where it did not come to that.
figure() { sed -n "s/^stat::$1: *//p" "$2" | tail -n 1 | grep . || echo 0; }

# fuzz TARGET SECONDS: one target for so long, earlier findings first; its line of the table. Fails when it found
# something.
fuzz() {
    local target=$1 seconds=$2 found=$HOME_OF_IT/findings/$1 corpus=$HOME_OF_IT/corpus/$1 log=$HOME_OF_IT/$1.log
    local began=$SECONDS code=0 inputs input
    mkdir -p "$corpus" "$found"
    "$PROGRAMS/$target" "$corpus" "fuzz/seeds/$target" "$found" -artifact_prefix="$found/" -max_total_time="$seconds" \
        -max_len="$INPUT_BYTES" -timeout="$INPUT_SECONDS" -rss_limit_mb="$INPUT_MEMORY" -print_final_stats=1 \
        >"$log" 2>&1 </dev/null || code=$?
    mapfile -t inputs < <(find "$found" -type f -newer "$STARTED" | sort)
    printf '   %-14s %10s %8s %10s %9s\n' "$target" "$(figure number_of_executed_units "$log")" $((SECONDS - began)) \
        "$(figure new_units_added "$log")" "${#inputs[@]}"
    [ "$code" -ne 0 ] || [ "${#inputs[@]}" -gt 0 ] || return 0
    tail -n 25 "$log" >&2
    for input in "${inputs[@]}"; do
        printf '\nfinding of %s: %s\n  again: %s\n' "$target" "$input" "$PROGRAMS/$target $input" >&2
    done
    [ "${#inputs[@]}" -gt 0 ] || printf '\n%s ended with %s, no input was kept: see %s\n' "$target" "$code" "$log" >&2
    return 1
}

mkdir -p "$HOME_OF_IT"
exec 8>"$RUN/fuzz.lock" # one at a time
flock 8
tools
if [ $# -gt 0 ]; then
    targets=("$@")
else
    mapfile -t targets < <(cd fuzz/seeds && printf '%s\n' *)
fi
for target in "${targets[@]}"; do
    [ -f "fuzz/fuzz_targets/$target.rs" ] ||
        die "$target is no target" "there are $(cd fuzz/seeds && echo *)" "$0 $SECONDS_OF_IT task"
done
# No sanitizer: no code of ours is unsafe, and every claim is checked without one.
say 'cargo +nightly fuzz build (the first time some ten minutes on 2 cores)'
build=(cargo +nightly fuzz build --sanitizer none --strip-dead-code --no-cfg-fuzzing --target-dir "$BUILD")
"${build[@]}" >"$HOME_OF_IT/build.log" 2>&1 || {
    tail -n 40 "$HOME_OF_IT/build.log" >&2
    die 'the targets were not built' "all of it is in $RUN/fuzz/build.log" "${build[*]}"
}
PROGRAMS=$BUILD/$(rustc +nightly -vV | sed -n 's/^host: //p')/release
STARTED=$HOME_OF_IT/started
touch "$STARTED"
share=$(((SECONDS_OF_IT + ${#targets[@]} - 1) / ${#targets[@]}))
say "${#targets[@]} targets, $share s each"
printf '   %-14s %10s %8s %10s %9s\n' target runs seconds 'new units' findings
failed=()
for target in "${targets[@]}"; do
    fuzz "$target" "$share" || failed+=("$target")
done
[ "${#failed[@]}" -eq 0 ] ||
    die "a claim does not hold: ${failed[*]}" "the inputs are above and in $RUN/fuzz/findings" \
        'CONTRIBUTING.md, "A finding"'
say 'no findings'
