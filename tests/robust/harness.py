"""What the scripts of this directory share: a quicperf server to look into, clients, the flooder."""

import concurrent.futures
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

LIMIT_S = 60
BACKENDS = ("uring", "epoll")


class Failed(Exception):
    pass


def check(good, text):
    if not good:
        raise Failed(text)


class Server:
    """A server on a free loopback port (or `port`) with one worker; ends with the block."""

    def __init__(self, quicperf, *args, before_exec=None, port=0):
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen([quicperf, "server", "-p", str(port), *args],
                                        stdout=subprocess.PIPE, stderr=self.log,
                                        universal_newlines=True, preexec_fn=before_exec)
        self.hello = self.process.stdout.readline()
        found = re.search(r" port (\d+)", self.hello)
        if not found:
            self.process.kill()
            self.process.wait()
            raise Failed("server said %r, %r" % (self.hello, self.log_lines()))
        self.port = int(found.group(1))
        self.target = "127.0.0.1:%d" % self.port

    def __enter__(self):
        return self

    def __exit__(self, kind, *unused):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        if kind is None:
            check(self.process.returncode == 0, "server ended with %d" % self.process.returncode)

    def log_lines(self):
        self.log.seek(0)
        return self.log.read().splitlines()

    def _status(self, name, task=None):
        path = "/proc/%d" % self.process.pid + ("/task/%s" % task if task else "") + "/status"
        with open(path) as file:
            return int(re.search(r"^%s:\s*(\d+)" % name, file.read(), re.M).group(1))

    def rss_kib(self):
        return self._status("VmRSS")

    def threads(self):
        return self._status("Threads")

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def drops(self):
        """Datagrams the kernel threw away because the server's sockets were full."""
        total = 0
        for name in "udp", "udp6":
            try:
                with open("/proc/net/" + name) as file:
                    rows = [line.split() for line in file.readlines()[1:]]
            except OSError:
                continue
            total += sum(int(row[-1]) for row in rows
                         if int(row[1].rpartition(":")[2], 16) == self.port)
        return total

    def switches(self):
        """Times each thread went to sleep of its own will, by thread."""
        return {task: self._status("voluntary_ctxt_switches", task)
                for task in os.listdir("/proc/%d/task" % self.process.pid)}

    def settled_rss_kib(self, deadline_s=15):
        """RSS once it has stopped falling."""
        end = time.time() + deadline_s
        best = self.rss_kib()
        stable = 0
        while time.time() < end and stable < 4:
            time.sleep(0.25)
            now = self.rss_kib()
            stable = stable + 1 if now >= best else 0
            best = min(best, now)
        return best


def run_client(quicperf, target, *args, timeout=LIMIT_S):
    """A client run that must succeed; gives the summary of its JSON document."""
    run = subprocess.run([quicperf, "client", target, *args, "-q", "--json", "-"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                         timeout=timeout)
    check(run.returncode == 0, "client %s: exit %d, %s" % (args, run.returncode, run.stderr))
    summary = json.loads(run.stdout)["summary"]
    check(summary["errors"] == 0, "client %s: %d errors" % (args, summary["errors"]))
    return summary


def start_client(quicperf, target, *args):
    return subprocess.Popen([quicperf, "client", target, *args], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def hold_connections(quicperf, target, count, *args):
    """A client with that many idle connections, all of them open."""
    client = subprocess.Popen([quicperf, "client", target, "idle", "-c", str(count), "-i", "0", *args],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True)
    said = client.stdout.readline()
    if said != "holding %d connections\n" % count:
        client.kill()
        client.wait()
        raise Failed("the client said: " + said.strip())
    return client


def fresh_client(quicperf, target):
    """A newcomer is served, both ways, to the last byte."""
    for direction in "down", "up":
        summary = run_client(quicperf, target, "-d", direction, "-n", "2M")
        check(summary["bytes"] == 2 << 20, "%d bytes %s" % (summary["bytes"], direction))


def backends(quicperf):
    """The back ends this machine has."""
    return [io for io in BACKENDS
            if subprocess.run([quicperf, "limit", "-t", "10ms", "--io", io],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=LIMIT_S).returncode == 0]


def median(values):
    return statistics.median(values)


def main(tests, at_once=1, first=()):
    """Runs each (name, function), so many at a time and those of `first` alone before, prints one line per
    result; exit status 1 when one failed."""
    failed = 0
    if not tests:
        print("FAIL  nothing could be tested: the program does not run here", flush=True)
        sys.exit(1)

    def run(case):
        name, test = case
        began = time.time()
        try:
            text = test() or ""
            return True, "ok    %-34s %5.1f s  %s" % (name, time.time() - began, text)
        except (Failed, subprocess.TimeoutExpired, OSError) as error:
            return False, "FAIL  %-34s %5.1f s  %s" % (name, time.time() - began, error)

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for passed, line in itertools.chain(map(run, first), pool.map(run, tests)):
            failed += not passed
            print(line, flush=True)
    sys.exit(1 if failed else 0)
