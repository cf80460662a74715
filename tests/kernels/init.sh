#!/bin/busybox sh
# The guest's first process: the host's files, read-only, under a layer in memory, and then agent.py.
# What it is told is in /settings: KERNEL (its package, unpacked), BUSYBOX, AGENT.
export PATH=/bin
/bin/busybox --install -s /bin
. /settings
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in /modules/*; do
    insmod "$module"
done
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose host /host
mount -t tmpfs -o size=60% layer /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work all /root
mount --move /dev /root/dev
mount --move /proc /root/proc
mount -t sysfs sys /root/sys
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts pts /root/dev/pts
mount -t tmpfs shm /root/dev/shm
mount -t tmpfs run /root/run
release=$(uname -r)
mkdir -p "/root/lib/modules/$release"
mount --bind "/root$KERNEL/lib/modules/$release" "/root/lib/modules/$release"
ln -s "$BUSYBOX" /root/run/modprobe
echo /run/modprobe >/root/proc/sys/kernel/modprobe
ip link set lo up
[ -e "/root$AGENT" ] || poweroff -f
exec switch_root /root /usr/bin/python3 "$AGENT"
