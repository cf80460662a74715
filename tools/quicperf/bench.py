#!/usr/bin/env python3
"""The benchmark page: runs quicperf in every shape that matters and writes docs/benchmarks.md.

Usage: tools/bazel run //tools/quicperf:bench -- [--out FILE] [--rounds N] [--time SECONDS] [--quick]

What is compared is run in turns within each round, so that a machine whose speed changes with its other
tenants changes it for all of them; ratios are taken within a round. Every figure is the median of the
rounds with the least and the most beside it. Servers run on the first of two CPUs, clients on the second.
Nothing but this repository is needed; iperf3 is measured, too, where it is installed.
"""

import argparse
import contextlib
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


class Bench:
    def __init__(self, quicperf, options):
        self.quicperf = quicperf
        self.rounds = options.rounds
        self.seconds = options.time
        self.cpus = sorted(os.sched_getaffinity(0))[:2]
        self.folder = tempfile.TemporaryDirectory()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def start_server(self, *args):
        """(process, port, path of the document it leaves)"""
        out = self.path("server.json")
        process = subprocess.Popen(
            [self.quicperf, "server", "-p", "0", "--cpu", str(self.cpus[0]), "--json", out, *args],
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

    def limit(self, *args):
        out = self.path("limit.json")
        run = subprocess.run(
            [self.quicperf, "limit", "-t", "%gs" % self.seconds, "-i", "0", "-q", "--cpu",
             "%d,%d" % (self.cpus[0], self.cpus[-1]), "--json", out, *args],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, universal_newlines=True,
            timeout=LIMIT_S, check=False)
        if run.returncode != 0:
            raise Failed("limit: " + run.stderr.strip())
        return read_json(out)["summary"]["goodput_bps"]

    def iperf3(self):
        if shutil.which("iperf3") is None:
            return None
        server = subprocess.Popen(["taskset", "-c", str(self.cpus[0]), "iperf3", "-s", "-1", "-p",
                                   "5299"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        run = subprocess.run(["taskset", "-c", str(self.cpus[-1]), "iperf3", "-c", "127.0.0.1", "-p",
                              "5299", "-R", "-J", "-t", str(max(1, int(self.seconds)))],
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
    runs["TCP+TLS 1.3, down"] = lambda: bench.pair(("--tcp",), time_args + ("--tcp", "tput"))
    runs["TCP+TLS 1.3, up"] = lambda: bench.pair(("--tcp",), time_args + ("--tcp", "tput", "-d", "up"))
    if shutil.which("iperf3"):
        runs["iperf3, plain TCP"] = bench.iperf3
    values = bench.rounds_of("payload %d" % payload, runs)
    limits = values["limit"]
    rows = []
    for name, found in values.items():
        rates = [f["goodput_bps"] if isinstance(f, dict) else f for f in found]
        rest = ["-", "-", "-"]
        if isinstance(found[0], dict) and "TCP" not in name:
            tls = values["TCP+TLS 1.3, " + name.split(",")[0]]
            rest = [ratio(rates, [run["goodput_bps"] for run in tls]),
                    "%d" % sum(run["lost_packets"] for run in found),
                    spread([run["server_io_syscalls"] / max(1, run["server_packets"])
                            for run in found], digits=3)]
        rows.append([name, spread(rates, 1e-9), ratio(rates, limits), *rest])
    return table(["payload %d" % payload, "Gbit/s", "of the limit", "of TCP+TLS", "lost",
                  "server syscalls per packet"], rows)


def many(bench, counts):
    """Bulk over more and more connections, per second of the server's CPU."""
    def run(conns):
        return lambda: bench.pair(("--payload", "1452"),
                                  ("--payload", "1452", "tput", "-c", str(conns), "-t",
                                   "%gs" % bench.seconds))
    values = bench.rounds_of("connections", {conns: run(conns) for conns in counts})
    rates = {conns: [r["bytes"] * 8 / r["server_cpu_s"] for r in found]
             for conns, found in values.items()}
    return table(["connections", "Gbit/s", "Gbit per server CPU second", "of one connection", "lost"],
                 [[str(conns), spread([r["goodput_bps"] for r in found], 1e-9),
                   spread(rates[conns], 1e-9), ratio(rates[conns], rates[counts[0]]),
                   "%d" % sum(r["lost_packets"] for r in found)]
                  for conns, found in values.items()])


def handshakes(bench):
    args = ("hps", "-c", "64", "-t", "%gs" % bench.seconds)
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
    runs = {}

    def add(name, server_args, *args):
        runs[name] = lambda: bench.pair(server_args, args + sizes + time_args)

    add("1 connection, 1 outstanding", (), "rr")
    add("1 connection, 1 outstanding, spinning 50 us", ("--spin", "50"), "rr", "--spin", "50")
    add("1 connection, 64 outstanding", (), "rr", "-s", "64")
    add("100 connections, 1 outstanding each", (), "rr", "-c", "100")
    add("1000 connections, 1 outstanding each", (), "rr", "-c", "1000")
    add("TCP+TLS 1.3, 1 connection, 1 outstanding", ("--tcp",), "rr", "--tcp")
    add("TCP+TLS 1.3, 100 connections, 1 outstanding each", ("--tcp",), "rr", "-c", "100", "--tcp")
    values = bench.rounds_of("requests", runs)
    rows = []
    for name, found in values.items():
        cpu = "-" if "TCP" in name else spread([r["requests"] / r["server_cpu_s"] for r in found], 1, 0)
        rows.append([name, spread([r["requests_per_s"] for r in found], 1, 0), cpu,
                     spread([r["latency"]["p50"] for r in found], 1, 1),
                     spread([r["latency"]["p99"] for r in found], 1, 1)])
    return table(["64-byte requests and answers", "per second", "per server CPU second", "p50 us",
                  "p99 us"], rows)


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


def first_line(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return "?"


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
                                           "VAES" if "vaes" in flags else "no VAES")),
        ("hypervisor", "yes" if "hypervisor" in flags else "no"),
        ("kernel", platform.release()),
        ("CPUs used", "server %d, client %d" % (bench.cpus[0], bench.cpus[-1])),
        ("net.core.rmem_max, wmem_max", "%s, %s" % (first_line(limits + "rmem_max"),
                                                    first_line(limits + "wmem_max"))),
        ("loopback MTU", first_line("/sys/class/net/lo/mtu")),
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
256 KiB.
"""


def parts(bench, quick):
    """The page, part by part, as they are measured."""
    backends = ["uring", "epoll"]
    yield INTRO
    yield "## The machine\n"
    yield machine(bench)
    yield "## One connection, one stream\n"
    for payload in [1452] if quick else [1200, 1452, 4000, 8900]:
        yield bulk(bench, payload, backends)
    yield "## Many connections, down, payload 1452\n"
    yield many(bench, [1, 10] if quick else [1, 10, 100, 1000, 10000])
    yield "## Handshakes, 64 at once\n"
    yield handshakes(bench)
    yield "## Requests\n"
    yield requests(bench)
    yield ("Requests at fixed times over 10 connections (an open loop: one that waits for those "
           "before it counts from when it was due):\n")
    yield open_loop(bench, [1000, 10000] if quick else [1000, 10000, 50000, 100000])
    if not quick:
        say("idle connections")
        alone = bench.rss_with(1)
        full = bench.rss_with(IDLE_CONNECTIONS)
        yield "## Memory\n"
        yield ("%d idle connections take %.2f KiB of the server each (one run).\n"
               % (IDLE_CONNECTIONS, (full - alone) / IDLE_CONNECTIONS))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("quicperf", type=os.path.abspath)
    parser.add_argument("--out", default="-", help="the page; - for standard output")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--time", type=float, default=2, help="seconds of one run")
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
            for number, part in enumerate(parts(bench, options.quick)):
                file.write(("\n" if number > 0 else "") + part)
                file.flush()
    except (Failed, OSError) as why:
        sys.exit("bench: %s" % why)
    if at:
        say("written to " + at)


if __name__ == "__main__":
    main()
