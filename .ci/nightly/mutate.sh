#!/usr/bin/env bash
# Mutants of quic/ that the tests do not notice: MUTATE_COUNT (300) drawn by MUTATE_SEED (the day, unless given).
# Arguments go to tests/mutate/mutate.py. What survives is to be read: no failure of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

exec tests/mutate/mutate.py --seed "${MUTATE_SEED:-$(date +%Y%m%d)}" --count "${MUTATE_COUNT:-300}" "$@"
