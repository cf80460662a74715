#!/usr/bin/env python3
"""The benchmark page can be made: every table is there and has its figures.

Usage: bench_test.py BENCH QUICPERF
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

BENCH, QUICPERF = (os.path.abspath(path) for path in sys.argv[1:3])
del sys.argv[1:3]
LIMIT_S = 500
FIGURE = re.compile(r"\d+(\.\d+)? \(\d+(\.\d+)? \.\. \d+(\.\d+)?\)")


class Page(unittest.TestCase):
    def test_page(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [BENCH, QUICPERF, "--quick", "--rounds", "1", "--time", "0.1", "--out", "page.md"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                timeout=LIMIT_S, check=False, env=dict(os.environ, BUILD_WORKING_DIRECTORY=folder))
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(os.path.join(folder, "page.md"), encoding="utf-8") as file:
                page = file.read()
        for start in ("| processor |", "| limit |", "| down, ", "| up, ", "| TCP+TLS 1.3, down, ",
                      "| boringssl | down |", "| 10 |", "| full (P-256) |", "| resumed |",
                      "| 1 connection, 64 outstanding |", "| raw UDP, polling |",
                      "| QUIC, io_uring, --spin auto |", "| QUIC, epoll, sleeping |", "| TCP+TLS 1.3, sleeping |",
                      "| 1000 |", "| 16 bulk streams, urgent |", "| bulk, 16 connections per worker (MB) | 2 |"):
            rows = [line for line in page.splitlines() if line.startswith(start)]
            self.assertTrue(rows, start)
            if start != "| processor |":
                self.assertRegex(rows[0], FIGURE)

    def test_wrong_arguments(self):
        for args in ["--rounds", "0"], ["--time", "x"], ["--nonsense"]:
            done = subprocess.run([BENCH, QUICPERF, *args], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=LIMIT_S, check=False)
            self.assertEqual(done.returncode, 2, args)


if __name__ == "__main__":
    unittest.main()
