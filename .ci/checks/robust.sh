#!/usr/bin/env bash
# A running server under ROBUST_DATAGRAMS (300,000) garbage datagrams, killed and stopped peers; the memory of ten
# thousand idle connections. Both back ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ "$(ulimit -Hn)" != unlimited ] && [ "$(ulimit -Hn)" -lt 1024 ]; then
    echo 'too few file descriptors'
    exit 77
fi
tools/bazel build --curses=no --color=no --noshow_progress //tools/quicperf //tests/robust:flood
bin=$(tools/bazel info bazel-bin 2>/dev/null)
idle=$(mktemp)
trap 'rm -f "$idle"' EXIT
# At the same time: both mostly wait.
python3 -B tests/robust/idle_memory.py "$bin/tools/quicperf/quicperf" --runs 1 --max-kib 8 \
    --quiet 5 >"$idle" 2>&1 &
status=0
python3 -B tests/robust/robust_test.py "$bin/tools/quicperf/quicperf" "$bin/tests/robust/flood" \
    --datagrams "${ROBUST_DATAGRAMS:-300000}" --kills 20 --stop 5 || status=1
wait $! || status=1
cat "$idle"
exit "$status"
