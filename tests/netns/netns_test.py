#!/usr/bin/env python3
"""A quicperf server and a quicperf client in a network namespace each, joined by a veth pair.

    netns_test.py QUICPERF [TEST...]

No traffic leaves the two namespaces. Needs root and the ip command; without them it says why and passes.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

QUICPERF = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else "quicperf"
SERVER_NS, CLIENT_NS = ("quring-%d-%s" % (os.getpid(), side) for side in ("s", "c"))
ADDRESSES = {4: ("10.77.0.1", "10.77.0.2", "10.77.0.3", 24),
             6: ("fd77::1", "fd77::2", "fd77::3", 64)}
PORT = 4433
LIMIT_S = 90
EACH = [(family, io) for family in ADDRESSES for io in ("uring", "epoll")]


def ip(*args, check=True):
    run = subprocess.run(["ip", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         universal_newlines=True)
    if check and run.returncode != 0:
        raise AssertionError("ip %s: %s" % (" ".join(args), run.stderr.strip()))
    return run.stdout if run.returncode == 0 else None


def inside(namespace, *args):
    return ["ip", "netns", "exec", namespace, *args]


def why_not():
    """Why these tests cannot run here, None when they can."""
    if os.geteuid() != 0:
        return "needs root to make network namespaces"
    if shutil.which("ip") is None:
        return "needs the ip command (Debian package iproute2)"
    try:
        if ip("netns", "add", SERVER_NS, check=False) is None:
            return "network namespaces cannot be made here"
        if ip("-n", SERVER_NS, "link", "add", "veth0", "type", "veth", "peer", "name", "veth1",
              check=False) is None:
            return "veth pairs cannot be made here"
    finally:
        ip("netns", "del", SERVER_NS, check=False)
    return None


class World:
    """Two namespaces and the wire between them; gone with the block."""

    def __init__(self, mtu=1500):
        self.mtu = mtu

    def __enter__(self):
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def make(self):
        for namespace in SERVER_NS, CLIENT_NS:
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
        ip("-n", SERVER_NS, "link", "add", "veth0", "type", "veth", "peer", "name", "veth1", "netns",
           CLIENT_NS)
        for namespace, device, which in (SERVER_NS, "veth0", 0), (CLIENT_NS, "veth1", 1):
            # Else an interface that goes down forgets its IPv6 addresses, and one whose first IPv4
            # address is taken away the others of that network.
            subprocess.run(inside(namespace, "sh", "-c",
                                  "echo 1 >/proc/sys/net/ipv6/conf/all/keep_addr_on_down && "
                                  "echo 1 >/proc/sys/net/ipv4/conf/all/promote_secondaries"), check=True)
            ip("-n", namespace, "link", "set", device, "mtu", str(self.mtu))
            for family in ADDRESSES:
                self.address("add", namespace, device, family, which)
            ip("-n", namespace, "link", "set", device, "up")

    def address(self, verb, namespace, device, family, which):
        text = "%s/%d" % (ADDRESSES[family][which], ADDRESSES[family][3])
        ip("-n", namespace, "addr", verb, text, "dev", device, *(["nodad"] if family == 6 and
                                                                verb == "add" else []))

    def __exit__(self, *unused):
        for namespace in SERVER_NS, CLIENT_NS:
            ip("netns", "del", namespace, check=False)


def target(family, port=PORT):
    return ("%s:%d" if family == 4 else "[%s]:%d") % (ADDRESSES[family][0], port)


class Server:
    def __init__(self, family, *args, port=PORT):
        self.process = subprocess.Popen(
            inside(SERVER_NS, QUICPERF, "server", "-B", ADDRESSES[family][0], "-p", str(port), *args),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        line = self.process.stdout.readline()
        if not re.search(r" port \d+", line):
            self.process.kill()
            raise AssertionError("server said %r, %r" % (line, self.process.communicate()))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


def client(family, *args, to=None):
    return subprocess.Popen(
        inside(CLIENT_NS, QUICPERF, "client", to or target(family), *args, "--insecure", "--json", "-"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)


def sent(namespace, device):
    """Packets and bytes the device has sent; a segmented send that crosses whole is one packet."""
    stats = json.loads(ip("-n", namespace, "-j", "-s", "link", "show", "dev", device))[0]["stats64"]
    return stats["tx"]["packets"], stats["tx"]["bytes"]


class Netns(unittest.TestCase):
    def finish(self, process):
        out, err = process.communicate(timeout=LIMIT_S)
        self.assertEqual(process.returncode, 0, err[-600:])
        return json.loads(out)

    def fails(self, process, *words):
        out, err = process.communicate(timeout=LIMIT_S)
        self.assertEqual(process.returncode, 1, err[-600:])
        last = err.strip().split("\n")[-1]
        for word in words:
            self.assertIn(word, last)
        return json.loads(out)

    def start_all(self, stack, *args):
        """A server and a client for each family and back end, all at once: their processes."""
        clients = []
        for i, (family, io) in enumerate(EACH):
            stack.enter_context(Server(family, "--io", io, port=PORT + i))
            clients.append((target(family, PORT + i),
                            client(family, *args, "--io", io, to=target(family, PORT + i))))
            stack.callback(clients[-1][1].kill)
        for _, process in clients:
            self.under_way(process)
        return clients

    def under_way(self, process):
        """Reads what the client says until a line of the transfer."""
        line = "-"
        while line and "bit/s" not in line:
            line = process.stderr.readline()
        self.assertIn("bit/s", line)

    def test_transfer_finds_the_mtu(self):
        for mtu, least in (1280, 1200), (1500, 1400), (9000, 8000):
            with World(mtu):
                for family, io in EACH:
                    # What fits: without the IP and UDP headers.
                    most = mtu - (28 if family == 4 else 48)
                    with Server(family, "--io", io, "--mtu-probe", "8972"):
                        for direction in "down", "up":
                            run = self.finish(client(family, "-t", "700ms", "-d", direction, "--io",
                                                     io, "--mtu-probe", "8972"))
                            self.assertGreater(run["summary"]["bytes"], 0)
                            self.assertGreaterEqual(run["payload_bytes"], 1200)
                            self.assertLessEqual(run["payload_bytes"], most)
                        self.assertGreaterEqual(run["payload_bytes"], least)  # found by the sender

    def test_segmented_sends_cross_whole(self):
        with World():
            for family, io in EACH:
                with Server(family, "--io", io):
                    before = sent(CLIENT_NS, "veth1")
                    run = self.finish(client(family, "-n", "16M", "-d", "up", "--io", io))
                    after = sent(CLIENT_NS, "veth1")
                    packets, size = (b - a for a, b in zip(before, after))
                    self.assertGreater(size / packets, 2 * 1500, "%d bytes in %d" % (size, packets))

    def test_loss_is_of_single_datagrams(self):
        with World():
            for family, io in EACH:
                with Server(family, "--io", io):
                    run = self.finish(client(family, "-n", "8M", "--io", io, "--loss", "1%"))
                    proxy = run["proxy"]
                    share = proxy["lost"]["to_client"] / proxy["received"]["to_client"]
                    self.assertEqual(run["summary"]["bytes"], 8 << 20)
                    self.assertGreater(proxy["received"]["to_client"], (8 << 20) / 1500)
                    self.assertTrue(0.003 < share < 0.03, share)

    def test_H119_interface_down_for_two_seconds(self):
        for namespace, device in (CLIENT_NS, "veth1"), (SERVER_NS, "veth0"):
            with World(), contextlib.ExitStack() as stack:
                clients = self.start_all(stack, "-t", "9s", "-i", "500ms")
                time.sleep(0.5)
                ip("-n", namespace, "link", "set", device, "down")
                time.sleep(2)
                ip("-n", namespace, "link", "set", device, "up")
                for _, process in clients:
                    run = self.finish(process)
                    rates = [i["bytes"] for i in run["intervals"]]
                    self.assertIn(0, rates, "it was never away")
                    self.assertGreater(sum(rates[-4:]), 0, "it did not come back")

    # The client does not hear of it; the server follows, as behind a NAT (RFC 9000 9.3).
    def test_H119_the_clients_address_changes(self):
        with World() as world, contextlib.ExitStack() as stack:
            clients = self.start_all(stack, "-t", "6s", "-d", "up", "-i", "500ms")
            for family in ADDRESSES:
                world.address("add", CLIENT_NS, "veth1", family, 2)
                world.address("del", CLIENT_NS, "veth1", family, 1)
            for to, process in clients:
                run = self.finish(process)
                self.assertGreater(sum(i["bytes"] for i in run["intervals"][-4:]), 0, to)

    def test_H107_no_route(self):
        with World():
            for family, io in EACH:
                nowhere = "10.78.0.1:4433" if family == 4 else "[fd78::1]:4433"
                self.fails(client(family, "--io", io, "--timeout", "1s", to=nowhere), nowhere)

    def test_H119_the_route_goes_away(self):
        with World(), contextlib.ExitStack() as stack:
            clients = self.start_all(stack, "-t", "20s", "--idle-timeout", "2s", "-i", "500ms")
            for family in ADDRESSES:
                ip("-n", CLIENT_NS, "-%d" % family, "route", "add", "unreachable",
                   ADDRESSES[family][0], "metric", "1")
            for to, process in clients:
                run = self.fails(process, to)
                self.assertGreater(run["summary"]["bytes"], 0)

    # A closed port answers with ICMP: the handshake fails when its time is over, not before.
    def test_H107_nobody_listens(self):
        with World():
            for family, io in EACH:
                began = time.time()
                self.fails(client(family, "--io", io, "--timeout", "1s"), target(family))
                self.assertGreaterEqual(time.time() - began, 0.9)


def load_tests(loader, standard_tests, pattern):
    """Bazel's shards each take every so manieth test; most of the time they wait."""
    tests = [test for suite in standard_tests for test in suite]
    if "TEST_SHARD_STATUS_FILE" in os.environ:
        with open(os.environ["TEST_SHARD_STATUS_FILE"], "w"):
            pass
    index, total = (int(os.environ.get(name, default))
                    for name, default in (("TEST_SHARD_INDEX", "0"), ("TEST_TOTAL_SHARDS", "1")))
    return unittest.TestSuite(tests[index::total])


if __name__ == "__main__":
    reason = why_not()
    if reason is not None:
        print("SKIPPED: " + reason)
        sys.exit(0)
    unittest.main(verbosity=2)
