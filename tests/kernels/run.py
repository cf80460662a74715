#!/usr/bin/env python3
"""The tests and quicperf on other kernels than this machine's: Debian's, each booted in qemu.

    tests/kernels/run.py [--quick] [--tests LABEL]... [KERNEL...]   5.10, 6.1, 6.12; all of them without a name
    tests/kernels/run.py KERNEL -- COMMAND [ARGUMENT...]            one command there, in this directory

Kernels come as Debian's packages, through apt with lists of its own, into ~/.cache/quring-kernels (KERNELS_DIR) and
are unpacked there; nothing is installed. The guest (two processors, 3 GiB) has this machine's files, read-only
under a layer in memory that is gone with it, and no network but its own. Bazel builds the tests here and
starts each there (through.py; agent.py is the other end), so that labels and logs are as ever.

Prints a table: the tests that passed and failed, the cases that were skipped, the back end that the runtime
chose, Gbit/s of quicperf on it and on epoll. Exit status 0 when all passed, 1 when not, 77 when qemu or the
packages are not to be had. Without a usable /dev/kvm, or with --quick, only the tests of I/O run.
"""
import argparse
import contextlib
import glob
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CACHE = os.path.abspath(os.environ.get("KERNELS_DIR") or os.path.expanduser("~/.cache/quring-kernels"))
SUITES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "bookworm-backports"}
WITH_URING = {"6.1", "6.12"}
# What the guest needs to have its files and its ports; a kernel may have some of it built in.
MODULES = {"virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"}
QUICK = ["//tests/runtime/io/...", "//tests/runtime/udp/...", "//tests/api:echo_test", "//tests/api:fallback_test"]
FULL = ["//tests/runtime/...", "//tests/api/...", "//tests/compat/...", "//tests/netns/...", "//tests/examples/..."]
# Cases that demand io_uring, for kernels that the runtime takes epoll on; so do targets called *_uring_test.
URING_CASES = ["*/io_uring*", "*/uring*", "*/UringTxTest.*", "IoSelect.AutoPrefersUring", "IoSelect.*Uring*",
               "*UringIsAskedFor*"]
PORTS = 4
LIMITS = "600,900,1800,3600"
BOOT_S, TESTS_S, COMMAND_S = 240, 3000, 240


class Missing(Exception):
    """What cannot be had here: no failure."""


def call(*argv, **more):
    try:
        run = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, **more)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(str(error)) from error
    if run.returncode != 0:
        raise Missing("%s: %s" % (" ".join(argv[:2]), run.stdout.strip()[-300:]))
    return run.stdout


# ---- packages ----------------------------------------------------------------------------------


def mirror(security):
    """Where this machine has its packages from, or its security updates; None where it has none."""
    lines = call("apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)").splitlines()
    found = [line.split() for line in lines if line.startswith("Debian ")]
    return next((uri for _, name, uri in found
                 if (name.endswith("-security") if security else "-" not in name)), None)


def apt(suite):
    """The options that keep apt to `suite` and to a folder of its own."""
    home = os.path.join(CACHE, suite)
    os.makedirs(os.path.join(home, "lists", "partial"), exist_ok=True)
    os.makedirs(os.path.join(home, "apt", "archives", "partial"), exist_ok=True)
    sources = os.path.join(home, "sources.list")
    if mirror(False) is None:
        raise Missing("apt has no lists of Debian: apt-get update")
    with open(sources, "w", encoding="ascii") as out:
        out.write("deb %s %s main\n" % (mirror(False), suite))
        if "-" not in suite and mirror(True) is not None:
            out.write("deb %s %s-security main\n" % (mirror(True), suite))
    return ["-q", "-o", "Dir::Etc::sourcelist=" + sources, "-o", "Dir::Etc::sourceparts=/dev/null",
            "-o", "Dir::State::lists=" + os.path.join(home, "lists"),
            "-o", "Dir::Cache=" + os.path.join(home, "apt"), "-o", "APT::Sandbox::User="]


def unpack(suite, package):
    """The folder of `package`'s files; fetched when there is none yet, or a newer one is known."""
    where = os.path.join(CACHE, suite, package)
    if not os.path.isdir(where):
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            call("apt-get", *apt(suite), "download", package, cwd=scratch, timeout=600)
            call("dpkg-deb", "-x", glob.glob(os.path.join(scratch, "*.deb"))[0], os.path.join(scratch, "files"))
            os.rename(os.path.join(scratch, "files"), where)
    return where


def fetch(kernel):
    """Folders of the kernel's package and of busybox."""
    suite = SUITES[kernel]
    os.makedirs(CACHE, exist_ok=True)
    for each in {suite, "bookworm"}:
        call("apt-get", *apt(each), "update", timeout=300)
    depends = call("apt-cache", *apt(suite), "depends", "linux-image-amd64")
    image = re.search(r"Depends: (linux-image-\S+)", depends)
    if image is None:
        raise Missing("no linux-image-amd64 in " + suite)
    return unpack(suite, image.group(1)), unpack("bookworm", "busybox-static")


# ---- the guest ---------------------------------------------------------------------------------


def in_order(files):
    """The files of MODULES and of what they need, which comes first."""
    at = glob.glob(files + "/lib/modules/*")[0]
    needs = {}
    with open(at + "/modules.dep", encoding="ascii") as lines:
        for line in lines:
            module, _, needed = line.partition(":")
            needs[module] = needed.split()
    order = []

    def add(module):
        for needed in needs[module]:
            add(needed)
        if module not in order:
            order.append(module)

    for module in needs:
        if os.path.basename(module).split(".")[0] in MODULES:
            add(module)
    return [os.path.join(at, module) for module in order]


def make_initrd(files, busybox, scratch):
    root = os.path.join(scratch, "initrd")
    for name in "bin", "proc", "dev", "host", "layer", "root", "modules":
        os.makedirs(os.path.join(root, name))
    shutil.copy(busybox, os.path.join(root, "bin", "busybox"))
    shutil.copy(os.path.join(HERE, "init.sh"), os.path.join(root, "init"))
    modules = in_order(files)
    for i, module in enumerate(modules):
        opener = lzma.open if module.endswith(".xz") else open
        with opener(module, "rb") as packed, open(os.path.join(root, "modules", "%02d" % i), "wb") as out:
            shutil.copyfileobj(packed, out)
    with open(os.path.join(root, "settings"), "w", encoding="utf-8") as out:
        out.write("KERNEL='%s'\nBUSYBOX='%s'\nAGENT='%s'\n" % (files, busybox, os.path.join(HERE, "agent.py")))
    names = "\n".join(os.path.relpath(os.path.join(at, name), root)
                      for at, folders, others in os.walk(root) for name in folders + others)
    initrd = os.path.join(scratch, "initrd.cpio")
    with open(initrd, "wb") as out:
        subprocess.run([busybox, "cpio", "-o", "-H", "newc"], input=names.encode(), stdout=out,
                       stderr=subprocess.DEVNULL, cwd=root, check=True)
    return initrd


def kvm_usable():
    """Whether the processor itself runs the guest: there are modules that offer /dev/kvm to guests made for them."""
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and any(
        os.path.isdir("/sys/module/kvm_" + vendor) for vendor in ("amd", "intel"))


def qemu(image, initrd, scratch):
    argv = ["qemu-system-x86_64", "-m", "3072", "-smp", "2", "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-nic", "none", "-serial", "stdio", "-kernel", image, "-initrd", initrd,
            "-append", "console=ttyS0 quiet panic=-1 no_timer_check", "-device", "virtio-serial-pci",
            "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]
    argv += (["-accel", "kvm", "-cpu", "host,-arch-capabilities"] if kvm_usable() else
             ["-accel", "tcg,thread=multi", "-cpu", "max"])
    for i in range(PORTS):
        argv += ["-chardev", "socket,id=p%d,path=%s/%d.port,server=on,wait=off" % (i, scratch, i),
                 "-device", "virtserialport,chardev=p%d,name=p%d" % (i, i)]
    return argv


@contextlib.contextmanager
def guest(kernel):
    """A booted guest: the folder of its ports."""
    if shutil.which("qemu-system-x86_64") is None:
        raise Missing("no qemu-system-x86_64 (Debian package qemu-system-x86)")
    files, box = fetch(kernel)
    busybox = os.path.join(box, "bin", "busybox")
    call(busybox, "depmod", "-b", files, os.path.basename(glob.glob(files + "/lib/modules/*")[0]))
    with tempfile.TemporaryDirectory() as scratch:
        initrd = make_initrd(files, busybox, scratch)
        console = os.path.join(scratch, "console")
        with open(console, "wb") as out:
            run = subprocess.Popen(qemu(glob.glob(files + "/boot/vmlinuz-*")[0], initrd, scratch),
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + BOOT_S
            while "ready" not in open(console, errors="replace").read().split():
                if run.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("%s does not boot:\n%s" % (kernel, open(console, errors="replace").read()))
                time.sleep(0.1)
            yield scratch
            said = open(console, errors="replace").read()
            for line in said.splitlines():
                if re.search(r"BUG|WARNING:|Oops|Call Trace|blocked for more", line):
                    print("console of %s: %s" % (kernel, line))
        finally:
            run.kill()
            run.wait()


def there(ports, argv, **more):
    return subprocess.run([os.path.join(HERE, "through.py"), *argv], env=dict(os.environ, QURING_GUEST=ports),
                          timeout=COMMAND_S, **more)


# ---- what is run -------------------------------------------------------------------------------


def demanding_uring(labels):
    """Those of `labels` and below that cannot run without."""
    found = subprocess.run([TOP + "/tools/bazel", "query", "filter(_uring_test$, tests(set(%s)))" % " ".join(labels)],
                           cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    return found.stdout.split()


def run_tests(ports, labels, uring):
    """The targets that passed and failed, and the number of those and of cases that were left out."""
    left_out = [] if uring else demanding_uring(labels)
    more = [] if uring else ["--test_env=GTEST_FILTER=-" + ":".join(URING_CASES)]
    run = subprocess.run(
        [TOP + "/tools/bazel", "test", "--curses=no", "--color=no", "--noshow_progress", "--keep_going",
         "--strategy=TestRunner=local", "--cache_test_results=no", "--run_under=" + HERE + "/through.py",
         "--test_env=QURING_GUEST=" + ports, "--local_test_jobs=%d" % PORTS, "--test_timeout=%s" % LIMITS, *more, "--",
         *labels, *("-" + label for label in left_out)],
        cwd=TOP, stdout=subprocess.PIPE, universal_newlines=True, timeout=TESTS_S)
    print(run.stdout)
    verdicts = dict(re.findall(r"^(//\S+) +.*?(PASSED|FLAKY|FAILED|TIMEOUT|NO STATUS)", run.stdout, re.M))
    skipped = len(left_out)
    for label in verdicts:
        for log in glob.glob("%s/bazel-testlogs/%s/**/test.log" % (TOP, label[2:].replace(":", "/")), recursive=True):
            with open(log, errors="replace") as text:
                skipped += sum(int(n) for n in re.findall(r"^\[  SKIPPED \] (\d+) test", text.read(), re.M))
    passed = [label for label, verdict in verdicts.items() if verdict in ("PASSED", "FLAKY")]
    failed = sorted(set(verdicts) - set(passed))
    if run.returncode != 0 and not failed:
        failed = ["bazel"]
    return passed, failed, skipped


def measure(ports, quicperf, io):
    """The back end, Gbit/s down, requests per second."""
    try:
        run = there(ports, [quicperf, "demo", "-t", "1s", *io], stdout=subprocess.PIPE, universal_newlines=True)
    except subprocess.TimeoutExpired:
        return None
    print(run.stdout)
    down = re.search(r"^down +([\d.]+)", run.stdout, re.M)
    rate = re.search(r"^rr +[\d.]+ +(\d+)", run.stdout, re.M)
    back_end = re.search(r"^one connection, .*?(io_uring|epoll)", run.stdout, re.M)
    if run.returncode != 0 or not (down and rate and back_end):
        return None
    return back_end.group(1), float(down.group(1)), int(rate.group(1))


def try_kernel(kernel, labels):
    """A row of the table, and whether all is well."""
    with guest(kernel) as ports:
        release = there(ports, ["uname", "-r"], stdout=subprocess.PIPE, universal_newlines=True).stdout.strip()
        print("=== " + release, flush=True)
        quicperf = os.path.join(TOP, "bazel-bin/tools/quicperf/quicperf")
        chosen, epoll = (measure(ports, quicperf, io) for io in ([], ["--io", "epoll"]))
        uring = chosen is not None and chosen[0] == "io_uring"
        passed, failed, skipped = run_tests(ports, labels, uring)
    if uring != (kernel in WITH_URING):
        failed.append("the choice of the back end")
    row = [release, str(len(passed)), str(len(failed)), str(skipped)]
    row += [chosen[0], "%.2f" % chosen[1], str(chosen[2])] if chosen else ["none", "-", "-"]
    row += ["%.2f" % epoll[1], str(epoll[2])] if epoll else ["-", "-"]
    for label in failed:
        print("failed on %s: %s" % (kernel, label))
    return row, not failed and chosen is not None and epoll is not None


def main():
    command = None
    argv = sys.argv[1:]
    if "--" in argv:
        argv, command = argv[:argv.index("--")], argv[argv.index("--") + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tests", action="append", metavar="LABEL")
    parser.add_argument("kernels", nargs="*", metavar="KERNEL")
    options = parser.parse_args(argv)
    kernels = options.kernels or list(SUITES)
    if set(kernels) - set(SUITES):
        parser.error("kernels: " + " ".join(SUITES))
    if command:
        with guest(kernels[0]) as ports:
            return there(ports, command).returncode
    labels = options.tests or (QUICK if options.quick or not kvm_usable() else FULL)
    subprocess.run([TOP + "/tools/bazel", "build", "--noshow_progress", "//tools/quicperf"], cwd=TOP, check=True)
    rows = [["kernel".ljust(20), "passed", "failed", "skipped", "chosen  ", "Gbit/s", "req/s ", "epoll Gbit/s",
             "req/s"]]
    well, missing = True, []
    for kernel in kernels:
        try:
            row, good = try_kernel(kernel, labels)
            rows.append(row)
            well = well and good
        except Missing as error:
            missing.append("%s: skipped: %s" % (kernel, error))
        except (RuntimeError, subprocess.SubprocessError) as error:
            rows.append([kernel, str(error)])
            well = False
    for row in rows:
        print("  ".join(text.ljust(len(head)) for text, head in zip(row, rows[0])).rstrip())
    print("\n".join(missing))
    return 1 if not well else 77 if len(rows) == 1 else 0


if __name__ == "__main__":
    sys.exit(main())
