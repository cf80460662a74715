#!/usr/bin/env python3
"""What quicperf writes beside its text: JSON against its schema, lines of JSON, histograms, key logs, qlog.

Usage: outputs_test.py QUICPERF SCHEMA
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SCHEMA_FILE = os.path.abspath(sys.argv.pop(2))

# pylint: disable=wrong-import-position
from harness import LIMIT_S, QUICPERF, Server, quicperf  # noqa: E402
from schema import Schema  # noqa: E402

SCHEMA = Schema(SCHEMA_FILE)


def client(port, *args, status=0):
    run = quicperf("client", "127.0.0.1:%d" % port, *args)
    assert run.returncode == status, (args, run.returncode, run.stderr)
    return run


class Json(unittest.TestCase):
    def judge(self, text, name="run"):
        document = json.loads(text)
        self.assertEqual(SCHEMA.wrong(document, name), [])
        self.assertTrue(SCHEMA.is_document(document))
        return document

    def test_the_schema_finds_what_is_wrong(self):
        with Server() as server:
            good = self.judge(client(server.port, "-n", "10K", "--json", "-").stdout)
        for change in (lambda d: d.pop("api"), lambda d: d.update(more=1),
                       lambda d: d["summary"].update(bytes="many"),
                       lambda d: d["summary"].update(bytes=-1),
                       lambda d: d["summary"].update(version=3),
                       lambda d: d["intervals"].append({}), lambda d: d.update(mode="fast")):
            bad = json.loads(json.dumps(good))
            change(bad)
            self.assertNotEqual(SCHEMA.wrong(bad), [])

    def test_every_mode_keeps_to_the_schema(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "server.json")
            with Server("--tcp", "--json", path) as server:
                for args in (["tput", "-d", "up", "-n", "200K"], ["rr", "-n", "50"], ["crr", "-n", "5"],
                             ["hps", "-n", "5"], ["idle", "-c", "2", "-t", "50ms"],
                             ["dgram", "-t", "100ms"], ["fair", "-c", "2", "-t", "200ms"],
                             ["latency", "-R", "500", "-t", "200ms", "-s", "4"],
                             ["rr", "-t", "200ms", "--bulk", "3", "--urgent", "1K", "--spin", "auto"],
                             ["tput", "-t", "200ms", "-i", "50ms"], ["rr", "--tcp", "-t", "500ms"],
                             ["tput", "-n", "300K", "--loss", "10%", "--seed", "3"]):
                    document = self.judge(client(server.port, *args, "--json", "-").stdout)
                    self.assertEqual(document["mode"], args[0])
            with open(path) as file:
                self.assertEqual(self.judge(file.read())["mode"], "server")
        self.judge(quicperf("limit", "-t", "50ms", "--json", "-").stdout)
        for more in [], ["--spin", "1", "--req", "1000"], ["--io", "epoll"], ["--sealed", "--aead", "boringssl"]:
            run = quicperf("limit", "--pingpong", "-t", "50ms", "--json", "-", *more)
            document = self.judge(run.stdout)
            self.assertGreater(document["summary"]["requests"], 0)
            self.assertGreater(document["latency_us"]["p50"], 0)
            self.assertEqual(document["aead"], "boringssl" if "--sealed" in more else None)
            self.assertRegex(run.stderr, "pingpong: .*%s" % ("polling" if "--spin" in more else "sleeping"))
        demo = self.judge(quicperf("demo", "-t", "100ms", "--json", "-").stdout, "demo")
        self.assertEqual([name for name in demo["runs"] if demo["runs"][name] is None], [])

    def test_several_runs_keep_to_the_schema(self):
        compared = self.judge(quicperf("compare", "-t", "300ms", "--rounds", "1", "--json", "-").stdout, "compare")
        self.assertEqual(set(compared["rr"]["quic"]),
                         {"requests_per_s", "cpu_s_per_million_requests", "p50_us", "last"})
        with tempfile.TemporaryDirectory() as folder, Server() as server:
            with open(os.path.join(folder, "lines"), "w", encoding="ascii") as file:
                file.write("tput -n 10K\n\nrr -n 5\n")
            document = self.judge(client(server.port, "script", file.name, "--json", "-").stdout, "script")
            self.assertEqual([run["line"] for run in document["runs"]], [1, 3])

    def test_an_interrupted_demo_keeps_to_the_schema(self):
        for command in "demo", "compare":
            with subprocess.Popen([QUICPERF, command, "-t", "1s", "--json", "-"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
                run.stderr.readline()  # it has begun
                run.send_signal(signal.SIGINT)
                document = self.judge(run.communicate(timeout=60)[0], command)
            self.assertEqual((run.returncode, document["error"]), (130, "interrupted"))

    def test_a_failed_run_keeps_to_the_schema(self):
        run = client(1, "--timeout", "200ms", "--json", "-", status=1)
        self.assertIsNotNone(self.judge(run.stdout)["error"])

    def test_a_server_that_goes_away_keeps_to_the_schema(self):
        for more in ["--tcp"], ["--idle-timeout", "1s"]:
            with Server("--tcp") as server:
                with subprocess.Popen([QUICPERF, "client", "127.0.0.1:%d" % server.port, "-t", "30s", "-i", "50ms",
                                       "--json", "-", *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, universal_newlines=True) as run:
                    run.stderr.readline()  # something has been measured
                    server.process.kill()
                    document = self.judge(run.communicate(timeout=60)[0])
                self.assertEqual(run.returncode, 1)
                self.assertIsNotNone(document["error"])
                self.assertGreater(document["summary"]["cpu_local_s"], 0)

    def test_one_place_for_one_document(self):
        for args in (["--json", "-", "--jsonl", "-"], ["rr", "--json", "-", "--hdr", "-"],
                     ["rr", "--hdr", "x", "--jsonl", "x"]):
            run = client(1, *args, status=2)
            self.assertIn("contradict each other", run.stderr)
        with Server() as server:
            run = client(server.port, "rr", "-n", "10", "--hdr", "-")
            self.assertEqual(run.stdout.split()[:2], ["Value", "Percentile"])
            self.assertNotIn("done:", run.stdout)
            self.assertIn("done:", run.stderr)
            client(server.port, "rr", "-n", "10", "--json", "/dev/null", "--hdr", "/dev/null")

    def test_counters_add_up(self):
        with Server() as server:
            run = self.judge(client(server.port, "-d", "up", "-n", "8M", "--json", "-").stdout)
            self.assertGreater(sum(run["trains"].values()), 0)
            self.assertGreater(run["summary"]["packets_sent"], sum(run["trains"].values()) / 2)
            self.assertGreater(run["summary"]["syscalls_per_packet"], 0)
            run = self.judge(client(server.port, "-d", "up", "-n", "1M", "--delay", "10ms", "--json",
                                    "-").stdout)
            self.assertGreater(sum(run["blocked_ms"].values()), 10)
            text = client(server.port, "-d", "up", "-n", "8M").stdout
            self.assertRegex(text, r"sent in trains of .*syscalls [0-9.]+/packet")

    def test_a_slow_rate_of_datagrams_wakes_nobody_in_between(self):
        with Server() as server:
            run = self.judge(client(server.port, "dgram", "-d", "up", "--dgram-rate", "50", "-t", "1s",
                                    "--json", "-").stdout)
            self.assertLess(run["summary"]["io_syscalls"], 500)  # a millisecond's tick would make a thousand
            self.assertGreater(run["summary"]["datagrams"], 0)

    def test_a_client_without_time_left_says_so(self):
        with Server("-w", "2") as server:
            run = self.judge(client(server.port, "rr", "-t", "300ms", "-s", "100", "--spin", "100000",
                                    "--json", "-").stdout)
            text = client(server.port, "rr", "-t", "300ms", "-R", "1", status=2).stderr
            self.assertIn("latency", text)
            if run["summary"]["client_bound"]:  # another process may have had the CPU
                self.assertGreater(run["summary"]["cpu_local_s"], 0.9 * run["summary"]["seconds"])
            run = self.judge(client(server.port, "-t", "300ms", "-w", "2", "--json", "-").stdout)
            if run["summary"]["cpu_local_s"] > 0.96 * run["summary"]["seconds"]:  # a worker has nothing to do
                self.assertTrue(run["summary"]["client_bound"])
            run = self.judge(client(server.port, "idle", "-t", "300ms", "--json", "-").stdout)
            self.assertFalse(run["summary"]["client_bound"])


class Lines(unittest.TestCase):
    def check(self, lines):
        records = [json.loads(line) for line in lines]
        self.assertEqual([SCHEMA.wrong(record, "line") for record in records],
                         [[] for record in records])
        self.assertEqual([r["type"] for r in records],
                         ["interval"] * (len(records) - 1) + ["summary"])
        return records

    def test_a_line_for_each_interval(self):
        with tempfile.TemporaryDirectory() as folder, Server("--tcp") as server:
            path = os.path.join(folder, "lines")
            for more in [], ["--tcp"], ["-q"]:
                client(server.port, "-t", "400ms", "-i", "100ms", "--jsonl", path, *more)
                with open(path) as file:
                    records = self.check(file.read().splitlines())
                self.assertGreaterEqual(len(records), 3)
                self.assertLessEqual(sum(r["bytes"] for r in records[:-1]), records[-1]["bytes"])
            run = client(server.port, "-t", "300ms", "-i", "100ms", "--jsonl", "-")
            self.check(run.stdout.splitlines())
            self.assertIn("done:", run.stderr)

    def test_a_server_writes_its_counters(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "lines")
            with Server("--0rtt", "--jsonl", path, "-i", "100ms") as server:
                run = client(server.port, "crr", "-n", "20", "-c", "2", "--0rtt", "--json", "-")
                self.assertEqual(json.loads(run.stdout)["summary"]["zero_rtt_connections"], 20)
                time.sleep(0.3)  # lines come although nothing happens
            with open(path) as file:
                records = [json.loads(line) for line in file]
        self.assertEqual([SCHEMA.wrong(record, "line") for record in records], [[] for _ in records])
        self.assertEqual([r["type"] for r in records], ["counters"] * (len(records) - 1) + ["summary"])
        self.assertGreaterEqual(len(records), 4)
        self.assertEqual(server.process.returncode, 0)
        for last, record in zip(records[:-2], records[1:-1]):
            self.assertGreater(record["t"], last["t"])
            self.assertEqual(set(record["counters"]), set(last["counters"]))
        end = records[-2]
        self.assertEqual((end["requests"], end["connections"]), (20, end["ended"]))
        self.assertEqual(end["counters"]["conns_opened"], end["connections"])
        self.assertEqual(end["counters"]["conns_closed"], end["connections"])
        for name in "handshakes_failed", "early_rejected":
            self.assertEqual(end["counters"][name], 0, name)

    def test_failures(self):
        with Server() as server:
            run = client(server.port, "--jsonl", "/no/such/folder/x", status=1)
            self.assertIn("/no/such/folder/x", run.stderr)
            run = client(server.port, "--jsonl", "-", "--json", "-", status=2)
            self.assertIn("--jsonl -", run.stderr)
            if os.path.exists("/dev/full"):
                run = client(server.port, "-n", "1K", "--jsonl", "/dev/full", status=1)
                self.assertIn("/dev/full", run.stderr)
        run = client(1, "--timeout", "200ms", "--jsonl", "-", status=1)
        self.assertIsNotNone(json.loads(run.stdout)["error"])


class Tables(unittest.TestCase):
    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full here")
    def test_why_one_could_not_be_written(self):
        for command in ["demo"], ["compare", "--rounds", "1"]:
            with open("/dev/full", "w") as full:
                run = subprocess.run([QUICPERF, *command, "-t", "200ms", "-q"], stdout=full, stderr=subprocess.PIPE,
                                     universal_newlines=True, timeout=LIMIT_S, check=False)
            self.assertEqual((run.returncode, run.stderr),
                             (1, "quicperf: cannot write standard output: No space left on device\n"))


class Histogram(unittest.TestCase):
    def test_percentiles(self):
        with tempfile.TemporaryDirectory() as folder, Server() as server:
            path = os.path.join(folder, "rr.hgrm")
            run = client(server.port, "rr", "-n", "400", "--hdr", path, "--json", "-")
            latency = json.loads(run.stdout)["latency_us"]
            with open(path) as file:
                lines = file.read().splitlines()
            self.assertEqual(lines[0].split(), ["Value", "Percentile", "TotalCount",
                                                "1/(1-Percentile)"])
            rows = [line.split() for line in lines[2:] if not line.startswith("#")]
            for column in 0, 1, 2:
                values = [float(row[column]) for row in rows]
                self.assertEqual(values, sorted(values))
            self.assertEqual((float(rows[-1][1]), int(rows[-1][2])), (1.0, 400))
            self.assertAlmostEqual(float(rows[-1][0]) * 1000, latency["max"], delta=1)
            half = [row for row in rows if float(row[1]) == 0.5][0]
            self.assertAlmostEqual(float(half[0]) * 1000, latency["p50"], delta=1)
            found = re.search(r"Mean += +([0-9.]+).*Total count += +(\d+)", " ".join(lines[-3:]))
            self.assertAlmostEqual(float(found[1]) * 1000, latency["mean"], delta=1)
            self.assertEqual(int(found[2]), 400)

    def test_wrong_uses(self):
        with Server() as server:
            run = client(server.port, "tput", "--hdr", "x", status=2)
            self.assertIn("--hdr is for", run.stderr)
            run = client(server.port, "rr", "--hdr", "/no/such/folder/x", status=1)
            self.assertIn("/no/such/folder/x", run.stderr)
        with tempfile.TemporaryDirectory() as folder:
            client(1, "rr", "--timeout", "200ms", "--hdr", os.path.join(folder, "x"), status=1)
            self.assertEqual(os.listdir(folder), [])


class KeyLog(unittest.TestCase):
    def secrets(self, path):
        with open(path) as file:
            return set(file.read().splitlines())

    def test_both_ends_know_the_same_secrets(self):
        with tempfile.TemporaryDirectory() as folder:
            here, there, again = (os.path.join(folder, name) for name in ("here", "there", "again"))
            with Server("--keylog", there) as server:
                client(server.port, "-n", "1K", "-c", "2", "--keylog", here)
                self.assertEqual(os.stat(here).st_mode & 0o777, 0o600)
                ours = self.secrets(here)
                labels = sorted(line.split()[0] for line in ours)
                for label in "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0":
                    self.assertEqual(labels.count(label), 2)
                for line in ours:
                    self.assertRegex(line, r"^[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]{64,96}$")
                self.assertLessEqual(ours, self.secrets(there))
                client(server.port, "-n", "1K", "--keylog", here)
                self.assertLess(ours, self.secrets(here))
                run = quicperf("client", "127.0.0.1:%d" % server.port, "-n", "1K",
                               env={**os.environ, "SSLKEYLOGFILE": again})
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertLessEqual(self.secrets(again), self.secrets(there))

    def test_a_file_that_cannot_be(self):
        run = client(1, "--keylog", "/no/such/folder/keys", status=1)
        self.assertIn("/no/such/folder/keys", run.stderr)
        self.assertEqual(quicperf("server", "-p", "0", "--keylog", "/no/such/folder/x").returncode, 1)


class Qlog(unittest.TestCase):
    def records(self, path):
        """RFC 7464: each text between a record separator and a line feed."""
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertTrue(text.startswith("\x1e") and text.endswith("\n"), path)
        self.assertTrue(all(part.endswith("\n") for part in text[1:].split("\x1e")))
        return [json.loads(part) for part in text[1:].split("\x1e")]

    def check_packets(self, events, side):
        def numbers(name, kind):
            return [e["data"]["header"]["packet_number"] for e in events
                    if e["name"] == name and e["data"]["header"]["packet_type"] == kind]

        for kind in "initial", "handshake", "1RTT":
            for name in "quic:packet_sent", "quic:packet_received":
                found = numbers(name, kind)
                self.assertEqual(len(found), len(set(found)))
                self.assertTrue(found, (side, kind, name))
            sent = numbers("quic:packet_sent", kind)
            self.assertEqual(sent, sorted(sent))
        self.assertTrue(all(e["data"]["raw"]["length"] >= 20 for e in events
                            if e["name"] == "quic:packet_sent"))

    def test_each_connection_tells_its_life(self):
        with tempfile.TemporaryDirectory() as folder:
            here, there = os.path.join(folder, "here"), os.path.join(folder, "there")
            with Server("--qlog", there) as server:
                client(server.port, "-d", "up", "-n", "8M", "-c", "2", "--qlog", here, "--key-update",
                       "1M")
                client(server.port, "rr", "-t", "400ms", "--migrate", "100ms", "--qlog", here)
            files = [os.path.join(here, name) for name in sorted(os.listdir(here))]
            self.assertEqual(len(files), 3)
            self.assertEqual(len(os.listdir(there)), 3)
            seen = set()
            for path in files + [os.path.join(there, name) for name in os.listdir(there)]:
                header, *events = self.records(path)
                self.assertEqual(header["file_schema"], "urn:ietf:params:qlog:file:sequential")
                self.assertEqual(header["serialization_format"], "application/qlog+json-seq")
                side = header["trace"]["vantage_point"]["type"]
                self.assertTrue(path.endswith("_%s.sqlog" % side))
                self.assertEqual(header["trace"]["common_fields"]["reference_time"]["epoch"], "unknown")
                times = [event["time"] for event in events]
                self.assertEqual(times, sorted(times))
                names = [event["name"] for event in events]
                self.assertTrue(all(name.startswith(("quic:", "loglevel:")) for name in names))
                self.assertEqual(names[0], "quic:connection_started")
                self.check_packets(events, side)
                self.assertIn("ip_v4", events[0]["data"]["remote"])
                states = [e["data"]["new"] for e in events
                          if e["name"] == "quic:connection_state_updated"]
                self.assertEqual(states, ["attempted", "handshake_complete", "closed"])
                closed = [e["data"] for e in events if e["name"] == "quic:connection_closed"]
                self.assertEqual([(c["trigger"], c["error_code"]) for c in closed],
                                 [("application", 0)])
                self.assertEqual(closed[0]["initiator"], "local" if side == "client" else "remote")
                metrics = [e["data"] for e in events
                           if e["name"] == "quic:recovery_metrics_updated"]
                self.assertGreater(len(metrics), 1)
                self.assertGreater(metrics[-1]["congestion_window"], 1000)
                self.assertGreater(metrics[-1]["smoothed_rtt"], 0)
                seen |= set(names)
            for name in "version_information", "alpn_information", "key_updated", "tuple_assigned", \
                    "stream_state_updated":
                self.assertIn("quic:" + name, seen)

    def test_a_connection_that_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            client(1, "--timeout", "200ms", "--qlog", folder, status=1)
            (name,) = os.listdir(folder)
            closed = [e for e in self.records(os.path.join(folder, name))[1:]
                      if e["name"] == "quic:connection_closed"]
            self.assertEqual(closed[0]["data"]["initiator"], "local")
            self.assertNotEqual(closed[0]["data"]["trigger"], "application")

    def test_a_folder_that_cannot_be(self):
        with tempfile.NamedTemporaryFile() as file:
            run = client(1, "--qlog", file.name, status=1)
            self.assertIn("no folder", run.stderr)
        self.assertEqual(quicperf("server", "-p", "0", "--qlog", "/no/such/folder/x").returncode, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
