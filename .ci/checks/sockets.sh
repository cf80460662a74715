#!/usr/bin/env bash
# The checks of the socket API, 225 of them: how many have passed, on io_uring and on epoll. A check is a
# test whose name begins with its number (Bind.C009_...); 225 itself is tests/compat:appendix_test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
tools/bazel test --curses=no --color=no --noshow_progress //tests/compat/... >"$log" 2>&1 || status=$?
logs=bazel-testlogs/tests/compat
for io in uring epoll; do
    cat "$logs"/*_"${io}"_test/test.log | grep -E '^\[       OK \]' | grep -oE 'C[0-9]{3}' |
        sort -u >"$log.$io"
    if grep -q '^OK$' "$logs/appendix_test/test.log"; then
        echo C225 >>"$log.$io"
    fi
    printf 'socket checks on %s: %d of 225 passed; without a test that passed:' "$io" \
        "$(wc -l <"$log.$io")"
    for number in $(seq -f 'C%03g' 225); do
        grep -qx "$number" "$log.$io" || printf ' %s' "$number"
    done
    printf '\n'
    rm -f "$log.$io"
done
if [ "$status" -ne 0 ]; then
    grep -E 'FAILED|ERROR|error:' "$log" | sort -u | tail -n 50
    exit 1
fi
