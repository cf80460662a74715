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

from harness import QUICPERF, Server, quicperf


def client(port, *args, status=0):
    run = quicperf("client", "127.0.0.1:%d" % port, *args, "--json", "-")
    assert run.returncode == status, (args, run.returncode, run.stderr)
    return json.loads(run.stdout)


class Intervals(unittest.TestCase):
    def check(self, run, args):
        lines, summary = run["intervals"], run["summary"]
        self.assertGreater(len(lines), 0, args)
        self.assertEqual(lines[0]["t0"], 0)
        for before, after in zip(lines, lines[1:]):
            self.assertEqual(before["t1"], after["t0"], args)
        self.assertAlmostEqual(lines[-1]["t1"], summary["seconds"], delta=0.005, msg=args)
        for name in "bytes", "requests":
            self.assertEqual(sum(line[name] for line in lines), summary[name], (name, args))
        self.assertAlmostEqual(sum(line["cpu_local_s"] for line in lines), summary["cpu_local_s"], delta=0.02)
        if "--tcp" not in args:
            self.assertEqual(sum(line["lost_packets"] for line in lines), summary["lost_packets"], args)

    def test_they_add_up_to_the_summary(self):
        with Server("--tcp") as server:
            for args in (["-n", "20M", "-i", "7ms"], ["-n", "9M", "-d", "up", "-i", "3ms"],
                         ["-t", "300ms", "-i", "50ms", "-c", "3", "-s", "2"], ["-d", "up", "-t", "250ms", "-i", "90ms"],
                         ["rr", "-n", "500", "-i", "5ms"], ["rr", "-t", "300ms", "-c", "2", "-w", "2", "-i", "40ms"],
                         ["crr", "-t", "300ms", "-c", "4", "-i", "50ms"],
                         ["latency", "-R", "500", "-t", "300ms", "-s", "9", "-i", "50ms"],
                         ["--tcp", "rr", "-t", "300ms", "-i", "50ms"], ["--tcp", "-t", "250ms", "-i", "90ms"]):
                self.check(client(server.port, *args), args)

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
                self.assertAlmostEqual(due, int(rate) * summary["seconds"], delta=2 + int(rate) * 0.01)

    def test_a_server_that_goes_away(self):
        for rate in "5", "3000":
            server = Server()
            run = subprocess.Popen([QUICPERF, "client", "127.0.0.1:%d" % server.port, "latency", "-R", rate, "-t", "20s",
                                    "-c", "2", "-s", "4", "--json", "-"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, universal_newlines=True)
            time.sleep(1)
            with server:
                pass
            out, err = run.communicate(timeout=20)
            self.assertEqual(run.returncode, 1, err)
            self.assertLessEqual(json.loads(out)["summary"]["requests_unanswered"], 8)


if __name__ == "__main__":
    unittest.main(verbosity=2)
