#!/usr/bin/env bash
# Every fuzz target, FUZZ_SECONDS (60) seconds each, two at a time; names on the command line choose.
# What it finds beyond the corpus stays in FUZZ_DIR (a temporary directory), a finding is printed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! command -v clang >/dev/null; then
    echo 'clang is not installed'
    exit 77
fi
seconds=${FUZZ_SECONDS:-60}
dir=${FUZZ_DIR:-$(mktemp -d)}
targets=("$@")
[ $# -gt 0 ] || targets=(acks_fuzz cc_fuzz conn_fuzz frames_fuzz headers_fuzz params_fuzz
    recv_buf_fuzz token_fuzz)
tools/bazel build --config=fuzz --curses=no --color=no --noshow_progress \
    "${targets[@]/#///tests/fuzz:}"
bin=$(tools/bazel info --config=fuzz bazel-bin 2>/dev/null)

fuzz_one() {
    local corpus=()
    [ ! -d "tests/fuzz/corpus/$1" ] || corpus=("tests/fuzz/corpus/$1")
    mkdir -p "$dir/$1"
    if ! "$bin/tests/fuzz/$1" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$dir/$1-" "$dir/$1" "${corpus[@]}" >"$dir/$1.log" 2>&1; then
        tail -n 40 "$dir/$1.log"
        echo "$1: FINDING, input in $dir"
        return 1
    fi
    grep -h 'number_of_executed_units\|average_exec_per_sec' "$dir/$1.log" |
        sed "s/^stat::/$1: /" | paste -sd' '
}
export -f fuzz_one
export bin dir seconds
printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -c 'fuzz_one {}'
