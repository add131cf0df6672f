# Greets, and leaves the greeting as a file. The smallest task that has logs, a result and an exit code.
set -eu
out=${CLOUDAI_OUTPUT_DIR:-/out}
echo "hello from task ${CLOUDAI_TASK_ID:-none} on worker ${CLOUDAI_WORKER_ID:-none}" | tee "$out/hello.txt"
