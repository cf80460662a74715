#!/usr/bin/env python3
"""How quicperf ends when it is disturbed: signals, standard descriptors that are closed, disks that are full. What it
was asked to write is whole, or one line says that it is not and the exit status is not 0.

Usage: endings_test.py QUICPERF
"""

import glob
import json
import os
import resource
import signal
import subprocess
import tempfile
import time
import unittest

from harness import QUICPERF, LIMIT_S, Server, heeds_signals, quicperf

NOBODY = "192.0.2.1:9"  # TEST-NET-1, RFC 5737: never answers


def plain_signals():
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, signal.SIG_DFL)


class Signals(unittest.TestCase):
    def end(self, args, number, wait_s=0.4, before=plain_signals):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out.json")
            process = subprocess.Popen([QUICPERF, *args, "--json", path], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, universal_newlines=True, preexec_fn=before)
            heeds_signals(process)
            time.sleep(wait_s)
            process.send_signal(number)
            _, err = process.communicate(timeout=LIMIT_S)
            document = None
            if os.path.exists(path):
                with open(path) as file:
                    document = json.load(file)
            others = [name for name in os.listdir(folder) if name != "out.json"]
            self.assertEqual(others, [])
            return process.returncode, document, err

    def test_a_handshake_that_is_interrupted(self):
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            status, document, err = self.end(["client", NOBODY, "-q"], number)
            self.assertEqual(status, 130)
            self.assertTrue(document["summary"]["interrupted"])
            self.assertEqual(err, "quicperf: interrupted before anything was measured\n")

    def test_a_run_that_is_interrupted(self):
        with Server() as server:
            for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
                status, document, _ = self.end(["client", "127.0.0.1:%d" % server.port, "-t", "20s"], number, 1)
                self.assertEqual(status, 130)
                self.assertTrue(document["summary"]["interrupted"])

    def test_a_limit_that_is_interrupted(self):
        polling = [["--pingpong", "--spin", "1", "--io", io] for io in ("uring", "epoll")
                   if quicperf("limit", "-t", "10ms", "--io", io).returncode == 0]
        for more in [], ["--pingpong"], *polling:
            status, document, _ = self.end(["limit", "-t", "1h", *more], signal.SIGINT)
            self.assertEqual(status, 130)
            self.assertTrue(document["summary"]["interrupted"])
            self.assertGreater(document["summary"]["seconds"], 0)
        status, document, _ = self.end(["demo", "-t", "1h"], signal.SIGINT)  # while it measures the limit
        self.assertEqual((status, document["error"]), (130, "interrupted"))
        self.assertEqual(document["runs"], {"down": None, "up": None, "rr": None})

    def test_nohup(self):
        def nohup():
            plain_signals()
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        with Server() as server:
            status, document, _ = self.end(["client", "127.0.0.1:%d" % server.port, "-t", "1s"],
                                           signal.SIGHUP, before=nohup)
            self.assertEqual(status, 0)
            self.assertFalse(document["summary"]["interrupted"])

    def test_who_is_killed_leaves_no_scraps(self):
        for args in ["limit", "-t", "20s"], ["client", NOBODY]:
            status, document, _ = self.end(args, signal.SIGKILL)
            self.assertEqual(status, -signal.SIGKILL)
            self.assertIsNone(document)


class ClosedPipes(unittest.TestCase):
    def check(self, args, first=1):
        """Who reads `first` lines and goes ends the run."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out.json")
            began = time.monotonic()
            with subprocess.Popen([QUICPERF, *args, "--json", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  universal_newlines=True) as process:
                for _ in range(first):
                    self.assertNotEqual(process.stdout.readline(), "", args)
                process.stdout.close()
                err = process.stderr.read()
                self.assertEqual(process.wait(timeout=LIMIT_S), 130, (args, err))
            self.assertLess(time.monotonic() - began, 20)
            self.assertEqual(err.splitlines()[-1], "quicperf: cannot write standard output: Broken pipe")
            with open(path) as file:
                return json.load(file)

    def test_they_end_a_run(self):
        with tempfile.TemporaryDirectory() as folder, Server("--tcp") as server:
            target = "127.0.0.1:%d" % server.port
            for args in [], ["--tcp"], ["crr"], ["idle"], ["rr", "-q", "--jsonl", "/dev/stdout"]:
                document = self.check(["client", target, *args, "-t", "50s", "-i", "50ms"])
                self.assertTrue(document["summary"]["interrupted"])
                self.assertGreater(document["summary"]["seconds"], 0)
            with open(os.path.join(folder, "script"), "w") as file:
                file.write("rr\ntput\n")
            document = self.check(["client", target, "script", file.name, "-t", "50s", "-i", "50ms"])
            self.assertEqual(len(document["runs"]), 1)
            for command in "demo", "compare":
                self.check([command, "-t", "3s", "-i", "50ms"], first=2)

    def test_they_do_not_end_a_server(self):
        with Server("-i", "50ms") as server:
            server.process.stdout.close()
            for _ in range(3):
                run = quicperf("client", "127.0.0.1:%d" % server.port, "-t", "200ms")
                self.assertEqual(run.returncode, 0, run.stderr)
            self.assertIsNone(server.process.poll())
            server.process.send_signal(signal.SIGINT)
            err = server.process.stderr.read()
            self.assertIn(server.process.wait(timeout=LIMIT_S), (0, 1), err)
            self.assertLess(len(err.splitlines()), 5, err)


class StandardDescriptors(unittest.TestCase):
    def test_text_never_gets_into_a_file(self):
        with tempfile.TemporaryDirectory() as folder, Server() as server:
            for closed in [0], [1], [2], [0, 1], [1, 2], [0, 1, 2]:
                path = os.path.join(folder, "out.json")
                key = os.path.join(folder, "keys")
                run = subprocess.run([QUICPERF, "client", "127.0.0.1:%d" % server.port, "-n", "1K", "--json", path,
                                      "--keylog", key], timeout=LIMIT_S,
                                     preexec_fn=lambda: [os.close(fd) for fd in closed])
                self.assertEqual(run.returncode, 1 if 1 in closed else 0, closed)
                with open(path) as file:
                    self.assertGreaterEqual(json.load(file)["summary"]["bytes"], 1024)
                with open(key) as file:
                    for line in file:
                        self.assertRegex(line, r"^[A-Z_0-9]+ [0-9a-f]+ [0-9a-f]+$")
                os.unlink(path)
                os.unlink(key)


class FullDisks(unittest.TestCase):
    def check(self, run, *words):
        self.assertEqual(run.returncode, 1, run.stderr)
        last = run.stderr.strip().split("\n")[-1]
        for word in words:
            self.assertIn(word, last)

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full here")
    def test_key_log(self):
        with Server() as server:
            run = quicperf("client", "127.0.0.1:%d" % server.port, "-n", "1K", "-q", "--keylog", "/dev/full")
            self.check(run, "/dev/full", "No space left on device")
        with Server("--keylog", "/dev/full") as server:
            quicperf("client", "127.0.0.1:%d" % server.port, "-n", "1K")
        self.assertEqual(server.process.returncode, 1)
        self.assertIn("/dev/full", server.err)

    def test_qlog(self):
        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

        with tempfile.TemporaryDirectory() as folder, Server() as server:
            target = "127.0.0.1:%d" % server.port
            run = quicperf("client", target, "-n", "1M", "-c", "3", "-q", "--qlog", folder, preexec_fn=small_files)
            self.check(run, "3 of 3", folder, "File too large")
            self.assertEqual(len(glob.glob(folder + "/*.sqlog")), 3)
            run = quicperf("client", target, "-n", "1M", "-q", "--qlog", folder)
            self.assertEqual(run.returncode, 0, run.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
