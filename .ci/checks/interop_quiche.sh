#!/usr/bin/env bash
# quring and quiche talk to each other, both ways; skipped where npm cannot fetch quiche.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools/bazel run --curses=no --color=no --noshow_progress //tests/interop:quiche
