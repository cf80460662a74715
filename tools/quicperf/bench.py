#!/usr/bin/env python3
"""The benchmark page: runs quicperf in every shape that matters and writes docs/benchmarks.md.

Usage: tools/bazel run //tools/quicperf:bench -- [--out FILE] [--rounds N] [--time SECONDS] [--quick]
                                                 [--only PART-OF-A-TITLE]

What is compared is run in turns within each round, so that a machine whose speed changes with its other
tenants changes it for all of them; ratios are taken within a round. Every figure is the median of the
rounds with the least and the most beside it. Servers run on the first of two CPUs, clients on the second.
What a second of the server's CPU brings is taken between two moments of the transfer, without handshakes.
Nothing but this repository is needed; iperf3 is measured, too, where it is installed.
"""

import argparse
import contextlib
import ctypes
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

LIMIT_S = 300
IDLE_CONNECTIONS = 10000


class Failed(Exception):
    pass


def say(text):
    print(text, file=sys.stderr, flush=True)


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def first_line(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return "?"


def tcp_ccs():
    """The kernel's congestion control for TCP: the default, and CUBIC where that is another one."""
    sysctl = "/proc/sys/net/ipv4/tcp_"
    found = [first_line(sysctl + "congestion_control")]
    if found[0] != "cubic" and "cubic" in first_line(sysctl + "available_congestion_control").split():
        found.append("cubic")
    return found


def worker_cpu_s(pid):
    """{thread: CPU seconds so far} of the workers of a process."""
    found = {}
    for task in os.listdir("/proc/%d/task" % pid):
        folder = "/proc/%d/task/%s/" % (pid, task)
        if first_line(folder + "comm").startswith("quring-"):
            found[task] = int(first_line(folder + "schedstat").split()[0]) / 1e9
    return found


class SchedAttr(ctypes.Structure):
    """struct sched_attr of sched_setattr(2)."""
    _fields_ = [("size", ctypes.c_uint32), ("policy", ctypes.c_uint32), ("flags", ctypes.c_uint64),
                ("nice", ctypes.c_int32), ("priority", ctypes.c_uint32), ("runtime", ctypes.c_uint64),
                ("deadline", ctypes.c_uint64), ("period", ctypes.c_uint64)]


SYS_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
SCHED_DEADLINE = 6
HOLD_NS, HOLD_PERIOD_NS = 2_000_000, 10_000_000


def hold_thread(thread):
    """Whether the thread now runs HOLD_NS in every HOLD_PERIOD_NS, counted from now."""
    number = SYS_SCHED_SETATTR.get(os.uname().machine)
    if number is None:
        return False
    attr = SchedAttr(size=ctypes.sizeof(SchedAttr), policy=SCHED_DEADLINE, runtime=HOLD_NS,
                     deadline=HOLD_PERIOD_NS, period=HOLD_PERIOD_NS)
    return ctypes.CDLL(None).syscall(number, thread, ctypes.byref(attr), 0) == 0


def hold_workers(pid):
    """Gives each worker HOLD_NS of CPU in HOLD_PERIOD_NS, one after the other: were their turns at the same
    time, they would take both CPUs, and the client none to answer them."""
    threads = [int(thread) for thread in sorted(worker_cpu_s(pid))]
    start = time.monotonic()
    for number, thread in enumerate(threads):
        due = start + number * HOLD_PERIOD_NS / 1e9 / len(threads)
        time.sleep(max(0.0, due - time.monotonic()))
        if not hold_thread(thread):
            raise Failed("a worker cannot be held to a part of a CPU")


def may_hold():
    """Whether hold_workers works here: it needs root."""
    process = subprocess.Popen(["sleep", "1"])
    try:
        return hold_thread(process.pid)
    finally:
        process.kill()
        process.wait()


class Bench:
    def __init__(self, quicperf, options):
        self.quicperf = quicperf
        self.rounds = options.rounds
        self.seconds = options.time
        self.cpus = sorted(os.sched_getaffinity(0))[:2]
        self.tcp_ccs = tcp_ccs()
        self.folder = tempfile.TemporaryDirectory()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def start_server(self, *args):
        """(process, port, path of the document it leaves)"""
        out = self.path("server.json")
        if "-w" not in args:
            args = ("--cpu", str(self.cpus[0]), *args)
        process = subprocess.Popen(
            [self.quicperf, "server", "-p", "0", "--json", out, *args],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        line = process.stdout.readline()
        found = re.search(r" port (\d+)", line)
        if not found:
            process.kill()
            raise Failed("the server said: " + line.strip())
        return process, int(found[1]), out

    def client(self, port, *args):
        out = self.path("client.json")
        run = subprocess.run(
            [self.quicperf, "client", "127.0.0.1:%d" % port, "--cpu", str(self.cpus[-1]), "-i", "0",
             "-q", "--json", out, *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
            timeout=LIMIT_S, check=False)
        if run.returncode != 0:
            raise Failed("client %s: %s" % (" ".join(args), run.stderr.strip()))
        return read_json(out)

    def pair(self, server_args, client_args):
        """One run of one server and one client: the client's summary, with the server's CPU seconds."""
        process, port, out = self.start_server(*server_args)
        try:
            run = self.client(port, *client_args)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=LIMIT_S)
        server = read_json(out)["summary"]
        result = dict(run["summary"], backend=run["backend"], aead=run["aead"],
                      latency=run["latency_us"])
        result["server_cpu_s"] = server["cpu_local_s"]
        result["server_io_syscalls"] = server["io_syscalls"]
        result["server_packets"] = server["packets_sent"] + server["packets_recv"]
        return result

    def windowed(self, server_args, client_args, hold=False, warm_s=0.0):
        """Like pair, and what the server's CPU did between the first and the last line of the client:
        window_s, window_bytes, window_requests, server_cpu_s. `hold`: each worker gets a fifth of a CPU. `warm_s`:
        lines before that do not count."""
        process, port, _ = self.start_server(*server_args)
        lines = []
        try:
            if "-w" not in client_args:
                client_args = ("--cpu", str(self.cpus[-1]), *client_args)
            client = subprocess.Popen(
                [self.quicperf, "client", "127.0.0.1:%d" % port, "-i", "%gs" % (self.seconds / 8),
                 "-q", "--jsonl", "-", *client_args],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
            for line in client.stdout:
                if hold and not lines:
                    hold_workers(process.pid)
                lines.append((json.loads(line), worker_cpu_s(process.pid)))
            error = client.communicate(timeout=LIMIT_S)[1]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=LIMIT_S)
        if client.returncode != 0:
            raise Failed("client %s: %s" % (" ".join(client_args), error.strip()))
        result = lines.pop()[0]
        lines = [line for line in lines if line[0]["t1"] >= warm_s]
        if len(lines) < 2:
            raise Failed("client %s: too short" % " ".join(client_args))
        first, last = lines[0][1], lines[-1][1]
        threads = [last[name] - first.get(name, 0) for name in sorted(last)]
        result.update(
            window_s=lines[-1][0]["t1"] - lines[0][0]["t1"],
            window_bytes=sum(record["bytes"] for record, _ in lines[1:]),
            window_requests=sum(record["requests"] for record, _ in lines[1:]),
            server_cpu_s=sum(threads))
        return result

    def pingpong(self, *args):
        """The document of raw datagrams there and back."""
        out = self.path("pingpong.json")
        run = subprocess.run(
            [self.quicperf, "limit", "--pingpong", "-t", "%gs" % self.seconds, "--cpu",
             "%d,%d" % (self.cpus[0], self.cpus[-1]), "--json", out, *args],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, universal_newlines=True,
            timeout=LIMIT_S, check=False)
        if run.returncode != 0:
            raise Failed("pingpong: " + run.stderr.strip())
        document = read_json(out)
        return dict(document["summary"], latency=document["latency_us"])

    def limit(self, *args):
        out = self.path("limit.json")
        run = subprocess.run(
            [self.quicperf, "limit", "-t", "%gs" % self.seconds, "-q", "--cpu",
             "%d,%d" % (self.cpus[0], self.cpus[-1]), "--json", out, *args],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, universal_newlines=True,
            timeout=LIMIT_S, check=False)
        if run.returncode != 0:
            raise Failed("limit: " + run.stderr.strip())
        return read_json(out)["summary"]["goodput_bps"]

    def iperf3(self, cc):
        """Plain TCP with this congestion control, without its first second: until the receive window has grown it may
        be at half."""
        if shutil.which("iperf3") is None:
            return None
        server = subprocess.Popen(["taskset", "-c", str(self.cpus[0]), "iperf3", "-s", "-1", "-p",
                                   "5299"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        run = subprocess.run(["taskset", "-c", str(self.cpus[-1]), "iperf3", "-c", "127.0.0.1", "-p",
                              "5299", "-R", "-J", "-C", cc, "-O", "1", "-t", str(max(1, int(self.seconds)))],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             universal_newlines=True, timeout=LIMIT_S, check=False)
        server.wait(timeout=LIMIT_S)
        if run.returncode != 0:
            raise Failed("iperf3 on port 5299: " + run.stdout.strip()[-200:])
        return json.loads(run.stdout)["end"]["sum_received"]["bits_per_second"]

    def rss_with(self, conns):
        process, port, _ = self.start_server("--idle-timeout", "300s")
        client = subprocess.Popen(
            [self.quicperf, "client", "127.0.0.1:%d" % port, "idle", "-c", str(conns), "-t", "200s",
             "-i", "0", "--idle-timeout", "300s", "--timeout", "60s"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        try:
            said = client.stdout.readline()
            if not said.startswith("holding "):
                raise Failed("idle client: " + said.strip())
            time.sleep(3)
            with open("/proc/%d/status" % process.pid, encoding="ascii") as file:
                return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])
        finally:
            client.kill()
            client.wait()
            process.kill()
            process.wait()

    def rounds_of(self, title, runs):
        """Runs each of {name: function} in turns; {name: [value of each round]}."""
        values = {name: [] for name in runs}
        for number in range(self.rounds):
            say("%s: round %d of %d" % (title, number + 1, self.rounds))
            for name, run in runs.items():
                values[name].append(run())
        return values


# ---- figures ------------------------------------------------------------------------------------


def spread(values, scale=1.0, digits=2):
    ordered = sorted(value * scale for value in values)
    return "%.*f (%.*f .. %.*f)" % (digits, statistics.median(ordered), digits, ordered[0], digits,
                                    ordered[-1])


def ratio(values, base):
    return spread([a / b for a, b in zip(values, base)])


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def bulk(bench, payload, backends):
    """One connection, one stream."""
    base = ("--payload", str(payload))
    time_args = ("-t", "%gs" % bench.seconds)
    runs = {"limit": lambda: bench.limit(*base)}

    def tput(io, direction):
        return lambda: bench.pair(base + ("--io", io), base + time_args +
                                  ("tput", "-d", direction, "--io", io))

    for io in backends:
        for direction in "down", "up":
            runs["%s, %s" % (direction, io)] = tput(io, direction)
    for cc in bench.tcp_ccs:
        for direction in "down", "up":
            runs["TCP+TLS 1.3, %s, %s" % (direction, cc)] = lambda cc=cc, direction=direction: bench.pair(
                ("--tcp", "--tcp-cc", cc),
                time_args + ("--tcp", "--tcp-cc", cc, "tput", "-d", direction))
        if shutil.which("iperf3"):
            runs["iperf3, plain TCP, %s" % cc] = lambda cc=cc: bench.iperf3(cc)
    values = bench.rounds_of("payload %d" % payload, runs)
    limits = values["limit"]
    rows = []
    for name, found in values.items():
        rates = [f["goodput_bps"] if isinstance(f, dict) else f for f in found]
        rest = ["-"] * (len(bench.tcp_ccs) + 2)
        if isinstance(found[0], dict) and "TCP" not in name:
            tls = [values["TCP+TLS 1.3, %s, %s" % (name.split(",")[0], cc)] for cc in bench.tcp_ccs]
            rest = [*(ratio(rates, [run["goodput_bps"] for run in of]) for of in tls),
                    "%d" % sum(run["lost_packets"] for run in found),
                    spread([run["server_io_syscalls"] / max(1, run["server_packets"])
                            for run in found], digits=3)]
        rows.append([name, spread(rates, 1e-9), ratio(rates, limits), *rest])
    return table(["payload %d" % payload, "Gbit/s", "of the limit",
                  *("of TCP+TLS, " + cc for cc in bench.tcp_ccs), "lost", "server syscalls per packet"], rows)


def aeads(bench):
    """Each AEAD that this build and CPU have, beside the limit with the same one."""
    runs = {}

    def add(aead):
        base = ("--payload", "1452", "--aead", aead)
        time_args = ("-t", "%gs" % bench.seconds)
        runs[aead, "limit"] = lambda: bench.limit(*base)
        for direction in "down", "up":
            runs[aead, direction] = lambda direction=direction: bench.pair(
                base, base + time_args + ("tput", "-d", direction))["goodput_bps"]

    missing = []
    for aead in "ipsec-mb", "boringssl":
        try:
            bench.limit("--payload", "1452", "--aead", aead, "-t", "50ms")
            add(aead)
        except Failed as why:
            missing.append([aead, "-", "not here: " + str(why).split(": ")[-1], "-"])
    values = bench.rounds_of("AEADs", runs)
    return table(["AES-128-GCM by", "", "Gbit/s", "of the limit with the same"],
                 missing + [[aead, what, spread(found, 1e-9), ratio(found, values[aead, "limit"])]
                            for (aead, what), found in values.items()])


def per_cpu(found, what="bytes", scale=1.0):
    return [r["window_" + what] * scale / r["server_cpu_s"] for r in found]


def many(bench, counts):
    """Bulk over more and more connections, per second of the server's CPU, behind their slow starts: of 10,000
    the first second and a half are nothing else."""
    def run(conns):
        warm_s = min(conns / 5000, 2.0)
        return lambda: bench.windowed(("--payload", "1452"),
                                      ("--payload", "1452", "tput", "-c", str(conns), "-t",
                                       "%gs" % (bench.seconds + warm_s)), warm_s=warm_s)
    values = bench.rounds_of("connections", {conns: run(conns) for conns in counts})
    rates = {conns: per_cpu(found, scale=8) for conns, found in values.items()}
    return table(["connections", "Gbit/s", "Gbit per server CPU second", "of one connection", "lost"],
                 [[str(conns), spread([r["window_bytes"] * 8 / r["window_s"] for r in found], 1e-9),
                   spread(rates[conns], 1e-9), ratio(rates[conns], rates[counts[0]]),
                   "%d" % sum(r["lost_packets"] for r in found)]
                  for conns, found in values.items()])


def handshakes(bench):
    # Of 64 that begin together a busy machine may have ended none after less.
    args = ("hps", "-c", "64", "-t", "%gs" % max(bench.seconds, 0.5))
    values = bench.rounds_of("handshakes", {
        "full (P-256)": lambda: bench.pair((), args),
        "resumed": lambda: bench.pair((), args + ("--resume",)),
    })
    return table(["handshakes", "per second", "per server CPU second", "p50 ms", "p99 ms"],
                 [[name, spread([r["handshakes_per_s"] for r in found], 1, 0),
                   spread([r["connections"] / r["server_cpu_s"] for r in found], 1, 0),
                   spread([r["latency"]["p50"] for r in found], 1e-3),
                   spread([r["latency"]["p99"] for r in found], 1e-3)]
                  for name, found in values.items()])


def requests(bench):
    sizes = ("--req", "64", "--resp", "64")
    time_args = ("-t", "%gs" % bench.seconds)
    values = {}
    runs = {}

    def add(name, server_args, *args):
        run = bench.pair if "--tcp" in args else bench.windowed
        runs[name] = lambda: run(server_args, args + sizes + time_args)

    add("100 connections, 1 outstanding each", (), "rr", "-c", "100")
    add("1000 connections, 1 outstanding each", (), "rr", "-c", "1000")
    add("1 connection, 64 outstanding", (), "rr", "-s", "64")
    add("TCP+TLS 1.3, 100 connections, 1 outstanding each", ("--tcp",), "rr", "-c", "100", "--tcp")
    values = bench.rounds_of("requests", runs)
    rows = []
    for name, found in values.items():
        cpu = "-" if "TCP" in name else spread(per_cpu(found, "requests"), 1, 0)
        rows.append([name, spread([r["requests_per_s"] for r in found], 1, 0), cpu])
    return table(["64-byte requests and answers", "per second", "per server CPU second"], rows)


def one_request(bench):
    """One outstanding request, beside a raw datagram there and back that waits in the same way: by plain system calls,
    and by the I/O of the workers, where what is left is QUIC's own; sealed and opened as one packet (of 72 bytes: perf
    has a header of 8) what a QUIC takes that does nothing else."""
    sizes = ("--req", "64", "--resp", "64", "-t", "%gs" % bench.seconds)
    ways = {"sleeping": (), "polling": ("--spin", "1000")}
    runs = {}
    for way, spin in ways.items():
        runs["raw UDP, " + way] = lambda spin=spin: bench.pingpong(*spin)
        for io, name in ("uring", "io_uring"), ("epoll", "epoll"):
            more = ("--io", io, *spin)
            runs["raw UDP, %s, %s" % (name, way)] = lambda more=more: bench.pingpong(*more)
            runs["raw UDP, sealed, %s, %s" % (name, way)] = lambda more=more: bench.pingpong(
                "--sealed", "--req", "72", *more)
            runs["QUIC, %s, %s" % (name, way)] = lambda more=more: bench.pair(
                more, ("rr", *sizes, *more))
    auto = ("--io", "uring", "--spin", "auto")
    runs["QUIC, io_uring, --spin auto"] = lambda: bench.pair(auto, ("rr", *sizes, *auto))
    runs["TCP+TLS 1.3, sleeping"] = lambda: bench.pair(("--tcp",), ("rr", *sizes, "--tcp"))
    values = bench.rounds_of("one request", runs)
    half = {name: [r["latency"]["p50"] for r in found] for name, found in values.items()}
    rows = []
    for name, found in values.items():
        plain = "raw UDP, " + ("sleeping" if "sleeping" in name else "polling")
        same = name.replace("QUIC", "raw UDP").replace(", sealed", "")
        rows.append([name, spread(half[name], 1, 1),
                     spread([r["latency"]["p99"] for r in found], 1, 1), ratio(half[name], half[plain]),
                     ratio(half[name], half[same]) if same in half and same != name else "-"])
    return table(["one request, 64 bytes each way", "p50 us", "p99 us", "p50 by that of raw UDP",
                  "by that of raw UDP on the same I/O"], rows)


def priorities(bench):
    """Small requests at fixed times beside endless transfers on the same connection."""
    load = ("latency", "-R", "500", "-s", "32", "--req", "64", "--resp", "64", "-t",
            "%gs" % bench.seconds, "--payload", "1452")
    server = ("--payload", "1452")
    line = ("--rate", "200M", "--delay", "2ms", "--queue", "64")
    runs = {}
    for bulk in 1, 4, 16:
        for urgent in False, True:
            flag = ("--urgent", "64K") if urgent else ()
            runs["%d bulk streams, %s" % (bulk, "urgent" if urgent else "alike")] = (
                lambda bulk=bulk, flag=flag: bench.pair(
                    server + flag, load + ("--bulk", str(bulk)) + flag + line))
    values = bench.rounds_of("priorities", runs)
    return table(["requests beside", "p50 us", "p99 us", "answered in time", "bulk Gbit/s"],
                 [[name, *(spread([r["latency"][p] for r in found], 1, 0) for p in ("p50", "p99")),
                   "%.1f %%" % (100 * sum(r["requests"] for r in found) / sum(
                       r["requests"] + r["requests_unsent"] + r["requests_unanswered"]
                       for r in found)),
                   spread([r["bulk_bytes"] * 8 / r["seconds"] for r in found], 1e-9)]
                  for name, found in values.items()])


WORKERS = """Two workers have two threads, rings and sockets, and share nothing that is written while packets
move. Here client and server have two CPUs together: left alone, two workers cannot be twice as fast. %s
Connections per worker are the same; the client has two threads in all runs.
"""
HELD = """So each worker is held to a fifth of a CPU (SCHED_DEADLINE), which leaves the client more than it needs:
two workers then have twice the CPU time of one, and what they make of it shows by the clock."""
NOT_HELD = """(Run as root, workers are held to a fifth of a CPU each, and the clock shows what two are worth.)
What would keep them from it elsewhere (locks, cache lines that travel, datagrams handed from one to the other) shows in
what a second of CPU brings: as much with two workers as with one."""


def workers(bench):
    hold = may_hold()
    client = ("-w", "2", "-t", "%gs" % bench.seconds, "--payload", "1452")
    loads = {
        "bulk, 16 connections per worker (MB)": ("bytes", 1e-6, 16, ("tput",)),
        "requests of 64 bytes, 100 connections per worker": (
            "requests", 1, 100, ("rr", "--req", "64", "--resp", "64")),
    }
    runs = {}
    for name, (_, _, conns, args) in loads.items():
        for count in 1, 2:
            runs[name, count] = lambda args=args, conns=conns, count=count: bench.windowed(
                ("-w", str(count), "--payload", "1452"),
                client + args + ("-c", str(conns * count)), hold)
    values = bench.rounds_of("workers", runs)
    rows = []
    for (name, count), found in values.items():
        what, scale = loads[name][:2]
        clock = {n: [r["window_" + what] * scale / r["window_s"] for r in values[name, n]]
                 for n in (1, count)}
        cpu = {n: per_cpu(values[name, n], what, scale) for n in (1, count)}
        rows.append([name, str(count), spread(clock[count], 1, 0), ratio(clock[count], clock[1]),
                     spread(cpu[count], 1, 0), ratio(cpu[count], cpu[1])])
    return WORKERS % (HELD if hold else NOT_HELD) + "\n" + table(
        ["load", "workers", "per second", "of one worker", "per server CPU second", "of one worker"],
        rows)


def open_loop(bench, rates):
    def run(rate):
        return lambda: bench.pair((), ("latency", "-R", str(rate), "-c", "10", "-s", "10", "--req",
                                       "64", "--resp", "64", "-t", "%gs" % bench.seconds))
    values = bench.rounds_of("latency", {rate: run(rate) for rate in rates})
    return table(["requests due per second", "answered per second", "p50 us", "p99 us", "p99.9 us",
                  "never sent"],
                 [[str(rate), spread([r["requests_per_s"] for r in found], 1, 0),
                   *(spread([r["latency"][p] for r in found], 1, 1) for p in ("p50", "p99", "p999")),
                   "%d" % sum(r["requests_unsent"] for r in found)]
                  for rate, found in values.items()])


# ---- the page -----------------------------------------------------------------------------------


def caches(cpu):
    folder = "/sys/devices/system/cpu/cpu%d/cache" % cpu
    found = ["L%s %s" % (first_line(os.path.join(folder, name, "level")),
                         first_line(os.path.join(folder, name, "size")))
             for name in sorted(os.listdir(folder) if os.path.isdir(folder) else [])
             if re.match(r"index\d+$", name) and
             first_line(os.path.join(folder, name, "type")) != "Instruction"]
    return ", ".join(found) or "?"


def quring(bench):
    done = subprocess.run([bench.quicperf, "version"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, universal_newlines=True, check=False)
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "?"


def machine(bench):
    model = "?"
    flags = set()
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
            elif line.startswith("flags"):
                flags = set(line.split(":", 1)[1].split())
    limits = "/proc/sys/net/core/"
    facts = [
        ("processor", "%s, %d CPUs, %s" % (model, os.cpu_count(),
                                           "VAES" if "vaes" in flags else "no VAES") +
         (", AVX-512" if "avx512f" in flags else "")),
        ("hypervisor", "yes" if "hypervisor" in flags else "no"),
        ("kernel", platform.release()),
        ("CPUs used", "server %d, client %d" % (bench.cpus[0], bench.cpus[-1])),
        ("net.core.rmem_max, wmem_max", "%s, %s" % (first_line(limits + "rmem_max"),
                                                    first_line(limits + "wmem_max"))),
        ("TCP congestion control", "%s by default" % bench.tcp_ccs[0]),
        ("loopback MTU", first_line("/sys/class/net/lo/mtu")),
        ("caches", caches(bench.cpus[0])),
        ("memory", "%.1f GiB" % (os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)),
        ("quring", quring(bench)),
        ("rounds, seconds of a run", "%d, %g" % (bench.rounds, bench.seconds)),
        ("date", time.strftime("%Y-%m-%d")),
    ]
    return table(["machine", ""], [list(fact) for fact in facts])


INTRO = """# Benchmarks

Made by one command, which anyone can run again on a machine of his own:

    tools/bazel run //tools/quicperf:bench -- --out docs/benchmarks.md

Every figure is the median of the rounds, with the least and the most in parentheses. What stands in one table
was run in turns; ratios are taken within a round, as the speed of a shared machine changes from minute to
minute: compare ratios, not rates. `limit` is what encryption and UDP alone allow between the same two CPUs
(`quicperf limit`); TCP+TLS 1.3 is the control that quicperf carries (`--tcp`): BoringSSL, one system call for
256 KiB. iperf3's first second, in which its window grows, is left out. TCP is measured with the
congestion control that is the machine's default, and with CUBIC, which is QUIC's here.
"""


def memory(bench):
    say("idle connections")
    alone = bench.rss_with(1)
    full = bench.rss_with(IDLE_CONNECTIONS)
    return ("%d idle connections take %.2f KiB of the server each (one run).\n"
            % (IDLE_CONNECTIONS, (full - alone) / IDLE_CONNECTIONS))


OPEN_LOOP = """Requests at fixed times over 10 connections (an open loop: one that waits for those before it counts
from when it was due):
"""

URGENT = """500 requests per second beside endless transfers on the same connection: all streams alike, and with
`--urgent 64K` (what is short goes first). The line has 200 Mbit/s, 2 ms each way and a queue of 64 packets,
which nobody can overtake. (Not measured over loopback, where the
queue is the client's socket.)
"""


def sections(bench, quick):
    """[(title, [text, or function that measures and gives one])]"""
    backends = ["uring", "epoll"]
    payloads = [1452] if quick else [1200, 1452, 4000, 8900]
    counts = [1, 10] if quick else [1, 10, 100, 1000, 10000]
    rates = [1000, 10000] if quick else [1000, 10000, 50000, 100000]
    found = [
        ("The machine", [lambda: machine(bench)]),
        ("One connection, one stream",
         [lambda payload=payload: bulk(bench, payload, backends) for payload in payloads]),
        ("Who encrypts, payload 1452", [lambda: aeads(bench)]),
        ("Many connections, down, payload 1452", [lambda: many(bench, counts)]),
        ("Handshakes, 64 at once", [lambda: handshakes(bench)]),
        ("Requests", [lambda: requests(bench), lambda: one_request(bench), OPEN_LOOP,
                      lambda: open_loop(bench, rates)]),
        ("Urgent requests beside bulk, payload 1452", [URGENT, lambda: priorities(bench)]),
        ("Two workers, payload 1452", [lambda: workers(bench)]),
    ]
    return found if quick else found + [("Memory", [lambda: memory(bench)])]


def parts(bench, options):
    """The page, part by part, as they are measured."""
    yield INTRO
    for title, texts in sections(bench, options.quick):
        if options.only is None or options.only.lower() in title.lower():
            yield "## %s\n" % title
            for text in texts:
                yield text if isinstance(text, str) else text()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("quicperf", type=os.path.abspath)
    parser.add_argument("--out", default="-", help="the page; - for standard output")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--time", type=float, default=1.2, help="seconds of one run")
    parser.add_argument("--only", metavar="TITLE", help="only the parts whose title has this in it")
    parser.add_argument("--quick", action="store_true", help="a few shapes only")
    options = parser.parse_args()
    if options.rounds < 1 or options.time <= 0:
        parser.error("--rounds and --time are to be positive")
    bench = Bench(options.quicperf, options)
    if len(bench.cpus) < 2:
        say("only one CPU: server and client share it, figures are low")
    at = None
    if options.out != "-":
        at = os.path.join(os.environ.get("BUILD_WORKING_DIRECTORY", "."), options.out)
    try:
        # What was measured is on the page even if the rest fails.
        with open(at, "w", encoding="utf-8") if at else contextlib.nullcontext(sys.stdout) as file:
            for number, part in enumerate(parts(bench, options)):
                file.write(("\n" if number > 0 else "") + part)
                file.flush()
    except (Failed, OSError) as why:
        sys.exit("bench: %s" % why)
    if at:
        say("written to " + at)


if __name__ == "__main__":
    main()
