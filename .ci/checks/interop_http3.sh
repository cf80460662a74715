#!/usr/bin/env bash
# quring's HTTP/3 examples, ngtcp2 and quic-go (in Caddy) talk to each other, both ways, and Chromium where it is
# installed. Gets the others when it may; skipped without libnghttp3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

packages=(libnghttp3-dev ngtcp2-client ngtcp2-server)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qy --no-install-recommends \
        "${missing[@]}" >/dev/null || printf 'could not install: %s\n' "${missing[*]}"
fi
if [ ! -e /usr/include/nghttp3/nghttp3.h ]; then
    printf 'skipped: libnghttp3-dev is not installed\n'
    exit 77
fi
# Not installed, as it would begin to serve on this machine.
if ! command -v caddy >/dev/null; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && apt-get -q download caddy >/dev/null 2>&1 && dpkg-deb -x caddy_*.deb .) &&
        PATH=$work/usr/bin:$PATH || printf 'could not get caddy\n'
fi
tools/bazel run --curses=no --color=no --noshow_progress //tests/interop:http3
