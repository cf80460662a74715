#!/usr/bin/env bash
# The rows of docs/hostile.md and the 34 cases are proved; prints how many of how many.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
tools/bazel test --curses=no --color=no --noshow_progress --test_output=all \
    //tests/quic/hostile/... >"$log" 2>&1 || status=$?
grep -h '^hostile ' "$log" | sort -u
if [ "$status" -ne 0 ]; then
    tail -n 50 "$log"
    exit 1
fi
