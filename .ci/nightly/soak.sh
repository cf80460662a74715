#!/usr/bin/env bash
# SOAK_SECONDS (3600) of a mixed load on four servers: tests/robust/soak.py says what. SOAK_OUT keeps its samples;
# SOAK_CONFIG=asan takes another build, without QUIC sockets.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

options=(--curses=no --color=no --noshow_progress)
targets=(//tools/quicperf //tests/robust:flood)
if [ -n "${SOAK_CONFIG:-}" ]; then
    options+=("--config=$SOAK_CONFIG")
else
    targets+=(//compat:quic) # no sanitizer builds it
fi
tools/bazel build "${options[@]}" "${targets[@]}"
bin=$(tools/bazel info ${SOAK_CONFIG:+"--config=$SOAK_CONFIG"} bazel-bin 2>/dev/null)
more=(--no-rss)
[ -n "${SOAK_CONFIG:-}" ] || more=(--libquic "$bin/compat/libquic.so")
python3 -B tests/robust/soak.py "$bin/tools/quicperf/quicperf" "$bin/tests/robust/flood" \
    --seconds "${SOAK_SECONDS:-3600}" --out "${SOAK_OUT:-}" "${more[@]}"
