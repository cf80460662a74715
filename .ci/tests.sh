#!/usr/bin/env bash
# .ci/tests.sh ARGUMENTS...: `tools/bazel test ARGUMENTS...`, with a second attempt for tests that meet the kernel, the
# network and the clock of a machine that others share. One that needs it is unsteady: it is told with what it said, and
# goes into the file UNSTEADY names. Nothing has a second attempt that is the same each time (the transport, the
# simulator), nor what a sanitizer or an assertion has stopped. .ci/nightly gives none at all.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

live='//tests/(api|compat|examples|fork|install|interop|netns|quicperf|robust|runtime)[:/].*'
beyond='(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:|assertion failed'
# No log tells of a crash, but the status does: 128 and SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV or SIGSYS.
crash='exited with error code (13[234569]|159)"'
begun=$(mktemp)
trap 'rm -f "$begun"' EXIT

tools/bazel test --curses=no --color=no --noshow_progress --flaky_test_attempts="$live@2" "$@"
status=$?

while IFS= read -r log; do
    name=${log#bazel-testlogs/}
    name=${name%/test_attempts/*}
    name=${name%/shard_*_of_*}
    printf '\nunsteady: //%s:%s; its first attempt:\n' "${name%/*}" "${name##*/}"
    tail -n 60 "$log"
    printf '//%s:%s\n' "${name%/*}" "${name##*/}" >>"${UNSTEADY:-/dev/null}"
    if grep -qE "$beyond" "$log" || grep -qsE "$crash" "${log%.log}.xml"; then
        printf 'that is no matter of luck: failed\n'
        status=3
    fi
done < <(find -L bazel-testlogs -path '*/test_attempts/*.log' -newer "$begun" 2>/dev/null)
exit "$status"
