#!/usr/bin/env python3
"""How much of what could be written wrong do the tests notice?

    tests/mutate/mutate.py [--seed N] [--count N] [--files PREFIX...]     draws mutants and tries them
    tests/mutate/mutate.py --list [--seed N] [--count N] [--files ...]    only says which
    tests/mutate/mutate.py --only NAME...                                 tries those of these names (or parts of them)
    tests/mutate/mutate.py --report [--results FILE]                      what an earlier run found

A mutant is the product with one change (mutants.py): a comparison, an operator, a condition, a constant, a statement
left out. The tests of its folder run with it until one fails, those first that noticed most in its file so far, then
the quickest; then those of the whole. What none of them notices has survived: it does the same by another way, or a
test is missing.

Results go to a file, a line each; what stands there already is not tried again, unless it was let through and
--again is given. --also adds tests of other folders to those of the whole. With --own, or --longest, a mutant that the
tests of its folder, or the short ones, let through is left for a later run without. The tree is not touched: programs
and mutants live in ~/.cache/quring-mutate (MUTATE_DIR).
"""
import argparse
import collections
import fcntl
import fnmatch
import json
import os
import random
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import mutants
import programs
import sockets
import tool

WORK = os.path.abspath(os.environ.get("MUTATE_DIR") or os.path.expanduser("~/.cache/quring-mutate"))

# Who ought to notice: the tests of the folder itself, and those of what is built on it.
WHOLE = ["//tests/quic/conn/...", "//tests/quic/endpoint/...", "//tests/quic/hostile/...",
         "//tests/sim:sim_smoke_test", "//tests/sim:sim_boring_test", "//tests/sim:fate_test",
         "//tests/sim:byzantine_test"]
ABOVE_BASE = ["//tests/quic/wire/...", "//tests/quic/path/...", "//tests/quic/stream/...", "//tests/quic/recovery/..."]
LOOP = ["//tests/runtime/...", "//tests/sim:loop_test"]
API = ["//tests/api/..."]
SOCKETS = (["//tests/compat:*_epoll_test"], ["//tests/compat:*_uring_test"])  # which are the same on the other back end
TESTS = {
    "quic/base/": (["//tests/quic/base/..."], ABOVE_BASE + WHOLE),
    "quic/wire/": (["//tests/quic/wire/..."], WHOLE),
    "quic/crypto/": (["//tests/quic/crypto/..."], WHOLE),
    "quic/recovery/": (["//tests/quic/recovery/..."], WHOLE),
    "quic/cc/": (["//tests/quic/cc/..."], ["//tests/sim:cc_path_test"] + WHOLE),
    "quic/stream/": (["//tests/quic/stream/..."], WHOLE),
    "quic/path/": (["//tests/quic/path/..."], WHOLE),
    "quic/conn/": (["//tests/quic/conn/...", "//tests/quic/endpoint/..."],
                   ["//tests/quic/hostile/..."] + WHOLE[3:]),
    "quic/endpoint/": (["//tests/quic/endpoint/..."],
                       ["//tests/quic/conn/...", "//tests/quic/hostile/..."] + WHOLE[3:]),
    "runtime/core/": (["//tests/runtime/core/..."], LOOP + API),
    "runtime/io/": (["//tests/runtime/io/...", "//tests/runtime/udp/..."], LOOP + API),
    "runtime/udp/": (["//tests/runtime/udp/...", "//tests/runtime/io/..."], LOOP + API),
    "runtime/server/": (["//tests/runtime/server/..."], API),
    "compat/core/": SOCKETS,
    "compat/front/": SOCKETS,
    "compat/gnutls/": (["//tests/compat:gnutls*", "//tests/compat:psk*"], []),
    "tools/quicperf/": (["//tests/quicperf/..."], []),
}
LEFT_OUT = ("tools/quicperf/main.c", "tools/quicperf/options_usage.c")  # not in the library; text
KINDS = {"compat/": sockets.Sockets, "tools/": tool.Tool}
NOTICED, ABOVE, LATER, SURVIVED = "noticed", "noticed above", "later", "survived"


def say(text):
    print(text, flush=True)


def folder_of(path):
    return next((folder for folder in TESTS if path.startswith(folder) and path not in LEFT_OUT), None)


def kind_of(folder):
    return next((KINDS[start] for start in KINDS if folder.startswith(start)), programs.Programs)


def draw(options):
    """The mutants asked for, in the order of the seed: a greater count begins with the same ones."""
    found, sources = [], {}
    for path in programs.Programs.tracked(".c"):
        if folder_of(path) and path.startswith(tuple(options.files)):
            sources[path] = programs.contents(os.path.join(programs.TOP, path)).decode()
            found += mutants.mutants_of(path, sources[path])
    for prefix in options.files:
        if not any(path.startswith(prefix) for path in sources):
            raise programs.Failed("no files of the product begin with %s" % prefix)
    if options.only:
        found = [one for one in found if any(part in one.name for part in options.only)]
        if not found:
            raise programs.Failed("no mutant in %s has a name like that" % " ".join(options.files))
        return found, sources
    random.Random(options.seed).shuffle(found)
    return found[:options.count], sources


class Results:
    """A file with a line of JSON for each mutant that was tried."""

    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()
        self.found = {}
        self.is_cut = False
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    self.read(line)

    def read(self, line):
        self.is_cut = not line.endswith("\n")
        try:
            result = json.loads(line)
        except ValueError:
            return  # cut short by a kill or a full disk
        self.found[self.key(result["name"])] = result

    @staticmethod
    def key(name):
        """Without the line, which moves."""
        path, _, column, kind, digest = name.split(":")
        return path, column, kind, digest

    def outcome(self, mutant):
        return self.found.get(self.key(mutant.name), {}).get("outcome")

    def known(self, mutant, options):
        outcome = self.outcome(mutant)
        if outcome in (LATER, SURVIVED) and options.again:
            return False
        if outcome == LATER:
            return options.own or options.longest is not None
        return outcome is not None

    def add(self, mutant, outcome, by, seconds):
        result = {"name": mutant.name, "outcome": outcome, "by": by, "seconds": round(seconds, 1)}
        if outcome in (LATER, SURVIVED):
            result["diff"] = mutant.diff()
        with self.lock:
            self.found[self.key(mutant.name)] = result
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(("\n" if self.is_cut else "") + json.dumps(result) + "\n")
                self.is_cut = False


class Campaign:
    """Tries mutants, several at a time."""

    def __init__(self, options, results, sources):
        self.options, self.results, self.sources = options, results, sources
        self.kills = collections.Counter()
        self.done = 0

    def prepare(self, drawn):
        folders = sorted({folder_of(mutant.path) for mutant in drawn})
        asked = 1 if self.options.own else 2
        lines_of = {folder: (TESTS[folder][0], TESTS[folder][1] + self.options.also)[:asked] for folder in folders}
        labels = sorted({re.sub(r":.*\*.*", ":all", label)
                         for lines in lines_of.values() for line in lines for label in line})
        say("building the tests of %s" % ", ".join(folders))
        kinds = {kind_of(folder) for folder in folders}
        if len(kinds) > 1:
            raise programs.Failed("compat/ and tools/ go alone: what runs there is linked in another way")
        self.programs = kinds.pop()(WORK, labels, self.options.jobs)
        for mutant in drawn:
            if self.programs.source(mutant.path).decode() != self.sources[mutant.path]:
                raise programs.Failed("%s has changed meanwhile" % mutant.path)
        self.lines = {folder: [self.matching(line) for line in lines] for folder, lines in lines_of.items()}
        say("running %d tests as they are" % len(self.programs.tests))
        failing = self.programs.time_tests(self.programs.tests)
        for label, verdict in sorted(failing.items()):
            say("left out, fails without a mutant: %s" % verdict)
        for lines in self.lines.values():
            lines[:] = [[label for label in line if label not in failing and self.is_short(label)] for line in lines]

    def is_short(self, label):
        return self.options.longest is None or self.programs.tests[label].takes_s <= self.options.longest

    def matching(self, patterns):
        def fits(label):
            return any(fnmatch.fnmatchcase(label, pattern) or
                       (pattern.endswith("/...") and label.startswith((pattern[:-4] + "/", pattern[:-4] + ":")))
                       for pattern in patterns)
        return [label for label in self.programs.tests if fits(label)]

    def promising(self, path, labels):
        """The tests that noticed most in this file first, then the quickest."""
        return sorted(labels, key=lambda label: (-self.kills[path, label], self.programs.tests[label].takes_s))

    def verdict(self, mutant, scratch):
        """What becomes of a mutant, and which test says so."""
        loaded = self.programs.mutate(mutant, self.sources[mutant.path], scratch)
        if loaded in ("same", "refused"):
            return loaded, None
        for labels, outcome in zip(self.lines[folder_of(mutant.path)], (NOTICED, ABOVE)):
            for label in self.promising(mutant.path, labels):
                failed = self.programs.tests[label].run(loaded, scratch)
                if failed is not None:
                    self.kills[mutant.path, label] += 1
                    return outcome, failed
        return LATER if self.options.own or self.options.longest is not None else SURVIVED, None

    def try_one(self, mutant):
        scratch = os.path.join(WORK, "scratch", threading.current_thread().name)
        start = time.monotonic()
        outcome, by = self.verdict(mutant, scratch)
        seconds = time.monotonic() - start
        self.results.add(mutant, outcome, by, seconds)
        self.done += 1
        say("%4d %5.1f s  %-13s %s  %s" % (self.done, seconds, outcome, mutant.name, by or ""))
        if outcome in (LATER, SURVIVED):
            say(mutant.diff().rstrip())

    def run(self, drawn):
        with ThreadPoolExecutor(self.options.jobs, thread_name_prefix="job") as pool:
            for _ in pool.map(self.try_one, drawn):
                pass


def report(results):
    """A table of folders; what survived is listed before."""
    counts = collections.defaultdict(collections.Counter)
    for result in sorted(results.found.values(), key=lambda result: result["name"]):
        for row in (folder_of(result["name"]) or "other", "total"):
            counts[row][result["outcome"]] += 1
        if result["outcome"] in (LATER, SURVIVED):
            say("%s\n%s" % (result["name"], result["diff"].rstrip()))
    line = "| %-16s | %7s | %9s | %8s | %8s | %7s | %6s |"
    say(line % ("folder", "mutants", "same code", "by tests", "by those", "alive", "share"))
    say(line % ("", "", "or none", "of it", "above", "", "seen"))
    for row in sorted(counts, key=lambda row: (row == "total", row)):
        count = counts[row]
        seen = count[NOTICED] + count[ABOVE]
        tried = seen + count[SURVIVED] + count[LATER]
        say(line % (row, sum(count.values()), count["same"] + count["refused"], count[NOTICED], count[ABOVE],
                    count[SURVIVED] + count[LATER], "%.1f%%" % (100 * seen / tried) if tried else "-"))


def claim():
    """A campaign at a time in WORK, until the file that comes back is closed."""
    file = open(os.path.join(WORK, "lock"), "w", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise programs.Failed("another one is at work in %s: let MUTATE_DIR name another place" % WORK) from None
    return file


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--files", nargs="+", default=["quic/"], metavar="PREFIX", help="what to change; quic/")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="mutants by name instead of drawn ones")
    parser.add_argument("--list", action="store_true", help="only list what would be tried")
    parser.add_argument("--report", action="store_true", help="only show what the results are")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--results", default=os.path.join(WORK, "results"), metavar="FILE")
    parser.add_argument("--own", action="store_true", help="run the tests of the folder only")
    parser.add_argument("--also", nargs="+", default=[], metavar="LABEL", help="run these tests, too")
    parser.add_argument("--longest", type=float, metavar="SECONDS", help="leave out tests that take longer")
    parser.add_argument("--again", action="store_true", help="try once more what was let through")
    return parser.parse_args(argv)


def main():
    options = parse(sys.argv[1:])
    os.makedirs(WORK, exist_ok=True)
    results = Results(options.results)
    if options.report:
        report(results)
        return 0
    drawn, sources = draw(options)
    if options.list:
        for mutant in drawn:
            say("%s\n%s" % (mutant.name, mutant.diff().rstrip()))
        return 0
    drawn = [mutant for mutant in drawn if not results.known(mutant, options)]
    if drawn:
        with claim():
            campaign = Campaign(options, results, sources)
            campaign.prepare(drawn)
            campaign.run(drawn)
    report(results)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except programs.Failed as error:
        sys.exit("mutate: %s" % error)
