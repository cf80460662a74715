#!/usr/bin/env bash
# The simulator finds nothing wrong on 10,000 seeds of network and host faults. SIM_SEEDS=A..B runs
# others. A failure prints the command that replays its seed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools/bazel run -c opt --curses=no --color=no --noshow_progress //tests/sim:sim -- \
    --seeds "${SIM_SEEDS:-0..10000}" --jobs 2
