#!/usr/bin/env python3
"""Servers under a mixed load for a long time: clients that come and go, misbehave, sit behind bad lines or stay.

Usage: soak.py QUICPERF FLOOD [--seconds N] [--slots N] [--pause S] [--seed N] [--libquic FILE]
                                    [--no-rss] [--out FOLDER]

Four servers (io_uring; epoll with Retry, polling while it pays; io_uring, polling; QUIC sockets) have clients that
the seed draws. What the servers hold is written down twice a minute (samples.jsonl), and how each client ended
(clients.jsonl). At the end every client must have ended as its faults explain, no counter gone back, as many
connections be closed as were opened, and memory, descriptors and threads be those of the beginning.
"""

import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import harness
import robust_test
from harness import check

IDLE_S = 10             # of the servers: the dead are gone soon
LONG_S = 1800           # a run that says something about growth
SAMPLE_S = 30
RELOAD_EVERY = 10       # samples: new connections get their certificate from the file
WARM_SHARE = 0.2        # of the time, before memory has to be level
GROWTH_KIB_PER_H = 2048 # that is no leak
COST_RISE = 1.3         # of CPU time per packet, from the first third to the last
MEM_LEFT_BYTES = 5 << 20  # of a server that has stopped: its tables, and spare buffers
SOCKETS_LATE_FDS = 2    # an eventfd of each worker, made when somebody first stands in for it
LEVELS = ("mem_used_bytes",)
IMPAIRED = ("--loss", "--burst-loss", "--reorder")


# ---- clients ------------------------------------------------------------------------------------------------------

class Job:
    """A client: its arguments, what is done to it (`how`), and the exit statuses that explains."""

    def __init__(self, name, args, ok=(0,), how=None, native=False, weight=2):
        self.name, self.args, self.ok, self.how = name, args.split(), ok, how
        self.native = native  # nothing for a server of sockets
        self.weight = weight


def killed(client, rng):
    time.sleep(rng.uniform(0.05, 1.0))
    client.kill()


def interrupted(client, rng):
    time.sleep(rng.uniform(0.05, 1.0))
    client.send_signal(signal.SIGINT)


def stopped(client, rng):
    """Past the idle timeout, when the server has long forgotten it."""
    time.sleep(rng.uniform(0.05, 1.0))
    client.send_signal(signal.SIGSTOP)
    time.sleep(IDLE_S * 1.3)
    client.send_signal(signal.SIGCONT)


def slow(client, rng):
    """Runs for a moment, then stands still, and so on: a reader that cannot keep up."""
    for _ in range(40):
        time.sleep(0.02)
        if client.poll() is not None:
            return
        client.send_signal(signal.SIGSTOP)
        time.sleep(rng.uniform(0.1, 0.6))
        client.send_signal(signal.SIGCONT)


DEAD = (0, 1)  # may have been over before; or another port came within the handshake (RFC 9000 9)
JOBS = [
    Job("down", "tput -n 4M -s 4", weight=4),
    Job("up", "tput -d up -n 4M -s 4", weight=4),
    Job("many streams", "tput -n 2M -s 60"),
    Job("rr", "rr -n 300 -c 2 -s 4", weight=4),
    Job("rr, sockets", "rr -n 200 -c 2 --api sockets"),
    Job("rr, polling", "rr -n 1000 --spin auto", weight=3),
    Job("rr, polling long", "rr -n 1000 --spin 200", weight=3),
    Job("crr, polling", "crr -n 40 -c 4 --spin 200"),
    Job("down, polling", "tput -n 4M -s 4 --spin auto"),
    Job("up, polling", "tput -d up -n 4M -s 4 --spin 200"),
    Job("moves, polling", "rr -n 1000 --spin 200 --rebind 300ms --migrate 500ms", DEAD, native=True),
    Job("down, sockets", "tput -n 3M --api sockets"),
    Job("up, sockets", "tput -d up -n 3M --api sockets"),
    Job("crr, sockets", "crr -n 20 -c 2 --api sockets"),
    Job("crr", "crr -n 40 -c 4", weight=4),
    Job("crr, resumed", "crr -n 40 -c 4 --resume", native=True, weight=4),
    Job("crr, 0-RTT", "crr -n 40 -c 4 --0rtt", native=True, weight=4),
    Job("crr, token", "crr -n 20 -c 2 --token", native=True),
    Job("hps", "hps -n 60 -c 6"),
    Job("version 2", "crr -n 10 --version 2"),
    Job("version upgrade", "crr -n 10 --version upgrade"),
    Job("datagrams down", "dgram -t 2s --dgram-rate 300", native=True),
    Job("datagrams up", "dgram -d up -t 2s --dgram-rate 300", native=True),
    Job("urgent beside bulk", "latency -R 50 -t 2s --bulk 1 --urgent 4K --rate 10M --delay 5ms"),
    Job("killed, down", "tput -t 20s --rate 20M -s 4", (-9,), killed, weight=3),
    Job("killed, up", "tput -d up -t 20s --rate 20M -s 4", (-9,), killed, weight=3),
    Job("killed, crr", "crr -t 20s -c 2 --rate 2M", (-9,), killed),
    Job("interrupted", "rr -t 20s -c 2 --rate 2M", (130, -2), interrupted),  # -2: before it listens to signals
    Job("stopped", "latency -R 50 -t 20s", DEAD, stopped),
    Job("stopped, bulk", "tput -t 20s --rate 5M", DEAD, stopped),
    Job("slow reader", "tput -n 6M -s 2", DEAD, slow, weight=3),
    Job("slow writer", "tput -d up -n 6M -s 2", DEAD, slow),
    Job("slow datagrams", "dgram -t 4s --dgram-rate 200", DEAD, slow, native=True),
    Job("bad line", "tput -n 1M --loss 2% --reorder 5% --duplicate 2% --corrupt 1% --delay 5ms", weight=3),
    Job("bad line, up", "tput -d up -n 1M --burst-loss 1%,40% --reorder 5% --duplicate 2% --corrupt 1% --delay 5ms",
        weight=3),
    Job("bad line, crr", "crr -n 20 -c 4 --loss 5% --reorder 10% --duplicate 5% --corrupt 1% --timeout 20s", weight=3),
    Job("bad line, 0-RTT", "crr -n 10 -c 2 --0rtt --loss 5% --delay 5ms --timeout 20s", DEAD, native=True),
    Job("small MTU", "tput -n 1M --mtu 1280 --delay 2ms"),
    Job("another port", "latency -R 40 -t 6s --rebind 500ms"),
    Job("another port, bulk", "tput -d up -n 2M --rebind 300ms --rate 10M"),
    Job("moves", "latency -R 40 -t 6s --migrate 300ms", native=True),
    Job("moves, lossy", "latency -R 40 -t 6s --migrate 300ms --rebind 700ms --loss 3%", DEAD, native=True),
    Job("black holes", "latency -R 20 -t 14s --blackhole 3s,3s"),
    Job("black hole", "rr -t 25s --rate 1M --blackhole 1s,60s", (1,)),
    Job("no handshake", "crr -n 1 --timeout 3s --blackhole 1ms,60s", DEAD),
    Job("silent", "idle -c 5 -t 60s", DEAD, stopped),
    Job("idle", "idle -c 10 -t 16s --idle-timeout 8s"),
    Job("not trusted", "crr -n 2 --ca CA", (1,)),
    Job("key updates", "rr -n 3000 --key-update 4K", native=True),
    Job("garbage", "", how="flood", weight=3),
]

# For the whole time, with the server's number. In an hour they pass 2^20 requests and packets, 2^32 bytes, and tens of
# thousands of key phases, on one connection each.
STAYING = [
    (0, Job("requests", "latency -R 400 -s 8 --key-update 1M")),
    (0, Job("much down", "latency -R 50 -s 4 --resp 32K --key-update 64K")),
    (1, Job("much up", "latency -R 50 -s 4 --req 32K --resp 64 --key-update 64K")),
    (1, Job("datagrams", "dgram -d up --dgram-rate 100 --dgram-size 200")),
    (1, Job("requests", "latency -R 20 -c 4 --keep-alive 3s")),
    (2, Job("requests", "latency -R 50 --spin 200 --key-update 64K")),
    (2, Job("requests", "latency -R 50 --spin auto")),
    (3, Job("requests", "latency -R 50 -c 2")),
    (0, Job("idle", "idle -c 40 --idle-timeout 8s")),
    (1, Job("idle", "idle -c 40 --idle-timeout 8s")),
    (3, Job("idle", "idle -c 10 --idle-timeout 8s")),
    (1, Job("moving", "latency -R 5 --migrate 20s --rebind 13s")),
]


class Soak:
    def __init__(self, args, servers, paths):
        self.args, self.servers, self.paths = args, servers, paths
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.ends = collections.Counter()
        self.wrong = []
        self.log = open(os.path.join(args.out, "clients.jsonl"), "w", buffering=1)

    def say(self, job, server, began, status, said):
        good = status in job.ok or (status == 1 and "changed nothing" in said)  # a fault's chance never came
        with self.lock:
            self.ends[job.name, status] += 1
            self.log.write(json.dumps({"at": round(began - self.began, 1), "job": job.name, "server": server.name,
                                       "took": round(time.time() - began, 2), "status": status, "good": good,
                                       "said": said[-2000:]}) + "\n")
            if not good:
                self.wrong.append("%s, %s: status %s, %s" % (job.name, server.name, status, said.strip()[-200:]))

    def run(self, job, server, rng, *more, limit=90):
        began = time.time()
        args = [self.paths["ca"] if arg == "CA" else arg for arg in job.args]
        if job.how == "flood":
            command = [self.args.flood, str(server.port), "1500", str(rng.getrandbits(30) + 1), self.paths["captured"]]
        else:
            command = [self.args.quicperf, "client", server.target, *args, *more, "-q"]
            if any(arg in IMPAIRED for arg in args):
                command += ["--seed", str(rng.getrandbits(30))]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if callable(job.how):
            job.how(client, rng)
        try:
            said = client.communicate(timeout=limit)[0]
        except subprocess.TimeoutExpired:
            client.kill()
            said = "HANGS: " + client.communicate()[0]
            self.say(job, server, began, "hangs", said)
            return
        self.say(job, server, began, client.returncode, said)

    def slot(self, seed):
        rng = random.Random(seed)
        jobs = [job for job in JOBS if self.args.libquic or "sockets" not in job.args]
        weights = [job.weight for job in jobs]
        while not self.over.is_set():
            job = rng.choices(jobs, weights)[0]
            server = rng.choice([s for s in self.servers if not (job.native and s.sockets)])
            self.run(job, server, rng)
            self.over.wait(rng.uniform(0, 2 * self.args.pause))

    def stay(self, server, job):
        self.run(job, server, random.Random(self.args.seed), "-t", "%ds" % self.args.seconds,
                 limit=self.args.seconds + 120)

    def go(self, watch):
        self.began = time.time()
        threading.excepthook = lambda hook: self.wrong.append("the soak itself: %r" % hook.exc_value)
        threads = [threading.Thread(target=self.slot, args=(self.args.seed * 1000 + i,), daemon=True)
                   for i in range(self.args.slots)]
        threads += [threading.Thread(target=self.stay, args=(self.servers[which], job), daemon=True)
                    for which, job in STAYING if which < len(self.servers)]
        for thread in threads:
            thread.start()
        for look in range(self.args.seconds // SAMPLE_S):
            watch()
            if look % RELOAD_EVERY == RELOAD_EVERY - 1:
                for server in self.servers:
                    server.reload()
            time.sleep(max(0, self.began + (look + 1) * SAMPLE_S - time.time()))
        self.over.set()
        for thread in threads:
            thread.join()


# ---- servers ------------------------------------------------------------------------------------------------------

class Watched(harness.Server):
    def __init__(self, args, name, *more, sockets=False, polls=False):
        self.name, self.sockets = name, sockets
        self.polls = polls  # for as long as it was told: its CPU time says little about packets
        self.lines = os.path.join(args.out, name + ".jsonl")
        common = ["--idle-timeout", "%ds" % IDLE_S]
        if not sockets:
            common += ["-w", "2", "--jsonl", self.lines, "-i", "5s"]
        super().__init__(args.quicperf, *common, *more)
        self.samples = []
        threading.Thread(target=self.process.stdout.read, daemon=True).start()  # a line per interval

    def __exit__(self, *unused):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def reload(self):
        if not self.sockets:
            self.process.send_signal(signal.SIGHUP)

    def cpu_s(self):
        with open("/proc/%d/stat" % self.process.pid) as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def counted(self):
        """The lines of --jsonl so far."""
        if self.sockets:
            return []
        with open(self.lines) as file:
            return [line for line in map(json.loads, filter(lambda l: l.endswith("\n"), file))
                    if line["type"] == "counters"]

    def look(self, at):
        sample = {"at": round(at, 1), "server": self.name, "rss": self.rss_kib(), "fds": self.fds(),
                  "threads": self.threads(), "cpu": self.cpu_s(), "drops": self.drops()}
        self.samples.append(sample)
        return sample


def slope(points):
    """Of the line that fits best, per second."""
    n = len(points)
    if n < 3:
        return 0.0
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    below = sum((x - mx) ** 2 for x, _ in points)
    return sum((x - mx) * (y - my) for x, y in points) / below if below else 0.0


def cost(lines):
    """CPU seconds per packet."""
    packets = [line["counters"]["packets_sent"] + line["counters"]["packets_recv"] for line in (lines[0], lines[-1])]
    return (lines[-1]["cpu_local_s"] - lines[0]["cpu_local_s"]) / max(1, packets[1] - packets[0])


def judge(server, seconds, before, after, no_rss):
    """What a server must be like at the end; gives complaints and a line of figures."""
    wrong = []
    begin = server.samples[0]["at"] + seconds * WARM_SHARE
    level = [(s["at"], s["rss"]) for s in server.samples if begin <= s["at"] <= seconds]
    # The least of each five minutes: what connections hold at the moment is no growth.
    growth = slope([min(level[i:i + 10], key=lambda point: point[1]) for i in range(0, len(level), 10)]) * 3600
    if growth > GROWTH_KIB_PER_H and seconds >= LONG_S and not no_rss:
        wrong.append("RSS grows by %d KiB an hour" % growth)
    late = SOCKETS_LATE_FDS if server.sockets else 0
    if not before["fds"] <= after["fds"] <= before["fds"] + late or after["threads"] != before["threads"]:
        wrong.append("%d fds, %d threads; were %d, %d" % (after["fds"], after["threads"], before["fds"],
                                                        before["threads"]))
    text = "RSS %d -> %d KiB, %+d KiB/h, cpu %.1f s" % (before["rss"], after["rss"], growth, after["cpu"])
    lines = server.counted()
    if len(lines) > 12:
        first, last = cost(lines[:len(lines) // 3]), cost(lines[-len(lines) // 3:])
        text += ", %.2f -> %.2f us per packet" % (first * 1e6, last * 1e6)
        text += ", %(spins)d polls, %(spin_hits)d of them for something" % lines[-1]["counters"]
        if last > first * COST_RISE and seconds >= LONG_S and not server.polls:
            wrong.append("a packet costs %.2f us, %.2f us at the beginning" % (last * 1e6, first * 1e6))
    for last, line in zip(lines, lines[1:]):
        wrong += ["%s went back from %d to %d at %.0f s" % (name, last["counters"][name], value, line["t"])
                  for name, value in line["counters"].items()
                  if value < last["counters"][name] and name not in LEVELS]
    return wrong, text


def settled(lines):
    """What the counters of a server that has stopped must say."""
    c = lines[-1]["counters"]
    wrong = []
    if c["conns_opened"] != c["conns_closed"]:
        wrong.append("%(conns_opened)d connections opened, %(conns_closed)d closed" % c)
    if c["conns_opened"] != c["conns_established"] + c["handshakes_failed"]:
        wrong.append("%(conns_opened)d connections opened, %(conns_established)d established, "
                     "%(handshakes_failed)d failed" % c)
    if c["mem_used_bytes"] > MEM_LEFT_BYTES:
        wrong.append("%d bytes in use" % c["mem_used_bytes"])
    if c["early_accepted"] + c["early_rejected"] > c["conns_opened"]:
        wrong.append("more early data than connections")
    return wrong


def prepare(args, folder):
    """A certificate that nobody trusts, and another one as trust anchor; real datagrams to damage."""
    for name in "server", "ca":
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", os.path.join(folder, name + ".key"), "-out", os.path.join(folder, name + ".pem")],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    paths = {"ca": os.path.join(folder, "ca.pem"), "captured": os.path.join(folder, "captured")}
    with harness.Server(args.quicperf) as server, open(paths["captured"], "wb") as file:
        for data in robust_test.capture(args.quicperf, server):
            file.write(len(data).to_bytes(2, "big") + data)
    return paths


def start(args, folder):
    cert = ["--cert", os.path.join(folder, "server.pem"), "--key", os.path.join(folder, "server.key")]
    backends = harness.backends(args.quicperf)
    servers = [Watched(args, "first", "--io", backends[0], "--0rtt", *cert),
               Watched(args, "retry", "--io", "epoll", "--0rtt", "--retry", "--limits", "internet", "--spin", "auto",
                       *cert),
               Watched(args, "polling", "--io", backends[0], "--0rtt", "--spin", "200", *cert, polls=True)]
    if args.libquic:
        servers.append(Watched(args, "sockets", "-w", "2", "--api", "sockets", "--quic-lib", args.libquic, *cert,
                               sockets=True))
    return servers


def soak(args, folder):
    paths = prepare(args, folder)
    servers = start(args, folder)
    samples = open(os.path.join(args.out, "samples.jsonl"), "w", buffering=1)
    wrong = []
    try:
        for server in servers:
            harness.fresh_client(args.quicperf, server.target)
        time.sleep(IDLE_S / 4)
        began = time.time()

        def watch():
            for server in servers:
                samples.write(json.dumps(server.look(time.time() - began)) + "\n")
        watch()
        before = [server.samples[-1] for server in servers]
        run = Soak(args, servers, paths)
        run.go(watch)
        time.sleep(IDLE_S * 2.5)  # until the last of the dead are forgotten
        watch()
        for server, first in zip(servers, before):
            complaints, text = judge(server, args.seconds, first, server.samples[-1], args.no_rss)
            print("%-8s %s" % (server.name, text))
            wrong += ["%s: %s" % (server.name, each) for each in complaints]
        wrong += run.wrong
    finally:
        for server in servers:
            server.__exit__(None)
            wrong += ["%s said: %s" % (server.name, line) for line in server.log_lines()]
            if server.process.returncode != 0:
                wrong.append("%s ended with %s" % (server.name, server.process.returncode))
    for server in servers:
        if not server.sockets:
            wrong += ["%s: %s" % (server.name, each) for each in settled(server.counted())]
    for (name, status), count in sorted(run.ends.items(), key=str):
        print("%6d  %-22s %s" % (count, name, status))
    for each in wrong[:100]:
        print("WRONG", each)
    print("%d clients, %d complaints" % (sum(run.ends.values()), len(wrong)))
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("quicperf", type=os.path.abspath)
    parser.add_argument("flood", type=os.path.abspath)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--slots", type=int, default=3, help="clients that come and go, at once")
    parser.add_argument("--pause", type=float, default=1.0, help="between two of them, seconds on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--libquic", type=os.path.abspath, help="also a server, and clients, of QUIC sockets")
    parser.add_argument("--no-rss", action="store_true", help="sanitizers keep freed memory: their RSS says nothing")
    parser.add_argument("--out", default="", help="keeps the samples there")
    args = parser.parse_args()
    folder = tempfile.mkdtemp()
    args.out = args.out or folder
    os.makedirs(args.out, exist_ok=True)
    try:
        sys.exit(soak(args, folder))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
