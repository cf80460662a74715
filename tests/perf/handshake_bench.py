#!/usr/bin/env python3
"""Handshakes per second of a server's CPU, next to BoringSSL's own over memory.

    tools/bazel run //tests/perf:handshake_bench

Usage: handshake_bench.py QUICPERF HANDSHAKE_LOOP [ROUNDS]

The yardstick runs on the server's CPU while the server is at work there, so that both are measured at the same
clock with the same neighbours, and a CPU that sleeps between two datagrams favours neither. Needs two CPUs.
"""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile

LOOP_S = "0.6"  # of the yardstick's CPU; it shares one with the server
SERVER_CPU, CLIENT_CPU = "0", "1"


def one(quicperf, loop, folder, mode):
    """One run: handshakes per CPU second of the server, and of the yardstick."""
    seen = os.path.join(folder, "server.json")
    done = os.path.join(folder, "client.json")
    server = subprocess.Popen([quicperf, "server", "-p", "0", "--cpu", SERVER_CPU, "--json", seen],
                              stdout=subprocess.PIPE, universal_newlines=True)
    port = re.search(r" port (\d+)", server.stdout.readline())[1]
    client = subprocess.Popen([quicperf, "client", "127.0.0.1:" + port, "hps", "-c", "64", "-t", "4s", "--cpu",
                               CLIENT_CPU, "-i", "0", "-q", "--json", done,
                               *(["--resume"] if mode == "resumed" else [])], stdout=subprocess.DEVNULL)
    run = subprocess.run(["taskset", "-c", SERVER_CPU, loop, LOOP_S, mode], stdout=subprocess.PIPE,
                         universal_newlines=True, check=True)
    client.wait()
    server.send_signal(signal.SIGINT)
    server.wait()
    with open(seen, encoding="utf-8") as file:
        summary = json.load(file)["summary"]
    with open(done, encoding="utf-8") as file:
        count = json.load(file)["summary"]["connections"]
    return count / summary["cpu_local_s"], float(run.stdout.split(": ")[1])


def main():
    quicperf, loop = (os.path.abspath(path) for path in sys.argv[1:3])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    with tempfile.TemporaryDirectory() as folder:
        for mode in "full", "resumed":
            runs = [one(quicperf, loop, folder, mode) for _ in range(rounds)]
            shares = sorted(ours / theirs for ours, theirs in runs)
            print("%-8s %6.0f per CPU second, yardstick %6.0f: %.2f of it (%.2f to %.2f)" % (
                mode, statistics.median(r[0] for r in runs), statistics.median(r[1] for r in runs),
                statistics.median(shares), shares[0], shares[-1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
