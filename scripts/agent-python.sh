#!/usr/bin/env bash
# Makes what samples/agent-python and samples/worker-python run with, in .run/agent-python: a Python of its own with their
# packages, and the stubs, generated from proto/. What is current is left alone. Prints nothing when all is well.
#   .run/agent-python/bin/python   PYTHONPATH=.run/agent-python/stubs
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

HOME_OF_IT=$RUN/agent-python
FILES=(cloudai/v1/master_worker.proto cloudai/v1/master_agent.proto)

fail() { # WHAT NEXT
    tail -n 15 "$RUN/agent-python.log" >&2
    die "$1" "the log is $RUN/agent-python.log" "$2"
}

mkdir -p "$RUN"
# One at a time: tests run beside each other.
exec 9>"$RUN/agent-python.lock"
flock 9

HASH=$({ "$PYTHON" --version; cat "$0" samples/{agent,worker}-python/requirements.txt "${FILES[@]/#/proto/}"; } | sha256sum | cut -c 1-16)
if [ "$(cat "$HOME_OF_IT/made-of" 2>/dev/null)" = "$HASH" ]; then exit 0; fi
if [ -n "${CLOUDAI_NO_INSTALL:-}" ]; then
    die 'the sample agent has no Python packages' 'CLOUDAI_NO_INSTALL is set' "unset CLOUDAI_NO_INSTALL; $0"
fi
rm -rf "$HOME_OF_IT"
"$PYTHON" -m venv "$HOME_OF_IT" >"$RUN/agent-python.log" 2>&1 || fail 'no Python for the sample agent' 'make setup'
"$HOME_OF_IT/bin/python" -m pip install --quiet --requirement samples/worker-python/requirements.txt \
    >>"$RUN/agent-python.log" 2>&1 || fail 'the packages of the sample agent can not be installed' "$0"
mkdir "$HOME_OF_IT/stubs"
"$HOME_OF_IT/bin/python" -m grpc_tools.protoc --proto_path proto --python_out "$HOME_OF_IT/stubs" \
    --grpc_python_out "$HOME_OF_IT/stubs" "${FILES[@]}" >>"$RUN/agent-python.log" 2>&1 ||
    fail 'the stubs of the sample agent can not be generated' "$0"
printf '%s\n' "$HASH" >"$HOME_OF_IT/made-of"
