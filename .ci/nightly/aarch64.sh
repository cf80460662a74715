#!/usr/bin/env bash
# Builds for aarch64 on x86-64 and runs the C++ tests there:
#   user     those of the core and the simulator, by qemu-user
#   4k, 16k  those that meet the kernel, on emulated machines with arm64 kernels of pages that large, and the demo of
#            quicperf there, all with io_uring
#
#     .ci/nightly/aarch64.sh [user] [4k] [16k]      without arguments: all three; hours
#     AARCH64_TESTS=//tests/quic/wire/... .ci/nightly/aarch64.sh user
#
# Needs a Debian 12 and nothing but its packages (and a kernel of Debian 13 for 16k), which are unpacked into
# $AARCH64_DIR, by default ~/.cache/quring-aarch64. The last line says "N passed, N failed"; 77: it cannot be done here.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

dir=${AARCH64_DIR:-$HOME/.cache/quring-aarch64} # nobody else may write there: root unpacks and runs what it holds
root=$dir/root
# Where this machine has its packages from.
mirror=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 2>/dev/null |
    awk '$1 == "Debian" && $2 !~ /-/ { print $3; exit }')
keys=/usr/share/keyrings/debian-archive-keyring.gpg

skip() {
    printf 'skipped: %s\n' "$*"
    exit 77
}

# ---- what is needed ------------------------------------------------------------------------------------

tools() {
    [ "$(uname -m)" = x86_64 ] || skip "this cross-compiles on x86-64; elsewhere: tools/bazel test //tests/..."
    [ -e "$keys" ] || skip "not a Debian"
    [ -n "$mirror" ] || skip "apt has no lists of Debian: apt-get update"
    local package missing=
    for package in cpio g++-aarch64-linux-gnu qemu-system-arm qemu-user-static; do
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=" $package"
    done
    [ -n "$missing" ] || return 0
    [ "$(id -u)" -eq 0 ] || skip "missing:$missing"
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing >"$dir/apt.log" 2>&1 ||
        skip "cannot be installed:$missing"
}

# apt_of SUITE COMMAND ARGS...: apt for arm64, with lists of its own; the machine's dpkg learns nothing of it.
apt_of() {
    local own=$dir/apt-$1 command=$2
    shift 2
    "$command" -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root \
        -o Dir::State="$own" -o Dir::State::status="$own/status" -o Dir::Cache="$own" \
        -o Dir::Etc::SourceList="$own/sources.list" -o Dir::Etc::SourceParts=/dev/null "$@"
}

lists() {
    local own=$dir/apt-$1
    mkdir -p "$own/lists/partial" "$own/archives/partial"
    : >"$own/status"
    printf 'deb [signed-by=%s] %s %s main\n' "$keys" "$mirror" "$1" >"$own/sources.list"
    apt_of "$1" apt-get update -q >"$dir/apt.log" 2>&1 || skip "no packages of $1 for arm64 from $mirror"
}

# fetch SUITE WHERE PACKAGES...: unpacks them, with what they depend on.
fetch() {
    local suite=$1 where=$2 deb
    shift 2
    rm -f "$dir/apt-$suite"/archives/*.deb
    apt_of "$suite" apt-get install -qy --download-only --no-install-recommends "$@" >"$dir/apt.log" 2>&1 ||
        skip "cannot be fetched for arm64: $*"
    for deb in "$dir/apt-$suite"/archives/*.deb; do
        dpkg-deb -x "$deb" "$where" || return 1
    done
}

# Only the kernel of a kernel's package.
kernel() {
    local name=$1 suite=$2 meta=$3 package
    lists "$suite"
    package=$(apt_of "$suite" apt-cache depends "$meta" | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -1)
    (cd "$dir" && apt_of "$suite" apt-get download -q "$package") >"$dir/apt.log" 2>&1 || skip "no $meta"
    dpkg-deb -x "$dir/$package"_*.deb "$dir/kernel-$name" && rm -f "$dir/$package"_*.deb
}

sysroot() {
    lists bookworm
    fetch bookworm "$root" android-libboringssl-dev busybox-static libc6-dev libgmock-dev libgnutls28-dev \
        libgtest-dev libmimalloc-dev libnghttp3-dev libstdc++-12-dev liburing-dev
}

# ---- building and running ------------------------------------------------------------------------------

bazel() {
    tools/bazel --output_base="$dir/base" "$@"
}

options=(--config=aarch64 "--repo_env=QURING_SYSROOT=$root" --curses=no --color=no --noshow_progress --keep_going)
passed=0
failed=0

count() {
    passed=$((passed + $1))
    failed=$((failed + $2))
}

# tests_of EXPRESSION: the labels asked for among those.
tests_of() {
    bazel query "kind(cc_test, ($1) intersect (${AARCH64_TESTS:-//tests/...}))" 2>/dev/null
}

run_user() {
    local tests log=$dir/user.log
    tests=$(tests_of '//tests/quic/... + //tests/sim/... + //tests/fuzz/...' | grep -v _10k)
    # shellcheck disable=SC2086  # labels
    bazel test "${options[@]}" --run_under="/usr/bin/qemu-aarch64-static -L $root" --local_test_jobs=2 \
        --test_timeout=600,1800,3600,3600 $tests 2>&1 | tee "$log"
    count "$(grep -cE '^//.* PASSED in' "$log")" "$(grep -cE '^//.* (FAILED|TIMEOUT|NO STATUS)' "$log")"
}

# An initial file system: busybox, the libraries, the files of bazel-bin named.
image() {
    local out=$1 bin tree lib
    shift
    bin=$(bazel info "${options[@]}" bazel-bin 2>/dev/null)
    tree=$(mktemp -d)
    lib=$tree/usr/lib/aarch64-linux-gnu
    mkdir -p "$tree"/{bin,dev,etc,lib,proc,sys,tmp,t,root} "$lib/android"
    cp "$root/bin/busybox" "$tree/bin/" && ln -s busybox "$tree/bin/sh"
    ln -s ../usr/lib/aarch64-linux-gnu "$tree/lib/aarch64-linux-gnu"
    cp -L "$root/lib/ld-linux-aarch64.so.1" "$tree/lib/"
    cp -L "$root"/lib/aarch64-linux-gnu/lib*.so.[0-9]* "$root"/usr/lib/aarch64-linux-gnu/lib*.so.[0-9]* "$lib/"
    cp -L "$root"/usr/lib/aarch64-linux-gnu/android/lib*.so.0 "$lib/android/"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
    printf '127.0.0.1 localhost\n::1 localhost\n' >"$tree/etc/hosts"
    local file
    for file in "$@"; do
        mkdir -p "$tree/t/$(dirname "$file")"
        aarch64-linux-gnu-strip -o "$tree/t/$file" "$bin/$file" || return 1
    done
    cp tests/kernels/aarch64_init.sh "$tree/init" && chmod +x "$tree/init"
    (cd "$tree" && find . | cpio --quiet -o -H newc) >"$out"
    rm -rf "$tree"
}

run_machine() {
    local name=$1 log=$dir/$1.log
    timeout 5400 qemu-system-aarch64 -M virt,gic-version=3 -cpu neoverse-n1 -smp 2 -m 3G -nic none -nographic \
        -no-reboot -kernel "$dir/kernel-$name"/boot/vmlinuz-* -initrd "$dir/image" \
        -append "console=ttyAMA0 quiet panic=-1" </dev/null 2>&1 | stdbuf -oL tr -d '\r' | tee "$log"
    count "$(grep -c '^PASSED ' "$log")" "$(grep -c '^FAILED ' "$log")"
    grep -qx DONE "$log" || count 0 1
}

machine_image() {
    local tests libraries=(compat/libquic_engine.so compat/libquic.so runtime/libquring.so.0)
    # Those of authorities run openssl, which is not there.
    tests=$(tests_of '//tests/runtime/... + //tests/api/... + //tests/compat/...' |
        grep -Ev '_epoll_test$|_100k|:(handshake|session|gnutls_kernel)_uring')
    # shellcheck disable=SC2086  # labels
    bazel build "${options[@]}" $tests //compat:libquic_engine.so //tools/quicperf || return 1
    # shellcheck disable=SC2046  # file names
    image "$dir/image" "${libraries[@]}" tools/quicperf/quicperf $(printf '%s\n' "$tests" | sed 's,^//,,; s,:,/,')
}

parts=("$@")
[ $# -gt 0 ] || parts=(user 4k 16k)
mkdir -p "$dir" || exit 1
tools
[ -e "$root/usr/include/openssl" ] || [ -e "$root/usr/include/android/openssl" ] || sysroot
for part in "${parts[@]}"; do
    case $part in
    user)
        run_user
        ;;
    4k | 16k)
        [ -d "$dir/kernel-4k" ] || [ "$part" != 4k ] || kernel 4k bookworm linux-image-cloud-arm64
        [ -d "$dir/kernel-16k" ] || [ "$part" != 16k ] || kernel 16k trixie linux-image-arm64-16k
        if machine_image; then run_machine "$part"; else count 0 1; fi
        ;;
    *) skip "user, 4k and 16k are what there is, not $part" ;;
    esac
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
