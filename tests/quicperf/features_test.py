#!/usr/bin/env python3
"""Runs the table of docs/features.md: each row's server and client, and what the client's JSON must
show; and looks whether the tests a row names exist.

Usage: features_test.py QUICPERF FEATURES.md WORKSPACE [FEATURE...]

WORKSPACE is the file of that name at the tree's root; symlinks to it are followed.
"""

import json
import os
import re
import shlex
import socket
import sys
import tempfile

from harness import Server, make_certificate, quicperf

COLUMNS = ["feature", "spec", "tests", "server", "client", "shows"]
CODE = re.compile(r"`([^`]*)`")
CONDITION = re.compile(r"([\w.]+)(>=|<=|=|>|<)(.+)")
LABEL = re.compile(r"//([\w/]+):(\w+)")

def rows(path):
    """The table's rows as dictionaries; the header must be COLUMNS."""
    found = []
    header = None
    with open(path) as text:
        for line in text:
            if not line.startswith("|"):
                continue
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if header is None:
                header = cells
                if header != COLUMNS:
                    raise SystemExit("%s: the columns are %s" % (path, header))
            elif set(line.strip()) <= set("|-: "):
                continue
            elif len(cells) != len(COLUMNS):
                raise SystemExit("%s: %d cells in %r" % (path, len(cells), line))
            else:
                found.append(dict(zip(COLUMNS, cells)))
    return found


def missing_labels(row, root):
    """Labels of `row` that no BUILD file declares."""
    wrong = []
    for package, name in LABEL.findall(row["tests"] + " " + row["client"]):
        build = os.path.join(root, package, "BUILD.bazel")
        text = open(build).read() if os.path.exists(build) else ""
        stem = re.sub(r"_test$", "", name)
        stems = name, stem, re.sub(r"_(uring|epoll)$", "", stem)  # those of sockets run over both
        if not any('"%s"' % each in text for each in stems):
            wrong.append("//%s:%s" % (package, name))
    return wrong


def value_at(document, path):
    for key in path.split("."):
        document = document[key]
    return document


def holds(document, condition):
    """None if `condition` is true of `document`, otherwise why not."""
    parsed = CONDITION.fullmatch(condition)
    if not parsed:
        return "%r is no condition" % condition
    path, op, want = parsed.groups()
    try:
        have = value_at(document, path)
    except KeyError:
        return "there is no %s" % path
    if op == "=":
        text = have if isinstance(have, str) else json.dumps(have)
        return None if text == want else "%s is %s, not %s" % (path, text, want)
    ok = {">": have > float(want), "<": have < float(want), ">=": have >= float(want),
          "<=": have <= float(want)}[op]
    return None if ok else "%s is %s, not %s%s" % (path, have, op, want)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Runner:
    def __init__(self, scratch):
        self.scratch = scratch
        self.names = {}

    def words(self, cell, port2):
        text = " ".join(CODE.findall(cell)).replace("{port2}", str(port2))
        if ("{cert}" in text or "{key}" in text) and not self.names:
            self.names["{cert}"], self.names["{key}"] = make_certificate(self.scratch)
        for name, value in self.names.items():
            text = text.replace(name, value)
        return shlex.split(text)

    def run(self, row):
        """None if the row shows what it says, otherwise why not."""
        port2 = free_port()
        try:
            with Server(*self.words(row["server"], port2)) as server:
                client = quicperf("client", "127.0.0.1:%d" % server.port,
                                  *self.words(row["client"], port2), "-q", "--json", "-")
        except AssertionError as why:
            return str(why)
        if client.returncode != 0:
            return "the client ended with %d: %s" % (client.returncode, client.stderr.strip())
        document = json.loads(client.stdout)
        conditions = [c.strip() for code in CODE.findall(row["shows"]) for c in code.split(",")]
        if not conditions:
            return "it shows nothing"
        wrong = [why for why in (holds(document, c) for c in conditions) if why]
        return "; ".join(wrong) or None


def main():
    table, workspace = (os.path.realpath(path) for path in sys.argv[1:3])
    wanted = sys.argv[3:]
    root = os.path.dirname(workspace)
    shown = 0
    by_test = 0
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(scratch)
        for row in rows(table):
            name = row["feature"]
            if wanted and name not in wanted:
                continue
            why = None
            absent = missing_labels(row, root)
            if not LABEL.search(row["tests"]) or not row["spec"]:
                why = "a row needs a specification and a test"
            elif absent:
                why = "no such test: %s" % ", ".join(absent)
            elif LABEL.search(row["client"]):
                by_test += 1
                print("%-40s by %s" % (name, " ".join(CODE.findall(row["client"]))))
                continue
            else:
                why = runner.run(row)
            if why:
                failed.append(name)
                print("%-40s FAILED: %s" % (name, why))
            else:
                shown += 1
                print("%-40s shown" % name)
            sys.stdout.flush()
    print("features: %d shown by quicperf, %d by tests of their own, %d failed"
          % (shown, by_test, len(failed)))
    return 1 if failed or shown + by_test == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
