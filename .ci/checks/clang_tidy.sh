#!/usr/bin/env bash
# clang-tidy over the C sources with .clang-tidy. Slow, so only on request: QURING_CI_TIDY=1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ "${QURING_CI_TIDY:-0}" != 1 ]; then
    echo 'QURING_CI_TIDY=1 turns it on'
    exit 77
fi
if ! command -v clang-tidy >/dev/null; then
    echo 'clang-tidy is not installed'
    exit 77
fi
git ls-files -z -- 'quic/*.c' 'runtime/*.c' 'tools/*.c' |
    xargs -0 -n 4 -P "$(nproc)" sh -c \
        'exec clang-tidy --quiet "$@" -- -std=gnu11 -I. -Iinclude -isystem /usr/include/android' sh
