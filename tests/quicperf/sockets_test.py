#!/usr/bin/env python3
"""quicperf --api sockets: a program of QUIC sockets on either end, against itself and against the engine's
own interface, on both back ends.

Usage: sockets_test.py QUICPERF
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from harness import (QUICPERF, Server, client, client_left_alone, localhost_is_both, make_certificate, quicperf,
                     under_way)

SOCKETS = ["--api", "sockets"]


def backends():
    for io in "uring", "epoll":
        if quicperf("limit", "-t", "10ms", "--io", io).returncode == 0:
            yield io


class Wrong(unittest.TestCase):
    def check(self, args, status, *words):
        run = quicperf(*args)
        self.assertEqual(run.returncode, status, "%s: %s" % (args, run.stderr))
        lines = run.stderr.strip().split("\n")
        self.assertEqual(len(lines), 1, run.stderr)
        for word in words:
            self.assertIn(word, lines[0])

    def test_arguments(self):
        self.check(["client", "localhost", "--api", "tcp"], 2, "native|sockets")
        self.check(["client", "localhost", "dgram", *SOCKETS], 2, "tput, rr, crr, hps, idle and script")
        self.check(["client", "localhost", "--loss", "1%", *SOCKETS], 2, "does not take --loss")
        self.check(["client", "localhost", "--payload", "1300", *SOCKETS], 2, "--payload")
        self.check(["client", "localhost", "--version", "upgrade", *SOCKETS], 2, "any, 1 and 2")
        self.check(["client", "localhost", "-c", "5000", *SOCKETS], 2, "at most 4096")
        self.check(["server", "--0rtt", *SOCKETS], 2, "does not take --0rtt")
        self.check(["server", "--tcp", *SOCKETS], 2, "does not take --tcp")
        self.check(["client", "localhost", "--quic-lib", "x.so"], 2, "--api sockets")

    def test_without_the_library(self):
        for who in ["server", "-p", "0"], ["client", "127.0.0.1:1"]:
            self.check([*who, *SOCKETS, "--quic-lib", "/no/such/libquic.so"], 2,
                       "--api sockets needs libquic.so", "/no/such/libquic.so")
            self.check([*who, *SOCKETS, "--quic-lib", QUICPERF], 2)

    def test_nobody_answers(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
            holder.bind(("127.0.0.1", 0))
            target = "127.0.0.1:%d" % holder.getsockname()[1]
            for mode in "tput", "rr", "idle", "crr", "hps":
                began = time.time()
                self.check(["client", target, mode, "--timeout", "700ms", *SOCKETS], 1, target)
                self.assertLess(time.time() - began, 10)

    def test_port_in_use(self):
        with Server() as server:
            self.check(["server", "-p", str(server.port), *SOCKETS], 1, str(server.port))


class Runs(unittest.TestCase):
    def transfers(self, port, *more):
        for direction in "down", "up":
            for amount, shape in ((1, []), (70000, ["-s", "3"]), (3 << 20, ["-c", "2", "-s", "2"])):
                run = client(port, "-d", direction, "-n", str(amount), *shape, *more)
                self.assertEqual(run["summary"]["bytes"], amount, (direction, shape, more))
                self.assertEqual(run["api"], "sockets" if more[:2] == tuple(SOCKETS) else "native")
            run = client(port, "-d", direction, "-t", "300ms", "-i", "100ms", *more)
            self.assertGreater(run["summary"]["bytes"], 0)
            intervals = run["intervals"]  # fewer than three where the machine stood still
            self.assertEqual([i["t0"] for i in intervals], [0, *(i["t1"] for i in intervals[:-1])])
            self.assertEqual(intervals[-1]["t1"], run["summary"]["seconds"])
        run = client(port, "rr", "-n", "60", "-c", "2", "-s", "3", *more)
        self.assertEqual((run["summary"]["requests"], run["summary"]["errors"]), (60, 0))
        self.assertGreater(run["latency_us"]["p50"], 0)
        run = client(port, "rr", "-n", "5", "--req", "200K", "--resp", "300K", *more)
        self.assertEqual(run["summary"]["requests"], 5)
        run = client(port, "crr", "-n", "6", "-c", "2", *more)
        self.assertEqual((run["summary"]["requests"], run["summary"]["connections"]), (6, 6))

    def test_every_pair_of_ends(self):
        for io in backends():
            with Server("--io", io) as server:
                self.transfers(server.port, *SOCKETS, "--io", io)
            with Server("--io", io, *SOCKETS) as server:
                self.transfers(server.port, "--io", io)
                self.transfers(server.port, *SOCKETS, "--io", io)
            self.assertEqual(server.process.returncode, 0, server.err)

    def test_a_client_goes_where_it_is_not_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            within = localhost_is_both(folder)
            if within is None:
                self.skipTest("no namespace of one's own, or no IPv6")
            for local in "127.0.0.1", "::1":
                with Server("-B", local) as server:
                    run = subprocess.run([*within, QUICPERF, "client", "localhost:%d" % server.port, "rr", "-n", "1",
                                          *SOCKETS], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                         universal_newlines=True, timeout=60, check=False)
                self.assertEqual(run.returncode, 0, run.stderr)

    def test_runs_of_a_script(self):
        with tempfile.TemporaryDirectory() as folder, Server() as server:
            path = os.path.join(folder, "script")
            with open(path, "w") as file:
                file.write("rr -n 3\nrr -n 3 --api sockets\ntput -n 90K -d up --api sockets\n")
            runs = client(server.port, "script", path)["runs"]
            self.assertEqual([r["api"] for r in runs], ["native", "sockets", "sockets"])
            self.assertEqual(runs[2]["summary"]["bytes"], 90 << 10)

    def test_handshakes_and_idle(self):
        with Server() as server:
            run = client(server.port, "hps", "-n", "8", "-c", "2", *SOCKETS)
            self.assertEqual(run["summary"]["connections"], 8)
            run = client(server.port, "idle", "-c", "30", "-t", "200ms", "-w", "3", *SOCKETS)
            self.assertEqual((run["summary"]["connections"], run["summary"]["errors"]), (30, 0))

    def test_idle_notices_what_is_lost(self):
        with Server("--idle-timeout", "500ms") as server:
            run = client(server.port, "idle", "-c", "3", "-t", "2s", *SOCKETS, status=1)
            self.assertIn("3 connections were lost", run["error"])
            self.assertEqual(run["summary"]["errors"], 3)

    def test_server_options(self):
        with tempfile.TemporaryDirectory() as folder:
            report = os.path.join(folder, "server.json")
            with Server(*SOCKETS, "--retry", "-1", "--json", report) as server:
                run = client(server.port, "-d", "up", "-n", "1M")
                self.assertTrue(run["summary"]["retry"])
                self.assertEqual(server.process.wait(timeout=20), 0)
            with open(report) as file:
                document = json.load(file)
            self.assertEqual(document["api"], "sockets")
            self.assertEqual(document["summary"]["connections"], 1)
            self.assertEqual(document["summary"]["bytes"], 1 << 20)

    def test_large_datagrams(self):
        """A socket says that it takes what UDP can carry (RFC 9000 18.2), and does."""
        with Server(*SOCKETS) as server:
            for payload in "9000", "65000":
                run = client(server.port, "tput", "-d", "up", "-n", "8M", "--payload", payload, "--timeout", "10s")
                self.assertEqual(run["summary"]["bytes"], 8 << 20)

    def test_versions_and_congestion_control(self):
        with Server() as server:
            for version in "1", "2":
                run = client(server.port, "-n", "100K", "--version", version, "--cc", "bbr", *SOCKETS)
                self.assertEqual(run["summary"]["version"], int(version))
        with Server("--version", "1") as server:
            run = client(server.port, "-n", "1K", "--version", "2", *SOCKETS, status=1)
            self.assertIn("speak version 2: the server does not want it", run["error"])

    def test_without_encryption_if_both_ask(self):
        for api in [], SOCKETS:
            with Server("--disable-encryption", *api) as server:
                run = client(server.port, "-n", "100K", "--disable-encryption", *SOCKETS)
                self.assertTrue(run["summary"]["unencrypted"])
        with Server(*SOCKETS) as server:
            run = client(server.port, "-n", "1K", "--disable-encryption", *SOCKETS, status=1)
            self.assertIn("go without encryption", run["error"])

    def test_certificates(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = make_certificate(folder)
            other, _ = make_certificate(folder, "other")
            with Server("--cert", cert, "--key", key, *SOCKETS) as server:
                target = "localhost:%d" % server.port
                run = quicperf("client", target, "-n", "1K", "--ca", cert, *SOCKETS)
                self.assertEqual(run.returncode, 0, run.stderr)
                run = quicperf("client", target, "-n", "1K", "--ca", other, *SOCKETS)
                self.assertEqual(run.returncode, 1)
                self.assertIn("--insecure", run.stderr)

    def test_a_server_that_goes_away(self):
        for api in [], SOCKETS:
            run = client_left_alone(Server(*api), "-d", "up", "-t", "20s", *SOCKETS)
            self.assertIn("was lost", run["error"])
            self.assertGreater(run["summary"]["bytes"], 0)

    def test_interrupts(self):
        with Server(*SOCKETS) as server:
            run = subprocess.Popen([QUICPERF, "client", "127.0.0.1:%d" % server.port, "-t", "30s",
                                    "-i", "100ms", *SOCKETS, "--json", "-"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, universal_newlines=True)
            under_way(run.stderr)
            run.send_signal(signal.SIGINT)
            out, err = run.communicate(timeout=20)
            self.assertEqual(run.returncode, 130, err)
            self.assertTrue(json.loads(out)["summary"]["interrupted"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
