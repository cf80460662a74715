#!/usr/bin/env bash
# The README's test command on another release of Debian, in a folder that debootstrap makes: .ci/nightly/release.sh
# [RELEASE], trixie unless told. Needs root and debootstrap, else it is skipped (77). RELEASE_DIR keeps the folder for
# the next run; without it one in /var/tmp is used and removed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

release=${1:-trixie}
if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
    echo 'needs root and debootstrap'
    exit 77
fi
root=${RELEASE_DIR:-$(mktemp -d "/var/tmp/quring-$release.XXXXXX")}
mounted=()

leave() {
    local i
    if [ -x "$root/usr/bin/bazel-real" ] || [ -d "$root/quring" ]; then
        chroot "$root" /quring/tools/bazel shutdown >/dev/null 2>&1 || true
    fi
    for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do
        umount "${mounted[i]}" || return 1 # nothing below a mount may be removed
    done
    [ -n "${RELEASE_DIR:-}" ] || rm -rf "$root"
}
trap leave EXIT
trap 'exit 130' INT TERM

[ -e "$root/etc/debian_version" ] ||
    debootstrap --variant=minbase --include=ca-certificates,git,procps "$release" "$root"
for place in proc sys dev dev/pts dev/shm; do
    mountpoint -q "$root/$place" && continue
    mkdir -p "$root/$place"
    mount --bind "/$place" "$root/$place"
    mounted+=("$root/$place")
done
rm -rf "$root/quring"
git clone -q . "$root/quring"
chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /quring/tools/bazel test --curses=no --color=no --noshow_progress --keep_going //...
