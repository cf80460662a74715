#!/usr/bin/env bash
# Line and branch coverage of quic/ by its tests and the simulator: a line per file with branches, the worst
# first, and the total. COVERAGE_DIR keeps the profile for `llvm-cov show`; labels choose other tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for tool in clang llvm-cov llvm-profdata; do
    if ! command -v $tool >/dev/null; then
        echo "$tool is not installed"
        exit 77
    fi
done
dir=${COVERAGE_DIR:-$(mktemp -d)}
tests=("$@")
[ $# -gt 0 ] || tests=(//tests/quic/... //tests/api/... //tests/sim:sim_smoke_test //tests/sim:sim_boring_test
    //tests/sim:sweep_test)
mkdir -p "$dir"
rm -f "$dir"/*.profraw
# Tests that fail still count, and fail the script at the end. One profile per program, whatever its shards.
status=0
tools/bazel test --config=coverage --curses=no --color=no --noshow_progress --keep_going \
    --cache_test_results=no --test_env="LLVM_PROFILE_FILE=$dir/%8m.profraw" \
    --sandbox_writable_path="$dir" "${tests[@]}" | grep -v PASSED || status=${PIPESTATUS[0]}
llvm-profdata merge -sparse -o "$dir/profile" "$dir"/*.profraw
bin=$(tools/bazel info --config=coverage bazel-bin 2>/dev/null)
tools/bazel query --output=label "tests(set(${tests[*]}))" 2>/dev/null |
    sed "s|^//|$bin/|; s|:|/|" | while read -r program; do
        [ ! -f "$program" ] || printf -- '-object\n%s\n' "$program"
    done >"$dir/objects"
# The tests of the API have the core in the shared engine.
if [[ "${tests[*]}" == *tests/api* ]]; then
    printf -- '-object\n%s\n' "$bin/runtime/libquring.so" >>"$dir/objects"
fi
mapfile -t objects <"$dir/objects"
llvm-cov report -instr-profile="$dir/profile" "${objects[@]:1}" \
    -ignore-filename-regex='(^|/)(tests|external|bazel|include|usr|runtime)/' >"$dir/report"
# Columns: file; regions, missed, %; functions, missed, %; lines, missed, %; branches, missed, %.
awk '/^Filename/ { printf "%-40s %7s %8s %9s %8s\n", "file", "lines", "%", "branches", "%" }
     ($1 ~ /\.[ch]$/ && $11 > 0) || $1 == "TOTAL" {
         printf "%-40s %7d %8s %9d %8s\n", $1, $8, $10, $11, $13
     }' "$dir/report" | {
    IFS= read -r head
    echo "$head"
    sort -k5,5g
}
exit "$status"
