#!/usr/bin/env bash
# Every row of docs/hostile.md and the 34 cases are proved; prints how many of how many.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Network namespaces are root's.
netns=(//tests/netns/...)
excused=()
if [ "$(id -u)" -ne 0 ]; then
    netns=()
    excused=(119)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
tools/bazel test --curses=no --color=no --noshow_progress --test_output=all \
    //tests/quic/hostile/... //tests/quic/endpoint/... //tests/quic/conn/... \
    //tests/quic/path:cid_table_test //tests/quic/crypto:token_test //tests/api/... \
    //tests/runtime/... //tests/sim:fate_test "${netns[@]}" \
    //tests/compat:{descriptor,fuzz,hoard,listen,message,misuse,process,receive,send}_{epoll,uring}_test \
    >"$log" 2>&1 || status=$?
grep -h '^hostile cases' "$log" | sort -u
tests/quic/hostile/count_rows.py docs/hostile.md "$log" ${excused[@]+"${excused[@]}"} || status=1
if [ "$status" -ne 0 ]; then
    grep -E '^\[  FAILED  \]|Failure$|^ERROR|error:' "$log" | sort -u | tail -n 50
    exit 1
fi
