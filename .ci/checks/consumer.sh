#!/usr/bin/env bash
# A program outside the workspace, in C and in C++, compiles against include/ and links with the
# engine alone: the public headers and libquring.so are all it takes. The example programs too, by
# the very commands the README gives. A program of the sockets links with libquic.so alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools/bazel build --curses=no --color=no --noshow_progress //runtime:libquring.so //compat:quic \
    //compat:quic_gnutls
engine=$(tools/bazel info bazel-bin 2>/dev/null)/runtime
work=$(mktemp -d)
server=
clean_up() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

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

cat >"$work/program.c" <<'SOURCE'
#include <netinet/quic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC);
    struct quic_transport_param params = {0};
    socklen_t len = sizeof(params);
    if (fd < 0 || getsockopt(fd, SOL_QUIC, QUIC_SOCKOPT_TRANSPORT_PARAM, &params, &len) != 0) {
        perror("QUIC socket");
        return 1;
    }
    puts("a QUIC socket");
    return close(fd);
}
SOURCE

# Pre-shared keys: there with libquic_gnutls, in either order, and said to be missing without it.
cat >"$work/psk.c" <<'SOURCE'
#include <errno.h>
#include <netinet/quic.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    struct quic_handshake_parms parms = {0};
    int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC);
    int by_file = argc > 1 ? quic_client_handshake(fd, argv[1], NULL) : 0;
    int by_parms = quic_client_handshake_parms(fd, &parms);
    puts(by_file == -ENOSYS && by_parms == -ENOSYS ? "no adapter" :
         by_file == -EINVAL && by_parms == -EINVAL ? "not connected" : "?");
    return 0;
}
SOURCE
echo 'someone:0011223344556677' >"$work/keys.psk"
sockets=${engine%/runtime}/compat
for names in '-lquic' '-lquic_gnutls -lquic' '-lquic -lquic_gnutls'; do
    # shellcheck disable=SC2086  # a list of words
    gcc -Wall -Wextra -Werror -Iinclude "$work/psk.c" -o "$work/psk" -L"$sockets" -Wl,--no-as-needed \
        $names -Wl,-rpath,"$sockets"
    printf '%s: %s\n' "$names" "$("$work/psk" "$work/keys.psk")"
done >"$work/said"
diff "$work/said" - <<'SAID'
-lquic: no adapter
-lquic_gnutls -lquic: not connected
-lquic -lquic_gnutls: not connected
SAID

gcc -Wall -Wextra -Werror -Iinclude "$work/program.c" -o "$work/program" -L"$sockets" -lquic -Wl,-rpath,"$sockets"
[ "$("$work/program")" = 'a QUIC socket' ]

# Runs the README's cc lines in a directory that looks like the root of the workspace.
build_as_the_readme_says() {
    ln -s "$PWD/include" "$PWD/examples" "$work/"
    ln -s "${engine%/runtime}" "$work/bazel-bin"
    local commands
    commands=$(sed -n '/ app\.c /d; s/^    \(cc .*\)$/\1/p' README.md)
    [ "$(grep -c . <<<"$commands")" -eq 6 ]
    if [ ! -e /usr/include/nghttp3/nghttp3.h ]; then
        commands=$(grep -v nghttp3 <<<"$commands")
    fi
    (cd "$work" && set -x && eval "$commands")
}

# By the README's other lines, but for the port.
echo_through_sockets() {
    local port=$((20000 + $$ % 10000)) answer=
    (cd "$work" && eval "$(sed -n 's/^    \(openssl req .*\)$/\1/p' "$OLDPWD/README.md")") 2>/dev/null
    "$work/echo" server 127.0.0.1 "$port" "$work/key.pem" "$work/cert.pem" &
    server=$!
    for _ in $(seq 100); do
        answer=$(SSL_CERT_FILE=$work/cert.pem "$work/echo" client 127.0.0.1 "$port" hello 2>/dev/null) && break
        sleep 0.1
    done
    [ "$answer" = hello ]
    kill "$server"
    wait "$server" || true
    server=
}

# serve_echo HOST OPTIONS...: the echo server in the background; `at` is its address.
serve_echo() {
    : >"$work/said"
    "$work/echo_server" "$1:0" "${@:2}" >>"$work/said" &
    server=$!
    for _ in $(seq 100); do
        [ ! -s "$work/said" ] || break
        sleep 0.1
    done
    at=$(sed 's/^listening on //' "$work/said")
}

end_server() {
    kill -INT "$server"
    wait "$server"
    server=
}

build_as_the_readme_says
serve_echo 127.0.0.1
[ "$("$work/echo_client" "$at" 'hello there' --insecure)" = 'hello there' ]
end_server
echo_through_sockets
# With the certificate that it has made, by name and by address.
for name in localhost 127.0.0.1; do
    serve_echo "$name" --cert "$work/cert.pem" --key "$work/key.pem"
    [ "$(SSL_CERT_FILE=$work/cert.pem "$work/echo_client" "$name:${at##*:}" hello)" = hello ]
    end_server
done
# The file server, and the echo client as its client.
"$work/file_server" 127.0.0.1:0 docs "$work/cert.pem" "$work/key.pem" >"$work/said" &
server=$!
for _ in $(seq 100); do
    [ ! -s "$work/said" ] || break
    sleep 0.1
done
at=$(grep -oE '[0-9.]+:[0-9]+' "$work/said" | head -n 1)
SSL_CERT_FILE=$work/cert.pem "$work/echo_client" "$at" limits.md >"$work/got"
cmp "$work/got" <(cat docs/limits.md && echo) # it ends its line
kill -TERM "$server"
wait "$server"
server=
echo 'the examples build and run as the README says'
