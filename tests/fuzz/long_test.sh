#!/usr/bin/env bash
# long_test.sh SECONDS TARGET...: lets each fuzz target look for so long, one after the other, starting
# from its corpus.
set -euo pipefail

seconds=$1
shift
failed=0
for target in "$@"; do
    name=$(basename "$target")
    fresh=$TEST_TMPDIR/$name
    mkdir -p "$fresh"
    corpus=()
    [ ! -d "tests/fuzz/corpus/$name" ] || corpus=("tests/fuzz/corpus/$name")
    if ! "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
        -artifact_prefix="${TEST_UNDECLARED_OUTPUTS_DIR:-$TEST_TMPDIR}/$name-" \
        "$fresh" "${corpus[@]}" 2>&1 | tail -n 40; then
        echo "$name: FINDING"
        failed=1
    fi
done
exit "$failed"
