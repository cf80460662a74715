#!/usr/bin/env python3
"""Memory and wakeups of a server with many idle connections.

Usage: idle_memory.py QUICPERF [--conns N] [--runs N] [--max-kib N] [--quiet SECONDS]

The figure: (RSS of a server with N idle connections - RSS of a server that had one) / N, the median
of the runs, per back end. A server at rest must not wake while no timer is due: neither with the
connections (their only timer is the idle timeout) nor without any.
"""

import argparse
import os
import sys
import time

sys.dont_write_bytecode = True
import harness
from harness import check

WAKES_MAX = 3  # timers may be due


def worker_wakes(server, seconds):
    before = server.switches()
    time.sleep(seconds)
    after = server.switches()
    return sum(after.values()) - sum(before.values())


def wait_for_idle(server, deadline_s, client=None):
    """Until the server's threads have slept for a second."""
    end = time.time() + deadline_s
    while time.time() < end:
        check(client is None or client.poll() is None, "the client ended early")
        if worker_wakes(server, 1) == 0:
            return
    raise harness.Failed("the server does not come to rest")


def one_run(quicperf, io, conns, quiet_s):
    """KiB per connection, and wakeups in quiet_s with all of them there."""
    idle_s = 120 + conns // 500  # none of them may be due while others are still opened
    common = ("--io", io, "-w", "1", "--idle-timeout", "%ds" % idle_s)
    with harness.Server(quicperf, *common) as server:
        harness.run_client(quicperf, server.target, "idle", "-c", "1", "-t", "2500ms")
        alone = server.rss_kib()
        empty_wakes = worker_wakes(server, 2)
    with harness.Server(quicperf, *common) as server:
        client = harness.hold_connections(quicperf, server.target, conns, "-t", "100s",
                                          "--idle-timeout", "%ds" % idle_s,
                                          "--keep-alive", "%ds" % (idle_s - 10),
                                          "--timeout", "60s")
        try:
            wait_for_idle(server, 60, client)
            time.sleep(2)
            full = server.rss_kib()
            wakes = worker_wakes(server, quiet_s)
        finally:
            client.kill()
            client.wait()
    return (full - alone) / conns, wakes, empty_wakes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("quicperf", type=os.path.abspath)
    parser.add_argument("--conns", type=int, default=10000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--max-kib", type=float, default=16)
    parser.add_argument("--quiet", type=int, default=10)
    args = parser.parse_args()

    def measure(io):
        def test():
            runs = [one_run(args.quicperf, io, args.conns, args.quiet) for _ in range(args.runs)]
            kib = [run[0] for run in runs]
            wakes = max(run[1] for run in runs)
            figure = harness.median(kib)
            text = ("%.2f KiB per idle connection (%s), at most %d wakeups in %d s"
                    % (figure, " ".join("%.2f" % k for k in kib), wakes, args.quiet))
            check(figure <= args.max_kib, text + ": more than %g KiB" % args.max_kib)
            check(wakes <= WAKES_MAX, text + ": it does not rest")
            check(max(run[2] for run in runs) <= WAKES_MAX, "woke after its only connection")
            return text
        return test

    def no_connections(io):
        def test():
            with harness.Server(args.quicperf, "--io", io, "-w", "1") as server:
                wait_for_idle(server, 20)
                wakes = worker_wakes(server, args.quiet)
                check(wakes == 0, "%d wakeups in %d s without a connection" % (wakes, args.quiet))
                return "no wakeup in %d s" % args.quiet
        return test

    tests = []
    for io in harness.backends(args.quicperf):
        tests.append(("without connections, " + io, no_connections(io)))
        tests.append(("%d idle connections, %s" % (args.conns, io), measure(io)))
    harness.main(tests, at_once=len(tests))  # they wait


if __name__ == "__main__":
    main()
