#!/usr/bin/env bash
# Every test under the sanitizers, all code through clang with its layering check, the tests tagged nightly, a long
# flood of garbage.
# The last line says "N passed, N failed".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

passed=0
failed=0
step() {
    printf '\n=== %s\n' "$*"
    if tools/bazel "$1" --curses=no --color=no --noshow_progress --keep_going "${@:2}"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

step test --config=asan //tests/...
step test --config=asan-gcc //tests/...
step test --config=tsan //tests/runtime/... //tests/api/... //tests/compat/...
step build --config=clang //...
step test --config=nightly //...

printf '\n=== a million datagrams of garbage\n'
if ROBUST_DATAGRAMS=1000000 .ci/checks/robust.sh; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
fi
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
