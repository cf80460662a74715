#!/usr/bin/env python3
"""A running server takes what happens to it: killed and stopped peers, stops of its own, garbage.

Usage: robust_test.py QUICPERF FLOOD [--datagrams N] [--kills N] [--stop SECONDS]

After each of these the server still serves newcomers, and has the memory, the file descriptors and
the threads it had before. Both back ends.
"""

import argparse
import ctypes
import errno
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import harness
from harness import check

RSS_GROWTH_KIB = 4096   # after a flood, all half-open connections gone
RSS_PEAK_KIB = 131072   # in the midst of one
IDLE = "2s"             # of the servers here, so that the dead are gone soon


def refuse_io_uring():
    """From here on io_uring_setup answers EPERM in this process, as in many containers."""
    setup = 425  # on every architecture
    program = struct.pack("HBBIHBBIHBBIHBBI",
                          0x20, 0, 0, 0,               # load the number of the system call
                          0x15, 0, 1, setup,           # not this one: skip the next line
                          0x06, 0, 0, 0x00050000 | errno.EPERM,
                          0x06, 0, 0, 0x7fff0000)      # allow
    code = ctypes.create_string_buffer(program)

    class Program(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    libc = ctypes.CDLL(None, use_errno=True)
    prog = Program(4, ctypes.addressof(code))
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, ctypes.byref(prog), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot install a seccomp filter")


class Relay(threading.Thread):
    """Between one client and a server; keeps what the client says."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.port = self.front.getsockname()[1]
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back.connect(("127.0.0.1", port))
        self.seen = []
        self.client = None
        self.going = True

    def run(self):
        threading.Thread(target=self._answers, daemon=True).start()
        self.front.settimeout(0.2)
        while self.going:
            try:
                data, self.client = self.front.recvfrom(65536)
                self.seen.append(data)
                self.back.send(data)
            except OSError:
                continue

    def _answers(self):
        self.back.settimeout(0.2)
        while self.going:
            try:
                self.front.sendto(self.back.recv(65536), self.client)
            except OSError:
                continue

    def close(self):
        self.going = False
        self.join()
        self.front.close()
        self.back.close()


def capture(quicperf, server):
    """Real datagrams of a few clients: their Initials first of all."""
    seen = []
    for _ in range(4):
        relay = Relay(server.port)
        relay.start()
        harness.run_client(quicperf, "127.0.0.1:%d" % relay.port, "-d", "down", "-n", "20K",
                           "--no-gso")
        relay.close()
        seen += [data for data in relay.seen if 0 < len(data) <= 2048][:12]
    initials = sum(1 for data in seen if data[0] & 0xb0 == 0x80 and len(data) >= 1200)
    check(initials >= 4, "captured %d Initials of 4 clients" % initials)
    return seen


class Bench:
    def __init__(self, args, io):
        self.quicperf = args.quicperf
        self.args = args
        self.io = io

    def server(self, *more):
        return harness.Server(self.quicperf, "--io", self.io, "--idle-timeout", IDLE, *more)

    def warm(self, server):
        harness.fresh_client(self.quicperf, server.target)
        time.sleep(0.5)
        return server.settled_rss_kib(3), server.fds(), server.threads()

    def same_as(self, server, before, growth_kib):
        harness.fresh_client(self.quicperf, server.target)
        rss, fds, threads = server.settled_rss_kib(), server.fds(), server.threads()
        end = time.time() + 40  # a server that got little of the CPU has the last of them later
        while not self.args.no_rss and rss > before[0] + growth_kib and time.time() < end:
            time.sleep(0.5)
            rss = server.rss_kib()
        check(self.args.no_rss or rss <= before[0] + growth_kib, "RSS %d KiB, was %d" % (rss, before[0]))
        check((fds, threads) == before[1:], "%d fds, %d threads, were %s" % (fds, threads, before[1:]))
        check(not server.log_lines(), "the server complained: %s" % server.log_lines()[:5])
        return "RSS %d -> %d KiB" % (before[0], rss)

    def killed_clients(self):
        with self.server() as server:
            before = self.warm(server)
            for i in range(self.args.kills):
                client = harness.start_client(self.quicperf, server.target, "-t", "30s", "-d",
                                              "down" if i % 2 == 0 else "up", "-s", "4")
                time.sleep(0.2)
                client.kill()
                client.wait()
                if i % 5 == 4:
                    harness.fresh_client(self.quicperf, server.target)
            time.sleep(3.5)
            return self.same_as(server, before, RSS_GROWTH_KIB)

    def stopped(self, who):
        """One side stands still in mid transfer, then goes on: every byte arrives."""
        stop_s = self.args.stop
        with harness.Server(self.quicperf, "--io", self.io, "--idle-timeout", "20s") as server:
            for direction in "down", "up":
                client = subprocess.Popen(
                    [self.quicperf, "client", server.target, "-d", direction, "-n", "1000M", "-i", "20ms",
                     "--idle-timeout", "20s", "--json", "-"],
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
                line = "-"
                while line and not re.search(r"\b[1-9][0-9.]* [kMG]bit/s", line):
                    line = client.stderr.readline()
                check(client.poll() is None, "the transfer was over before the stop")
                victim = server.process if who == "server" else client
                victim.send_signal(signal.SIGSTOP)
                time.sleep(stop_s)
                victim.send_signal(signal.SIGCONT)
                out, err = client.communicate(timeout=harness.LIMIT_S)
                check(client.returncode == 0, "%s: %s" % (direction, err.strip()[-300:]))
                check(json.loads(out)["summary"]["bytes"] == 1000 << 20, "%s: not all bytes arrived" % direction)
            harness.fresh_client(self.quicperf, server.target)
            check(not server.log_lines(), "the server complained: %s" % server.log_lines()[:5])

    def flood(self):
        with self.server() as server, tempfile.NamedTemporaryFile() as file:
            for data in capture(self.quicperf, server):
                file.write(struct.pack(">H", len(data)) + data)
            file.flush()
            flood = [self.args.flood, str(server.port)]
            subprocess.run([*flood, "2000", "7", file.name], check=True, stdout=subprocess.DEVNULL)
            time.sleep(3)
            before = self.warm(server)
            peak = before[0]
            flooder = subprocess.Popen([*flood, str(self.args.datagrams), "1", file.name],
                                       stdout=subprocess.PIPE, universal_newlines=True)
            served = 0
            while flooder.poll() is None:
                harness.run_client(self.quicperf, server.target, "-n", "100K")
                served += 1
                peak = max(peak, server.rss_kib())
            said = flooder.communicate()[0].strip()
            check(flooder.returncode == 0, "flood failed")
            drops = server.drops()
            check(drops < self.args.datagrams * 3 / 4, "%d datagrams never got there" % drops)
            check(self.args.no_rss or peak <= before[0] + RSS_PEAK_KIB, "RSS %d KiB in the flood" % peak)
            time.sleep(11)  # the handshakes begun by copies of Initials time out
            return "%s, %d dropped by the kernel, %d clients meanwhile, peak %d KiB, %s" % (
                said, drops, served, peak, self.same_as(server, before, RSS_GROWTH_KIB))


def without_io_uring(quicperf):
    """Where the kernel refuses io_uring the server says so once and serves all the same."""
    with harness.Server(quicperf, "--io", "auto", before_exec=refuse_io_uring) as server:
        check("epoll" in server.hello and "io_uring refused" in server.hello,
              "the server said %r" % server.hello)
        harness.fresh_client(quicperf, server.target)
        lines = server.log_lines()
        check(len(lines) == 1 and "epoll" in lines[0] and "io_uring refused" in lines[0],
              "the log says %r" % lines)
        summary = harness.run_client(quicperf, server.target, "rr", "-n", "1000", "-s", "4")
        check(summary["requests"] == 1000, "%d requests" % summary["requests"])
        return lines[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("quicperf", type=os.path.abspath)
    parser.add_argument("flood", type=os.path.abspath)
    parser.add_argument("--datagrams", type=int, default=50000)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--stop", type=float, default=1.5)
    parser.add_argument("--no-rss", action="store_true",
                        help="sanitizers keep freed memory: their RSS says nothing")
    args = parser.parse_args()
    # On its own: it runs code between fork and exec.
    first = [("io_uring refused", lambda: without_io_uring(args.quicperf))]
    benches = [Bench(args, io) for io in harness.backends(args.quicperf)]
    # Those that wait longest begin first.
    tests = [("garbage, " + bench.io, bench.flood) for bench in benches]
    tests += [("clients killed, " + bench.io, bench.killed_clients) for bench in benches]
    tests += [(who + " stopped, " + bench.io, lambda bench=bench, who=who: bench.stopped(who))
              for bench in benches for who in ("server", "client")]
    harness.main(tests, at_once=6, first=first)  # most of it is waiting


if __name__ == "__main__":
    main()
