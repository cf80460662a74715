#!/usr/bin/env bash
# A program outside the workspace, in C and in C++, compiles against include/ and links with the
# engine alone: the public headers and libquring.so are all it takes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools/bazel build --curses=no --color=no --noshow_progress //runtime:libquring.so
engine=$(tools/bazel info bazel-bin 2>/dev/null)/runtime
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/program.c" <<'SOURCE'
#include <quring/quring.h>
#include <stdio.h>

int main(void)
{
    char text[64];
    quring_addr addr;
    if (quring_addr_parse(&addr, "127.0.0.1:4433", 0, NULL) != QURING_OK) {
        return 1;
    }
    puts(quring_addr_format(&addr, text, sizeof(text)));
    return 0;
}
SOURCE
cp "$work/program.c" "$work/program.cc"
gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude "$work/program.c" -o "$work/c" \
    -L"$engine" -lquring -Wl,-rpath,"$engine"
g++ -std=c++17 -Wall -Wextra -Werror -Iinclude "$work/program.cc" -o "$work/cxx" \
    -L"$engine" -lquring -Wl,-rpath,"$engine"
[ "$("$work/c")" = 127.0.0.1:4433 ]
[ "$("$work/cxx")" = 127.0.0.1:4433 ]
echo 'a C and a C++ program link with libquring.so'
