#!/bin/sh
# Process 1 of the machines that aarch64.sh emulates: runs the tests under /t, one line for each, and powers off.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root TEST_TMPDIR=/tmp QUIC_ENGINE=compat/libquic_engine.so QUIC_IO=uring
export LD_LIBRARY_PATH=/t/compat:/t/runtime
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tmpfs none /tmp
mkdir -p /dev/shm /dev/pts
mount -t tmpfs none /dev/shm
ip link set lo up
ulimit -n 65536
cd /t || poweroff -f

run() {
    began=$(date +%s)
    timeout 900 "$@" >/tmp/log 2>&1
    rc=$?
    if [ "$rc" -eq 0 ]; then
        echo "PASSED $* ($(($(date +%s) - began)) s)"
    else
        grep -E 'Failure|FAILED' /tmp/log | head -20
        tail -15 /tmp/log
        echo "FAILED $* (status $rc)"
    fi
}

echo "Linux $(uname -r)"
run tools/quicperf/quicperf demo -t 1s --io uring
cat /tmp/log
for test in $(find tests -type f | sort); do
    run "$test"
done
echo DONE
poweroff -f
