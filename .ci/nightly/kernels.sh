#!/usr/bin/env bash
# The tests on Debian's other kernels, in qemu: tests/kernels/run.py says how. KERNELS chooses ("6.1 5.10").
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

read -ra kernels <<<"${KERNELS:-}"
exec tests/kernels/run.py "${kernels[@]}"
