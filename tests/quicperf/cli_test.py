#!/usr/bin/env python3
"""Runs the quicperf binary as a user would: wrong arguments, failures, exit codes, JSON, every mode.

Usage: cli_test.py QUICPERF
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from harness import (QUICPERF, SUMMARY_KEYS, Server, LIMIT_S, has_ipv6, localhost_is_both, make_certificate,
                     quicperf, under_way)


class Wrong(unittest.TestCase):
    def check(self, args, status, *words):
        run = quicperf(*args)
        self.assertEqual(run.returncode, status, "%s: %s" % (args, run.stderr))
        lines = run.stderr.strip().split("\n")
        self.assertEqual(len(lines), 1, run.stderr)
        for word in words:
            self.assertIn(word, lines[0])
        return run

    def test_arguments(self):
        self.check([], 2, "server, client, demo, compare, report, limit")
        self.check(["serve"], 2, "serve", "server, client, demo, compare, report, limit")
        self.check(["client"], 2, "HOST:PORT")
        self.check(["client", "localhost", "fast"], 2, "fast", "tput|rr|crr")
        self.check(["client", "localhost", "latency"], 2, "-R")
        self.check(["client", "localhost", "rr", "-R", "5"], 2, "latency")
        self.check(["client", "localhost", "hps", "--0rtt"], 2, "--resume")
        self.check(["client", "localhost", "--frob"], 2, "--frob", "--payload")
        self.check(["client", "localhost", "--payload", "99"], 2, "99", "1200..65507")
        self.check(["client", "localhost", "-t", "soon"], 2, "soon", "1ms..24h")
        self.check(["client", "localhost", "-c", "many"], 2, "many", "1..1000000")
        self.check(["client", "localhost", "--loss", "101%"], 2, "101%", "0..100%")
        self.check(["client", "localhost", "--rate", "fast"], 2, "fast", "1K..1T")
        self.check(["client", "localhost", "--mtu", "99"], 2, "99", "1280..65535")
        self.check(["client", "localhost", "--blackhole", "1s"], 2, "1s", "ON,OFF")
        self.check(["client", "localhost", "--queue", "10"], 2, "--rate")
        self.check(["client", "localhost", "--mtu-probe", "9"], 2, "1200..65507")
        self.check(["server", "--mtu-probe", "8972", "--payload", "1300"], 2, "--payload")
        self.check(["server", "--loss", "1%"], 2, "--loss")
        self.check(["client", "localhost", "dgram", "-n", "1"], 2, "dgram takes no -n")
        self.check(["client", "localhost", "dgram", "--dgram-size", "7"], 2, "7", "8..65527")
        self.check(["server", "--cert", "x.pem"], 2, "--key")
        self.check(["client", "localhost", "--key", "x.pem"], 2, "--cert")
        self.check(["server", "--client-cert", "require"], 2, "--ca")
        self.check(["server", "--ca", "x.pem"], 2, "--client-cert")
        self.check(["server", "--client-cert", "maybe"], 2, "maybe", "none|request|require")
        self.check(["server", "--cipher", "rot13"], 2, "rot13", "aes128ccm")
        self.check(["server", "-p", "70000"], 2, "70000", "0..65535")
        self.check(["demo", "--io", "iocp"], 2, "iocp", "auto|uring|epoll")

    def test_help_and_version(self):
        for word in "--help", "-h":
            run = quicperf(word)
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            self.assertIn("quicperf client HOST:PORT", run.stdout)
            self.assertIn("--retry", run.stdout)
        run = quicperf("client", "--help")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        for word, there in (("client HOST:PORT", True), ("--delay 0..1h ", True), ("server [options]", False),
                            ("--retry", False)):
            self.assertEqual(word in run.stdout, there, word)
        self.assertRegex(quicperf("--version").stdout, r"^quicperf \d+\.\d+\.\d+\n$")

    def test_address(self):
        self.check(["client", "no-such-host.invalid:1"], 1, "no-such-host.invalid")
        self.check(["client", "127.0.0.1:99999"], 1, "99999")
        self.check(["server", "-p", "0", "-B", "not an address"], 1)
        self.check(["server", "-p", "0", "-B", "192.0.2.1"], 1)
        self.check(["server", "-p", "0", "--preferred", "192.0.2.1:9"], 1, "192.0.2.1")

    def test_address_in_use(self):
        holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        holder.bind(("127.0.0.1", 0))
        port = str(holder.getsockname()[1])
        self.check(["server", "-p", port], 1, port, "-p")
        holder.close()
        with Server() as server:
            self.check(["server", "-p", str(server.port)], 1, str(server.port), "-p")

    def test_keys(self):
        with tempfile.TemporaryDirectory() as folder:
            empty = os.path.join(folder, "empty.pem")
            open(empty, "w").close()
            missing = os.path.join(folder, "missing.pem")
            self.check(["server", "-p", "0", "--cert", missing, "--key", missing], 1, "missing.pem")
            self.check(["server", "-p", "0", "--cert", empty, "--key", empty], 1, "empty.pem")
            self.check(["client", "127.0.0.1:1", "--ca", missing], 1, "missing.pem")

    def test_mismatched_key(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, _ = make_certificate(folder, "a")
            _, key = make_certificate(folder, "b")
            self.check(["server", "-p", "0", "--cert", cert, "--key", key], 1, "b.key")

    def test_tcp_control_refused(self):
        with Server() as server:
            target = "127.0.0.1:%d" % server.port
            self.check(["client", target, "--tcp", "-t", "200ms"], 1, "TCP", target)
        for args in ["crr"], ["-n", "1M"], ["-s", "2"], ["idle"], ["rr", "--resp", "0"], \
                ["--loss", "1%"], ["--cc", "bbr"], ["--disable-encryption"], ["--resume"], ["rr", "--bulk", "2"]:
            self.check(["client", "localhost", "--tcp", *args], 2, "--tcp")
        self.check(["client", "localhost", "--tcp-cc", "reno"], 2, "--tcp-cc is for --tcp")
        self.check(["server", "-p", "0", "--tcp-cc", "reno"], 2, "--tcp-cc is for --tcp")
        self.check(["server", "-p", "0", "--api", "sockets", "--tcp-cc", "reno"], 2, "--tcp-cc", "sockets")
        self.check(["demo", "--tcp-cc", "reno"], 2, "--tcp-cc")
        self.check(["server", "-p", "0", "--tcp", "--tcp-cc", "nonesuch"], 1, "nonesuch",
                   "available_congestion_control")
        self.check(["compare", "--tcp-cc", "nonesuch", "-t", "200ms"], 1, "nonesuch", "available_congestion_control")
        with Server("--tcp") as server:
            self.check(["client", "127.0.0.1:%d" % server.port, "--tcp", "--tcp-cc", "nonesuch"], 1, "nonesuch")
        self.check(["compare", "--rounds", "0"], 2, "1..100")
        self.check(["compare", "--cpu", "0,1,2"], 2, "one or two")

    def test_tcp_control_verifies(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = make_certificate(folder, "ours")
            other, _ = make_certificate(folder, "other")
            with Server("--tcp", "--cert", cert, "--key", key) as server:
                target = "localhost:%d" % server.port
                done = quicperf("client", target, "--tcp", "-t", "500ms", "--ca", cert)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.check(["client", target, "--tcp", "-t", "200ms", "--ca", other], 1,
                           "CERTIFICATE_VERIFY_FAILED")
            self.check(["server", "-p", "0", "--tcp", "--cert", cert, "--key", other], 1)

    def test_tcp_port_in_use(self):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
            holder.bind(("127.87.1.1", 0))  # an address of its own: the UDP port of that number is free there
            holder.listen(1)
            port = holder.getsockname()[1]
            self.check(["server", "-B", "127.87.1.1", "-p", str(port), "--tcp"], 1,
                       "TCP port %d" % port)

    def test_unreachable(self):
        holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # swallows what it gets
        holder.bind(("127.0.0.1", 0))
        target = "127.0.0.1:%d" % holder.getsockname()[1]
        for mode in ["tput"], ["rr"], ["crr"], ["hps"], ["latency", "-R", "5"]:
            began = time.time()
            self.check(["client", target, *mode, "--timeout", "1s"], 1, target)
            self.assertLess(time.time() - began, 8)
        holder.close()
        self.check(["client", target, "--timeout", "1s"], 1, target)
        self.check(["client", target, "--timeout", "1s", "--delay", "1ms"], 1, target)  # not the proxy

    def test_verification(self):
        with tempfile.TemporaryDirectory() as folder, Server() as server:
            other, _ = make_certificate(folder, "other")
            self.check(["client", "127.0.0.1:%d" % server.port, "-t", "100ms", "--ca", other], 1,
                       "127.0.0.1", "--insecure")

    def test_ciphers_that_cannot_be_chosen(self):
        """Debian's BoringSSL takes what suits the CPU; asked for another one it is exit 2 at once."""
        possible = []
        for cipher in "aes128gcm", "aes256gcm", "chacha20", "aes128ccm":
            run = quicperf("client", "127.0.0.1:1", "--cipher", cipher, "--timeout", "100ms")
            if run.returncode == 2:
                self.check(["server", "-p", "0", "--cipher", cipher], 2, "--cipher", "allowed is")
            else:
                possible.append(cipher)
        self.assertIn(possible, (["aes128gcm"], ["chacha20"]))
        with Server("--cipher", possible[0]) as server:
            run = quicperf("client", "127.0.0.1:%d" % server.port, "-n", "1K", "--cipher",
                           possible[0], "--json", "-")
            self.assertEqual(run.returncode, 0, run.stderr)
            name = {"aes128gcm": "TLS_AES_128_GCM_SHA256",
                    "chacha20": "TLS_CHACHA20_POLY1305_SHA256"}[possible[0]]
            self.assertEqual(json.loads(run.stdout)["summary"]["cipher"], name)

    def test_json_files_are_whole_or_not_there(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out.json")
            link = os.path.join(folder, "link.json")
            os.symlink(path, link)
            self.check(["server", "-p", "0", "-B", "192.0.2.1", "--json", path], 1)
            self.assertEqual(os.listdir(folder), ["link.json"])
            self.check(["limit", "--io", "uring", "--payload", "65507", "--window", "64K", "-t",
                        "1ms", "--json", path, "--cpu", "1023"], 1)
            with open(path) as file:
                self.assertIn("limit: ", json.load(file)["error"])
            self.check(["demo", "-t", "10ms", "--json", link, "--cpu", "1023"], 1)
            with open(path) as file:
                document = json.load(file)
            self.assertIn("limit: ", document["error"])
            self.assertEqual(document["runs"], {"down": None, "up": None, "rr": None})
            self.assertEqual(sorted(os.listdir(folder)), ["link.json", "out.json"])
            self.assertTrue(os.path.islink(link))
            self.check(["limit", "-t", "1ms", "--json", folder], 1, folder)

    def test_server_says_what_a_name_came_to(self):
        with subprocess.Popen([QUICPERF, "server", "-p", "0", "-B", "localhost"], stdout=subprocess.PIPE,
                              universal_newlines=True) as server:
            self.assertRegex(server.stdout.readline(), r"^listening on (127\.0\.0\.1|\[::1\]) port \d+ ")
            server.terminate()

    def test_a_client_goes_where_it_is_not_refused(self):
        """Most machines know localhost as ::1 and as 127.0.0.1; a server may be at one of them."""
        with tempfile.TemporaryDirectory() as folder:
            within = localhost_is_both(folder)
            if within is None:
                self.skipTest("no namespace of one's own, or no IPv6")
            for local in "127.0.0.1", "::1":
                for args in ["-n", "1"], ["-t", "500ms", "--tcp"]:
                    with Server("-B", local, "--tcp") as server:
                        run = subprocess.run([*within, QUICPERF, "client", "localhost:%d" % server.port, "rr", *args],
                                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                             universal_newlines=True, timeout=LIMIT_S, check=False)
                    self.assertEqual(run.returncode, 0, run.stderr)

    def test_by_bazel_run(self):
        with tempfile.TemporaryDirectory() as folder:
            run = quicperf("limit", "-t", "10ms", "--json", "here.json",
                           env=dict(os.environ, BUILD_WORKING_DIRECTORY=folder))
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual(os.listdir(folder), ["here.json"])

    def test_full_disk(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with Server() as server:
            run = quicperf("client", "127.0.0.1:%d" % server.port, "-t", "100ms", "--json",
                           "/dev/full")
            self.assertEqual(run.returncode, 1)
            self.assertIn("/dev/full: No space left on device", run.stderr)
            for more in [], ["--json", "-"], ["--jsonl", "-"], ["--json", "-", "-i", "1ms"]:  # the last: 10 KB
                with open("/dev/full", "w") as full:
                    run = subprocess.run([QUICPERF, "client", "127.0.0.1:%d" % server.port, "-t",
                                          "500ms", *more], stdout=full, stderr=subprocess.PIPE,
                                         universal_newlines=True, timeout=LIMIT_S)
                self.assertEqual(run.returncode, 1)
                self.assertEqual(run.stderr.count("No space left on device"), 1, run.stderr)
        self.check(["client", "127.0.0.1:1", "--json", "/no/such/folder/x.json"], 1,
                   "/no/such/folder/x.json")


class Runs(unittest.TestCase):
    def client(self, port, *args, host="127.0.0.1"):
        run = quicperf("client", "%s:%d" % (host, port), *args, "--json", "-")
        self.assertEqual(run.returncode, 0, run.stderr)
        document = json.loads(run.stdout)
        self.assertLessEqual(SUMMARY_KEYS, set(document["summary"]))
        self.assertEqual(set(document["latency_us"]) & {"p50", "p90", "p99", "p999"},
                         {"p50", "p90", "p99", "p999"})
        for key in "backend", "aead", "payload_bytes", "intervals":
            self.assertIn(key, document)
        self.assertIsNone(document["summary"]["cpu_remote_s"])
        self.assertIn(document["summary"]["version"], (None,) if "--tcp" in args else (1, 2))
        self.assertEqual(document["summary"]["errors"], 0)
        self.assertIn("done:", run.stderr)
        return document

    def test_transfers(self):
        for io in "uring", "epoll":
            if quicperf("limit", "-t", "10ms", "--io", io).returncode != 0:
                continue  # io_uring is refused here
            with Server("--io", io) as server:
                for direction in "down", "up":
                    run = self.client(server.port, "-d", direction, "-t", "600ms", "-i", "200ms",
                                      "--io", io)
                    self.assertGreater(run["summary"]["bytes"], 0)
                    self.assertGreater(run["summary"]["seconds"], 0.5)
                    self.assertGreater(len(run["intervals"]), 0)  # one where the machine stood still
                    self.assertLessEqual(sum(i["bytes"] for i in run["intervals"]),
                                         run["summary"]["bytes"])
                    self.assertEqual(run["direction"], direction)

    def test_exact_amounts(self):
        with Server("--payload", "1452") as server:
            for direction in "down", "up":
                for amount, more in (("1", []), ("1000", ["-s", "3"]), ("5M", ["-c", "2", "-s", "2"]),
                                     ("3M", ["--payload", "1452"])):
                    run = self.client(server.port, "-d", direction, "-n", amount, *more)
                    want = int(amount.replace("M", "")) << (20 if "M" in amount else 0)
                    self.assertEqual(run["summary"]["bytes"], want, (direction, amount))

    def test_requests(self):
        with Server() as server:
            run = self.client(server.port, "rr", "-t", "300ms", "-c", "2", "-s", "4")
            self.assertGreater(run["summary"]["requests_per_s"], 10)
            self.assertGreater(run["latency_us"]["p50"], 0)
            self.assertGreaterEqual(run["latency_us"]["p999"], run["latency_us"]["p50"])
            self.assertEqual(run["summary"]["connections"], 2)
            run = self.client(server.port, "rr", "-n", "500", "-s", "150", "--req", "3000", "--resp",
                              "0")
            self.assertEqual(run["summary"]["requests"], 500)
            run = self.client(server.port, "crr", "-n", "40", "-c", "4")
            self.assertEqual(run["summary"]["requests"], 40)
            self.assertGreaterEqual(run["summary"]["handshakes_per_s"], 1)
            run = self.client(server.port, "idle", "-c", "20", "-t", "200ms", "-w", "2")
            self.assertEqual(run["summary"]["connections"], 20)

    def test_idle_says_when_all_are_open(self):
        with Server() as server:
            done = quicperf("client", "127.0.0.1:%d" % server.port, "idle", "-c", "7", "-t", "100ms")
            self.assertEqual(done.stdout.splitlines()[0], "holding 7 connections")

    def test_idle_outlives_the_idle_timeout(self):
        with Server("--idle-timeout", "700ms") as server:
            run = self.client(server.port, "idle", "-c", "3", "-t", "2s", "--idle-timeout", "700ms")
            self.assertEqual(run["summary"]["errors"], 0)

    def test_handshakes(self):
        with Server() as server:
            run = self.client(server.port, "hps", "-n", "30", "-c", "4", "-w", "2")
            self.assertEqual(run["summary"]["connections"], 30)
            self.assertEqual(run["summary"]["requests"], 0)
            self.assertGreater(run["latency_us"]["p50"], 0)
            self.assertFalse(run["summary"]["resumed"])
            run = self.client(server.port, "hps", "-t", "300ms", "--resume")
            self.assertTrue(run["summary"]["resumed"])
            self.assertEqual(run["summary"]["resumed_connections"], run["summary"]["connections"])

    def test_handshakes_are_whole_ones(self):
        for more in [], ["--resume"]:
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "server.json")
                with Server("--json", path) as server:
                    self.client(server.port, "hps", "-n", "40", "-c", "4", *more)
                with open(path, encoding="utf-8") as file:
                    seen = json.load(file)["summary"]
                self.assertEqual(seen["errors"], 0)
                # What the last four clients said last may lie unread when the server is told to end.
                self.assertGreaterEqual(seen["connections"], 36)

    def test_latency_counts_the_wait(self):
        with Server() as server:
            run = self.client(server.port, "latency", "-R", "200", "-n", "50", "-c", "2", "-s", "4")
            self.assertEqual(run["summary"]["requests"], 50)
            self.assertEqual(run["summary"]["offered_per_s"], 200)
            self.assertEqual(run["summary"]["requests_unsent"], 0)
            # 49 intervals of 5 ms are waited for, however fast the answers come.
            self.assertGreaterEqual(run["summary"]["seconds"], 0.240)
            # A million a second on one stream at a time: most never get a turn, and those that do
            # have waited since they were due.
            run = self.client(server.port, "latency", "-R", "1000000", "-t", "400ms")
            self.assertGreater(run["summary"]["requests_unsent"], run["summary"]["requests"])
            self.assertGreater(run["latency_us"]["max"], 20000)  # the last answer may have come early

    def test_fair(self):
        with Server() as server:
            for direction in "down", "up":
                run = self.client(server.port, "fair", "-c", "3", "-t", "400ms", "-d", direction)
                summary = run["summary"]
                self.assertGreater(summary["jain_index"], 1 / 3)
                self.assertLessEqual(summary["jain_index"], 1)
                self.assertLessEqual(summary["least_bytes"] * 3, summary["bytes"])
                self.assertGreaterEqual(summary["most_bytes"] * 3, summary["bytes"])

    def test_tcp_control(self):
        with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii") as file:
            system = file.read().strip()
        with Server("--tcp", "-w", "2") as server:
            for args in [], ["-d", "up", "-c", "3", "-w", "2"], ["rr", "-c", "2"], \
                    ["rr", "--req", "100K", "--resp", "300K"], ["rr", "--resp", "1"]:
                run = self.client(server.port, "--tcp", "-t", "500ms", *args)
                summary = run["summary"]
                self.assertEqual(run["backend"], "tcp", args)
                self.assertGreater(summary["bytes"] if run["direction"] else summary["requests"], 0)
                self.assertTrue(summary["cipher"].startswith("TLS_"), args)
                self.assertIsNone(summary["version"])
                self.assertEqual(summary["cc"], system, args)
            run = self.client(server.port, "--tcp", "--tcp-cc", "reno", "-t", "200ms")
            self.assertEqual(run["summary"]["cc"], "reno")
            self.client(server.port, "-n", "100K")
            run = quicperf("client", "127.0.0.1:%d" % server.port, "--tcp", "rr", "-t", "1s", "--req", "1T")
            self.assertEqual(run.returncode, 1)
            self.assertIn("no request was answered", run.stderr)

    def test_compare(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "compare.json")
            done = quicperf("compare", "-t", "300ms", "--rounds", "2", "--tcp-cc", "reno", "--json", path)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("QUIC is", done.stdout)
            with open(path, encoding="utf-8") as file:
                run = json.load(file)
            self.assertEqual(run["rounds"], 2)
            for kind in "down", "up", "rr":
                self.assertGreater(run[kind]["ratio"]["median"], 0)
                self.assertLessEqual(run[kind]["ratio"]["min"], run[kind]["ratio"]["max"])
                for side in "quic", "tcp":
                    self.assertEqual(run[kind][side]["last"]["backend"] == "tcp", side == "tcp")
                self.assertEqual(run[kind]["tcp"]["last"]["summary"]["cc"], "reno")
            self.assertGreater(run["rr"]["tcp"]["p50_us"]["median"], 0)

    def test_ipv6(self):
        if not has_ipv6():
            self.skipTest("no IPv6 here")
        with Server() as server:
            self.client(server.port, "-n", "100K", host="[::1]")
        with Server("-B", "::") as server:
            self.client(server.port, "-n", "100K", host="[::1]")
            self.client(server.port, "-n", "100K")

    def test_retry(self):
        with Server("--retry") as server:
            self.client(server.port, "-n", "100K")

    def test_resumption(self):
        with Server("--0rtt") as server:
            run = self.client(server.port, "-n", "100K", "--resume")
            self.assertTrue(run["summary"]["resumed"])
            self.assertEqual(run["summary"]["zero_rtt_connections"], 0)
            for mode in ["-n", "100K", "-d", "up"], ["rr", "-n", "20", "-c", "2"], ["crr", "-n", "20"]:
                run = self.client(server.port, *mode, "--0rtt")
                self.assertTrue(run["summary"]["resumed"], mode)
                self.assertGreaterEqual(run["summary"]["zero_rtt_connections"], 1)
                self.assertGreater(run["summary"]["zero_rtt_bytes"], 0)

    def test_ack_frequency(self):
        with Server() as server:
            run = quicperf("client", "127.0.0.1:%d" % server.port, "rr", "-n", "10", "-q", "--json",
                           "-", "--ack-frequency")
            self.assertEqual(run.returncode, 1)
            self.assertIn("fewer acknowledgements", run.stderr)

    def test_key_updates(self):
        with Server() as server:
            for direction in "down", "up":
                run = quicperf("client", "127.0.0.1:%d" % server.port, "-n", "64M", "-d", direction,
                               "-q", "--json", "-", "--key-update", "1M")
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertGreater(json.loads(run.stdout)["summary"]["key_updates"], 0)
            run = quicperf("client", "127.0.0.1:%d" % server.port, "-n", "1M", "-q", "--json", "-",
                           "--key-update", "1G")
            self.assertEqual(run.returncode, 1)
            self.assertIn("never updated", run.stderr)
            self.assertEqual(json.loads(run.stdout)["summary"]["key_updates"], 0)

    def test_datagrams(self):
        with Server() as server:
            for direction in "down", "up":
                for more in ["--dgram-rate", "500", "--dgram-size", "100"], ["-c", "2"]:
                    run = quicperf("client", "127.0.0.1:%d" % server.port, "dgram", "-t", "300ms",
                                   "-d", direction, "-q", "--json", "-", *more)
                    self.assertEqual(run.returncode, 0, run.stderr)
                    document = json.loads(run.stdout)
                    summary = document["summary"]
                    self.assertEqual(document["mode"], "dgram")
                    self.assertEqual(document["direction"], direction)
                    self.assertGreater(summary["datagrams"], 10)
                    self.assertGreaterEqual(summary["bytes"], 10 * 100)
                    if "--dgram-size" in more:
                        self.assertEqual(summary["bytes"], 100 * summary["datagrams"])
            for direction in "down", "up":
                run = quicperf("client", "127.0.0.1:%d" % server.port, "dgram", "-t", "300ms",
                               "-d", direction, "-q", "--dgram-size", "9000", "--payload", "1300")
                self.assertEqual(run.returncode, 1)
                self.assertEqual(len(run.stderr.strip().split("\n")), 1, run.stderr)

    def test_zero_rtt_refused(self):
        with Server() as server:
            run = quicperf("client", "127.0.0.1:%d" % server.port, "-n", "10K", "--0rtt", "-q",
                           "--json", "-")
            self.assertEqual(run.returncode, 1)
            self.assertIn("0-RTT was accepted on 0 of 1 connections", run.stderr)
            self.assertTrue(json.loads(run.stdout)["summary"]["resumed"])
            self.assertEqual(json.loads(run.stdout)["summary"]["zero_rtt_bytes"], 0)

    def refused(self, server, *args):
        """A run that ends with 1: its only line, and its JSON."""
        run = quicperf("client", "127.0.0.1:%d" % server.port, "-n", "100K", *args, "-q", "--json", "-")
        self.assertEqual(run.returncode, 1, run.stderr)
        lines = [l for l in run.stderr.splitlines() if l.startswith("quicperf: ")]
        self.assertEqual(len(lines), 1, run.stderr)
        return lines[0], json.loads(run.stdout)["summary"]

    def test_versions(self):
        with Server() as server:
            for asked, spoken in ("any", 1), ("1", 1), ("2", 2), ("upgrade", 2):
                for mode in ["-n", "100K"], ["crr", "-n", "5"], ["rr", "-n", "5", "--resume"]:
                    run = self.client(server.port, "--version", asked, *mode)
                    self.assertEqual(run["summary"]["version"], spoken, asked)
        with Server("--version", "2") as server:
            self.assertEqual(self.client(server.port, "-n", "100K")["summary"]["version"], 2)
            line, summary = self.refused(server, "--version", "1", "-c", "2")
            self.assertIn("0 of 2 connections speak version 1", line)
            self.assertEqual(summary["version"], 2)
        with Server("--version", "1") as server:
            line, summary = self.refused(server, "--version", "2")
            self.assertIn("0 of 1 connections speak version 2", line)
            self.assertEqual(summary["version"], 1)
            self.assertIn("0 of 1", self.refused(server, "--version", "upgrade")[0])

    def test_disable_encryption(self):
        with Server("--disable-encryption") as server:
            run = self.client(server.port, "-n", "4M", "--disable-encryption")
            self.assertTrue(run["summary"]["unencrypted"])
            self.assertFalse(self.client(server.port, "-n", "100K")["summary"]["unencrypted"])
        self.assertIn("1-RTT packets are NOT encrypted", server.err)
        with Server() as server:
            line, summary = self.refused(server, "--disable-encryption")
            self.assertIn("0 of 1 connections go without encryption", line)
            self.assertFalse(summary["unencrypted"])

    def test_bad_network(self):
        with Server() as server:
            # A NAT that rebinds again before a path is validated lets nothing through: not as fast as a busy machine
            # is.
            run = self.client(server.port, "-n", "2M", "--loss", "2%", "--delay", "2ms", "--reorder",
                              "1%", "--duplicate", "1%", "--corrupt", "1%", "--burst-loss", "0.5%,50%",
                              "--jitter", "1ms", "--rebind", "500ms", "--seed", "3")
            proxy = run["proxy"]
            both = lambda name: proxy[name]["to_server"] + proxy[name]["to_client"]
            self.assertEqual(run["summary"]["bytes"], 2 << 20)
            for name in "lost", "lost_burst", "reordered", "duplicated", "corrupted":
                self.assertGreater(both(name), 0, name)
            self.assertEqual(run["summary"]["proxy_dropped"], proxy["dropped"])
            self.assertGreaterEqual(proxy["dropped"], both("lost") + both("lost_burst"))
            self.assertGreater(proxy["rebinds"], 0)
            self.assertGreaterEqual(run["summary"]["min_rtt_us"], 4000)
            run = self.client(server.port, "-n", "10K")
            self.assertIsNone(run["proxy"])
            self.assertIsNone(run["summary"]["proxy_dropped"])

    def test_narrow_network(self):
        with Server() as server:
            run = self.client(server.port, "-n", "1M", "--rate", "20M", "--queue", "10", "--mtu",
                              "1280", "-d", "up")
            self.assertGreaterEqual(run["summary"]["seconds"], 0.4)
            self.assertLessEqual(run["summary"]["goodput_bps"], 20e6)
            self.assertGreater(run["proxy"]["lost_queue"]["to_server"], 0)
            self.assertLessEqual(run["payload_bytes"], 1252)

    def test_black_hole(self):
        with Server() as server:
            run = self.client(server.port, "-n", "2M", "--rate", "20M", "--blackhole", "300ms,200ms")
            self.assertEqual(run["summary"]["bytes"], 2 << 20)
            self.assertGreater(run["proxy"]["lost_hole"]["to_server"], 0)

    def test_harmless_network(self):
        with Server() as server:
            run = quicperf("client", "127.0.0.1:%d" % server.port, "-n", "10K", "--loss", "0.0001%",
                           "-q", "--json", "-")
            self.assertEqual(run.returncode, 1)
            self.assertIn("--loss changed nothing", run.stderr)

    def test_client_certificates(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = make_certificate(folder, "client")
            other, other_key = make_certificate(folder, "stranger")
            report = os.path.join(folder, "server.json")
            with Server("--client-cert", "require", "--ca", cert, "--json", report) as server:
                run = self.client(server.port, "rr", "-n", "20", "-c", "2", "--cert", cert, "--key",
                                  key)
                self.assertTrue(run["summary"]["client_cert"])
                self.assertEqual(run["summary"]["client_cert_connections"], 2)
                run = self.client(server.port, "rr", "-n", "20", "--resume", "--cert", cert, "--key",
                                  key)
                self.assertTrue(run["summary"]["client_cert"] and run["summary"]["resumed"])
                for more, code in ([], "alert 116"), (["--cert", other, "--key", other_key], "alert 48"):
                    run = quicperf("client", "127.0.0.1:%d" % server.port, "-n", "1K", *more)
                    self.assertEqual(run.returncode, 1, run.stderr)
                    self.assertIn(code, run.stderr)
            with open(report) as file:
                summary = json.load(file)["summary"]
            self.assertEqual(summary["client_cert_connections"], 4)
            self.assertEqual(summary["errors"], 2)
            with Server("--client-cert", "request", "--ca", cert) as server:
                self.assertFalse(self.client(server.port, "-n", "1K")["summary"]["client_cert"])
            with Server() as server:
                run = quicperf("client", "127.0.0.1:%d" % server.port, "-n", "1K", "--cert", cert,
                               "--key", key)
                self.assertEqual(run.returncode, 1)
                self.assertIn("--client-cert", run.stderr)

    def test_reload_by_hangup(self):
        with tempfile.TemporaryDirectory() as folder:
            path = lambda name: os.path.join(folder, name)
            make_certificate(folder, "a")
            make_certificate(folder, "b")
            for end in ".pem", ".key":
                shutil.copy(path("a" + end), path("live" + end))

            def hangup(server, stream):
                server.process.send_signal(signal.SIGHUP)
                return stream.readline()

            def trusts(server, anchor):
                target = "127.0.0.1:%d" % server.port
                both = [quicperf("client", target, "-t", "200ms", "--ca", path(anchor), *more).returncode == 0
                        for more in ([], ["--tcp"])]
                self.assertEqual(both[0], both[1])
                return both[0]

            with Server("--tcp", "--cert", path("live.pem"), "--key", path("live.key")) as server:
                self.assertTrue(trusts(server, "a.pem"))
                shutil.copy(path("b.pem"), path("live.pem"))  # half of a swap
                self.assertIn("does not belong to the certificate",
                              hangup(server, server.process.stderr))
                self.assertTrue(trusts(server, "a.pem"))
                shutil.copy(path("b.key"), path("live.key"))
                self.assertIn("reloaded", hangup(server, server.process.stdout))
                self.assertTrue(trusts(server, "b.pem"))
                self.assertFalse(trusts(server, "a.pem"))
            self.assertEqual(server.process.returncode, 0, server.err)
            with Server() as server:
                self.assertIn("no file to read", hangup(server, server.process.stderr))
                self.client(server.port, "-n", "1K")

    def test_migration(self):
        with Server() as server:
            run = self.client(server.port, "rr", "-t", "1s", "-c", "3", "--migrate", "50ms")
            self.assertGreaterEqual(run["summary"]["migrations"], 3)
            self.assertEqual(run["summary"]["preferred_connections"], 0)
            run = quicperf("client", "127.0.0.1:%d" % server.port, "rr", "-n", "1", "--migrate",
                           "1m", "-q")
            self.assertEqual(run.returncode, 1)
            self.assertIn("no connection moved: the run was shorter than --migrate", run.stderr)

    def test_preferred_address(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.2", 0))
            port = probe.getsockname()[1]
        with Server("-w", "2", "--preferred", "127.0.0.2:%d" % port) as server:
            run = self.client(server.port, "rr", "-t", "500ms", "-c", "4")
            self.assertEqual(run["summary"]["preferred_connections"], 4)
            self.assertEqual(run["summary"]["migrations"], 0)

    def test_server_with_one(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "server.json")
            with Server("-1", "--json", path) as server:
                self.client(server.port, "-d", "up", "-n", "1M")
                self.assertEqual(server.process.wait(timeout=20), 0)
            with open(path) as file:
                document = json.load(file)
            self.assertEqual(document["summary"]["connections"], 1)
            self.assertEqual(document["summary"]["bytes"], 1 << 20)

    def test_interrupts(self):
        with Server() as server:
            client = subprocess.Popen([QUICPERF, "client", "127.0.0.1:%d" % server.port, "-t", "30s",
                                       "-i", "100ms", "--json", "-"], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, universal_newlines=True)
            under_way(client.stderr)
            client.send_signal(signal.SIGINT)
            out, err = client.communicate(timeout=20)
            self.assertEqual(client.returncode, 130, err)
            self.assertTrue(json.loads(out)["summary"]["interrupted"])
            self.assertGreater(json.loads(out)["summary"]["bytes"], 0)
        self.assertEqual(server.process.returncode, 0, server.err)

    def test_lost_connection_keeps_what_was_delivered(self):
        for direction in "up", "down":
            server = Server("-i", "100ms")
            client = subprocess.Popen([QUICPERF, "client", "127.0.0.1:%d" % server.port, "-t", "30s",
                                       "-d", direction, "-i", "0", "--json", "-"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      universal_newlines=True)
            under_way(server.process.stdout, 6, r"[1-9][0-9.]* [MG]bit/s")  # each of them 12 KiB at least
            with server:
                pass
            out, err = client.communicate(timeout=20)
            self.assertEqual(client.returncode, 1, err)
            self.assertGreater(json.loads(out)["summary"]["bytes"], 1 << 16, direction)

    def test_limit(self):
        run = quicperf("limit", "-t", "200ms", "--json", "-")
        self.assertEqual(run.returncode, 0, run.stderr)
        document = json.loads(run.stdout)
        self.assertGreater(document["limit_bps"], 0)
        self.assertLessEqual(SUMMARY_KEYS, set(document["summary"]))
        for key in "backend", "aead", "payload_bytes", "intervals", "latency_us", "error":
            self.assertIn(key, document)
        self.assertGreater(document["summary"]["packets_sent"], 0)

    def test_demo(self):
        run = quicperf("demo", "-t", "300ms", "--json", "-")
        self.assertEqual(run.returncode, 0, run.stderr)
        document = json.loads(run.stdout)
        self.assertGreater(document["limit_bps"], 0)
        self.assertGreater(document["summary"]["goodput_bps"], 0)
        self.assertGreater(document["summary"]["cpu_remote_s"], 0)
        for name in "down", "up", "rr":
            self.assertIn(name, document["runs"])
        self.assertIn("of limit", run.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
