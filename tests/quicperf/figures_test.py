#!/usr/bin/env python3
"""Whether the figures of quicperf are true: against each other, and against what others count.

Usage: figures_test.py QUICPERF
"""

import collections
import glob
import json
import os
import subprocess
import tempfile
import time
import unittest

from harness import QUICPERF, LIMIT_S, Server, client, client_left_alone


class Intervals(unittest.TestCase):
    def check(self, run, args):
        lines, summary = run["intervals"], run["summary"]
        self.assertGreater(len(lines), 0, args)
        self.assertEqual(lines[0]["t0"], 0)
        for before, after in zip(lines, lines[1:]):
            self.assertEqual(before["t1"], after["t0"], args)
        self.assertEqual(lines[-1]["t1"], summary["seconds"], args)
        for name in "bytes", "requests":
            self.assertEqual(sum(line[name] for line in lines), summary[name], (name, args))
        self.assertAlmostEqual(sum(line["cpu_local_s"] for line in lines), summary["cpu_local_s"], delta=0.02)
        self.assertEqual(sum(line["lost_packets"] for line in lines), summary["lost_packets"], args)

    def test_they_add_up_to_the_summary(self):
        with Server("--tcp") as server:
            for args in (["-n", "20M", "-i", "7ms"], ["-n", "9M", "-d", "up", "-i", "3ms"],
                         ["-t", "300ms", "-i", "50ms", "-c", "3", "-s", "2"], ["-d", "up", "-t", "250ms", "-i", "90ms"],
                         ["rr", "-n", "500", "-i", "5ms"], ["rr", "-t", "300ms", "-c", "2", "-w", "2", "-i", "40ms"],
                         ["crr", "-t", "300ms", "-c", "4", "-i", "50ms"],
                         ["latency", "-R", "500", "-t", "300ms", "-s", "9", "-i", "50ms"],
                         ["--tcp", "rr", "-t", "500ms", "-i", "50ms"], ["--tcp", "-t", "250ms", "-i", "90ms"]):
                self.check(client(server.port, *args), args)

    def test_a_line_that_is_asked_for_when_it_is_over(self):
        with Server() as server:
            for _ in range(20):
                for args in (["-n", "1M"], ["crr", "-n", "40", "-c", "40"], ["rr", "-n", "500", "-c", "50", "-s", "10"],
                             ["rr", "-n", "40", "-c", "40", "--resp", "100K"]):
                    self.check(client(server.port, *args, "-i", "1us"), args)

    def test_lines_that_cannot_be_made_in_time(self):
        """However often a line is asked for, the run is as long as was said."""
        with Server("--tcp") as server:
            for more in [], ["--tcp"]:
                began = time.monotonic()
                args = ["-t", "500ms", "-i", "1us", *more]
                run = client(server.port, *args)
                self.assertLess(time.monotonic() - began, 6)
                self.assertLess(run["summary"]["seconds"], 3)
                self.check(run, args)


class Counts(unittest.TestCase):
    def test_what_comes_after_the_end_does_not_count(self):
        with Server("--retry") as server:
            for _ in range(10):
                summary = client(server.port, "crr", "-c", "20", "-t", "400ms", "-i", "0")["summary"]
                self.assertEqual(summary["retry_connections"], summary["connections"])
                self.assertTrue(summary["retry"])

    def test_polling_is_time_to_spare(self):
        with Server("--spin", "1000") as server:
            for _ in range(5):
                run = client(server.port, "rr", "-t", "200ms", "--spin", "1000")
                self.assertFalse(run["summary"]["client_bound"])


class Latency(unittest.TestCase):
    def test_every_connection_gets_its_turn(self):
        with tempfile.TemporaryDirectory() as folder, Server() as server:
            for streams in 1, 3:
                logs = os.path.join(folder, str(streams))
                client(server.port, "latency", "-R", "300", "-n", "80", "-c", "40", "-s", str(streams), "--qlog", logs)
                turns = []
                for path in glob.glob(logs + "/*.sqlog"):
                    with open(path) as file:
                        turns.append(sum("stream_state_updated" in line for line in file))
                self.assertEqual(collections.Counter(turns), {2: 40})

    def test_workers_without_connections(self):
        with Server() as server:
            run = client(server.port, "latency", "-R", "100", "-t", "300ms", "-w", "3")
            self.assertLess(run["summary"]["requests_unsent"], 30)
            self.assertLess(run["summary"]["requests_unanswered"], 30)

    def test_what_was_due_is_answered_or_not(self):
        with Server() as server:
            for rate, more in ("100", []), ("3000", ["-s", "8"]), ("100000", ["-c", "2"]):
                summary = client(server.port, "latency", "-R", rate, "-t", "400ms", *more)["summary"]
                due = sum(summary[name] for name in ("requests", "requests_unsent", "requests_unanswered"))
                self.assertAlmostEqual(due, int(rate) * summary["seconds"], delta=2)

    def test_a_server_that_goes_away(self):
        for rate in "5", "3000":
            run = client_left_alone(Server(), "latency", "-R", rate, "-t", "20s", "-c", "2", "-s", "4")
            self.assertLessEqual(run["summary"]["requests_unanswered"], 8)


class Counters(unittest.TestCase):
    def test_what_was_before_the_run_is_none_of_it(self):
        """Of 32 handshakes, half of them for tickets, nothing but what follows the last 16 may come late: of some 9
        packets for each of the 16, fewer than 6."""
        with Server() as server:
            run = client(server.port, "rr", "-n", "1", "-c", "16", "--resume")
            self.assertEqual(run["summary"]["resumed_connections"], 16)
            self.assertLess(run["summary"]["packets_sent"], 100)
            self.assertLess(sum(run["trains"].values()), 100)

    def test_what_tcp_did_until_its_server_went_away(self):
        run = client_left_alone(Server("--tcp"), "--tcp", "rr", "-t", "20s")
        self.assertRegex(run["summary"]["cipher"], "^TLS_")
        self.assertGreater(run["latency_us"]["p50"], 0)
        self.assertEqual(run["summary"]["errors"], 1)


def moved(path):
    """Bytes of all interval lines that are written already."""
    if not os.path.exists(path):
        return 0
    with open(path) as file:
        lines = [json.loads(line) for line in file if line.endswith("\n")]
    return sum(line["bytes"] for line in lines if line["type"] == "interval")


class OneOfMany(unittest.TestCase):
    def test_its_figures_are_those_of_the_first(self):
        with tempfile.TemporaryDirectory() as folder, Server() as server:
            args = ["idle", "-t", "100ms", "-c", "150", "--qlog", folder]  # not all of them begin at the same moment
            summary = client(server.port, *args)["summary"]
            (path,) = glob.glob(folder + "/*-0_client.sqlog")
            with open(path) as file:
                events = [json.loads(part) for part in file.read()[1:].split("\x1e")][1:]
            measured = [e["data"]["smoothed_rtt"] for e in events if e["name"] == "quic:recovery_metrics_updated"]
            # Not always the last: what comes after the summary is measured, too.
            self.assertLess(min(abs(summary["rtt_us"] - value * 1000) for value in measured), 0.01)


class BothEnds(unittest.TestCase):
    def pair(self, *args, until_bytes=None, server=()):
        """The summaries of a client's run and of its server, which ends first if it is to end when the client has
        `until_bytes`."""
        with tempfile.TemporaryDirectory() as folder:
            path, lines = (os.path.join(folder, name) for name in ("server.json", "lines"))
            with Server("--json", path, *server) as server:
                run = subprocess.Popen([QUICPERF, "client", "127.0.0.1:%d" % server.port, *args, "-i", "100ms",
                                        "--jsonl", lines, "--json", "-"], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, universal_newlines=True)
                while until_bytes is not None and run.poll() is None and moved(lines) < until_bytes:
                    time.sleep(0.05)
                if until_bytes is None:
                    out, _ = run.communicate(timeout=LIMIT_S)
            if until_bytes is not None:
                out, _ = run.communicate(timeout=LIMIT_S)
            with open(path) as file:
                return json.loads(out)["summary"], json.load(file)["summary"]

    def test_they_agree(self):
        here, there = self.pair("-n", "5M", "-d", "up", "-c", "2", "-s", "3")
        self.assertEqual((here["bytes"], here["connections"]), (there["bytes"], there["connections"]))
        here, there = self.pair("-n", "5M")  # of which the last may not be acknowledged before the end
        self.assertLessEqual(there["bytes"], here["bytes"])
        self.assertGreater(there["bytes"], here["bytes"] * 0.8)
        here, there = self.pair("rr", "-n", "200", "-c", "2", "--req", "10", "--resp", "500")
        self.assertEqual((here["requests"], here["bytes"]), (200, 200 * 500))
        self.assertEqual((there["requests"], there["connections"]), (200, 2))
        here, there = self.pair("dgram", "-t", "1s", "--dgram-rate", "500", "--dgram-size", "100")
        self.assertEqual(here["bytes"], 100 * here["datagrams"])
        self.assertGreater(there["bytes"], here["bytes"] * 0.5)  # the two do not end at the same moment
        self.assertLess(there["bytes"], here["bytes"] * 2)

    def test_they_agree_about_tcp(self):
        here, there = self.pair("rr", "-t", "500ms", "--tcp", "-c", "3", "--req", "10", "--resp", "500",
                                server=["--tcp"])
        self.assertEqual((there["connections"], there["errors"]), (3, 0))
        self.assertGreaterEqual(there["requests"], here["requests"])
        self.assertLess(there["requests"], 2 * here["requests"] + 10)  # some come after the end
        self.assertAlmostEqual(there["bytes"], there["requests"] * 510, delta=10 * 510)
        self.assertGreater(there["cpu_local_s"], here["cpu_local_s"] / 10)
        for args in [], ["-d", "up"]:
            here, there = self.pair("-t", "20s", "--tcp", *args, until_bytes=64 << 20, server=["--tcp"])
            self.assertAlmostEqual(there["bytes"] / here["bytes"], 1, delta=0.3, msg=args)
            self.assertEqual(there["connections"], 1)
            self.assertGreater(there["cpu_local_s"], 0)

    def test_one_connection_over_tcp(self):
        with Server("--tcp", "-1", "-i", "100ms") as server:
            client(server.port, "-t", "2s", "--tcp")
            server.process.wait(timeout=LIMIT_S)
        self.assertRegex(server.out, r"connections 1 .*TCP out [0-9.]+ [MG]bit/s")
        self.assertRegex(server.out, "done: .* connections 1 ")

    def test_a_server_that_is_told_to_end_has_counted_what_it_did(self):
        for args in [], ["-d", "up"], ["-c", "3", "-s", "2"]:
            here, there = self.pair("-t", "20s", *args, until_bytes=64 << 20)
            self.assertGreater(here["bytes"], 1 << 20)
            self.assertAlmostEqual(there["bytes"] / here["bytes"], 1, delta=0.3, msg=args)


if __name__ == "__main__":
    unittest.main(verbosity=2)
