#!/usr/bin/env python3
"""Scripts of runs, and reports about runs that were saved.

Usage: scripts_test.py QUICPERF SCHEMA
"""

import json
import os
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

SCHEMA_FILE = os.path.abspath(sys.argv.pop(2))

# pylint: disable=wrong-import-position
from harness import Server, quicperf  # noqa: E402
from schema import Schema  # noqa: E402

SCHEMA = Schema(SCHEMA_FILE)


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)


class Script(Folder):
    def run_script(self, port, text, *args):
        return quicperf("client", "127.0.0.1:%d" % port, "script", self.write("s", text), *args)

    def test_runs_one_after_the_other(self):
        text = ("# two directions, then requests\n\n  tput -d up -n 300K  # a comment\n"
                "tput -n 200K -s 2\nrr -n 20 -c 2\n")
        with Server() as server:
            run = self.run_script(server.port, text, "--json", "-", "-s", "1")
            self.assertEqual(run.returncode, 0, run.stderr)
            document = json.loads(run.stdout)
            self.assertEqual((document["mode"], document["error"]), ("script", None))
            runs = document["runs"]
            self.assertEqual([r.pop("line") for r in runs], [3, 4, 5])
            self.assertEqual(runs[0].pop("text"), "tput -d up -n 300K")
            for r in runs[1:]:
                r.pop("text")
            self.assertEqual([SCHEMA.wrong(r) for r in runs], [[], [], []])
            self.assertEqual([r["summary"]["bytes"] for r in runs[:2]], [300 << 10, 200 << 10])
            self.assertEqual(runs[2]["summary"]["requests"], 20)
            self.assertIn("line 5: rr -n 20 -c 2", run.stderr)
            run = self.run_script(server.port, text, "--jsonl", "-")
            lines = [json.loads(line) for line in run.stdout.splitlines()]
            self.assertEqual([SCHEMA.wrong(line, "line") for line in lines], [[] for _ in lines])
            self.assertEqual([line["mode"] for line in lines if line["type"] == "summary"],
                             ["tput", "tput", "rr"])

    def test_the_command_line_comes_first(self):
        with Server() as server:
            run = self.run_script(server.port, "rr -n 3\nrr -n 3 --resp 5\n", "--resp", "7", "--json",
                                  self.path("out"))
            self.assertEqual(run.returncode, 0, run.stderr)
            with open(self.path("out")) as file:
                runs = json.load(file)["runs"]
            self.assertEqual([r["summary"]["bytes"] for r in runs], [21, 15])

    def test_the_whole_file_is_judged_before_the_first_run(self):
        for text, words in (("rr -n 1\ntput --frob\n", "s:2: unknown option --frob"),
                            ("walk\n", "s:1: walk is no mode"), ("# nothing\n", "no run in it"),
                            ("rr --json x\n", "s:1: --json belongs"), ("script s\n", "other modes"),
                            ("rr " + "-q " * 200, "words"), ("rr " + " " * 2000 + "\n", "too long")):
            run = self.run_script(1, text, "--timeout", "100ms")
            self.assertEqual(run.returncode, 2, (text[:20], run.stderr))
            self.assertIn(words, run.stderr)
            self.assertEqual(run.stdout, "")
        run = quicperf("client", "127.0.0.1:1", "script", "/no/such/file")
        self.assertEqual(run.returncode, 2)
        self.assertIn("/no/such/file", run.stderr)
        self.assertEqual(quicperf("client", "127.0.0.1:1", "script").returncode, 2)
        self.assertEqual(quicperf("client", "127.0.0.1:1", "rr", "x").returncode, 2)

    def test_the_first_failure_is_the_last_run(self):
        with Server() as server:
            run = self.run_script(server.port, "rr -n 2\nrr -n 2 --version 2 --retry-not\n")
            self.assertEqual(run.returncode, 2)
            run = self.run_script(server.port, "rr -n 2\nrr -n 2 --0rtt\nrr -n 2\n", "--json", "-")
            self.assertEqual(run.returncode, 1)
            document = json.loads(run.stdout)
            self.assertEqual(len(document["runs"]), 2)
            self.assertIn("s:2: ", document["error"])
            self.assertIsNotNone(document["runs"][1]["error"])


class Report(Folder):
    def saved(self):
        paths = [self.path("a.json"), self.path("b.json"), self.path("rr.json")]
        with Server() as server:
            target = "127.0.0.1:%d" % server.port
            for path, args in zip(paths, (["-t", "300ms", "-i", "100ms"], ["-n", "1M"],
                                          ["rr", "-n", "40", "-i", "100ms"])):
                run = quicperf("client", target, *args, "--json", path)
                self.assertEqual(run.returncode, 0, run.stderr)
        return paths

    def test_table_and_spread(self):
        paths = self.saved()
        run = quicperf("report", *paths)
        self.assertEqual(run.returncode, 0, run.stderr)
        lines = run.stdout.splitlines()
        self.assertEqual(lines[0].split()[:3], ["run", "kind", "rate"])
        rates = []
        for path, line in zip(paths, lines[1:4]):
            self.assertIn(os.path.basename(path), line)
            with open(path) as file:
                document = json.load(file)
            found = re.search(r"([0-9.]+) Gbit/s", line)
            if found:
                self.assertAlmostEqual(float(found[1]), document["summary"]["goodput_bps"] / 1e9,
                                       delta=0.001)
                rates.append(float(found[1]))
            else:
                self.assertIn("%.1f" % document["latency_us"]["p50"], line)
        self.assertIn("tput down, native: 2 runs, median", lines[-1])
        self.assertIn("least %.3f Gbit/s" % min(rates), lines[-1])
        self.assertIn("most %.3f Gbit/s" % max(rates), lines[-1])

    def test_markdown(self):
        run = quicperf("report", "--md", *self.saved())
        self.assertEqual(run.returncode, 0, run.stderr)
        tables = [line for line in run.stdout.splitlines() if line]
        self.assertTrue(all(line.startswith("|") and line.endswith("|") for line in tables))
        self.assertEqual({line.count("|") for line in tables[:5]}, {8})

    def test_plot(self):
        drawing = self.path("out.svg")
        run = quicperf("report", *self.saved(), "--plot", drawing)
        self.assertEqual(run.returncode, 0, run.stderr)
        root = xml.parse(drawing).getroot()
        name = lambda tag: "{http://www.w3.org/2000/svg}" + tag
        self.assertEqual(root.tag, name("svg"))
        lines = root.findall(name("polyline"))
        self.assertEqual(len(lines), 3)
        for line in lines:
            for point in line.get("points").split():
                x, y = map(float, point.split(","))
                self.assertTrue(0 <= x <= float(root.get("width")))
                self.assertTrue(0 <= y <= float(root.get("height")))
        texts = [text.text for text in root.findall(name("text"))]
        self.assertTrue(any("rr.json" in text for text in texts))
        ticks = [text for text in texts if re.fullmatch(r"[0-9.e+-]+( s)?", text)]
        self.assertGreater(len(ticks), 10)
        for tick in ticks:
            self.assertRegex(tick, r"^(0|[0-9]{1,3}0*|[0-9]*\.0*[0-9]{1,3})( s)?$")  # round, and written out
        run = quicperf("report", self.path("a.json"), "--plot", "-")
        self.assertEqual(xml.fromstring(run.stdout).tag, name("svg"))

    def test_documents_with_several_runs(self):
        demo, script = self.path("demo.json"), self.path("script.json")
        self.assertEqual(quicperf("demo", "-t", "50ms", "--json", demo).returncode, 0)
        compare = self.path("compare.json")
        self.assertEqual(quicperf("compare", "-t", "50ms", "--rounds", "1", "--json",
                                  compare).returncode, 0)
        with Server() as server:
            logs = self.path("logs")
            run = quicperf("client", "127.0.0.1:%d" % server.port, "script",
                           self.write("s", "rr -n 3\nhps -n 3 --qlog %s\n" % logs), "--json", script)
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual(len(os.listdir(logs)), 3)
        run = quicperf("report", demo, script, compare)
        self.assertEqual(run.returncode, 0, run.stderr)
        for word in ("demo.json:down", "demo.json:rr", "script.json:1", "script.json:2",
                     "compare.json:down/quic", "compare.json:rr/tcp", "rr, tcp"):
            self.assertIn(word, run.stdout)

    def test_names_cannot_break_the_drawing(self):
        path = self.saved()[0]
        odd = self.path("<&\">.json")
        os.rename(path, odd)
        run = quicperf("report", odd, "--plot", self.path("out.svg"))
        self.assertEqual(run.returncode, 0, run.stderr)
        texts = [t.text for t in xml.parse(self.path("out.svg")).getroot() if t.text]
        self.assertTrue(any("<&\">.json" in text for text in texts))

    def test_what_cannot_be_read(self):
        for name, text, words in (("empty", "", "line 1"), ("half", "{\"summary\":", "half"),
                                  ("other", "{\"a\": 1}", "no run of quicperf"),
                                  ("list", "[1, 2]", "no run of quicperf"),
                                  ("large", '{"summary": {"goodput_bps": 1e999}}', "too large")):
            run = quicperf("report", self.write(name, text))
            self.assertEqual(run.returncode, 1, name)
            self.assertIn(words, run.stderr)
        run = quicperf("report", self.path("missing"))
        self.assertEqual(run.returncode, 1)
        self.assertIn("No such file", run.stderr)
        self.assertEqual(quicperf("report").returncode, 2)
        run = quicperf("report", *self.saved(), "--plot", "/no/such/folder/x.svg")
        self.assertEqual(run.returncode, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
