"""quicperf, linked so that one file of it can be exchanged, and the tests that run it.

Its own tests take its files from a shared library, as the others do. Scripts run the program, which gets a mutant
alone: what else they start goes without.
"""
import os
import re
import xml.etree.ElementTree

import programs

QUICPERF = "//tools/quicperf:quicperf"
MUTANT = "QUICPERF_MUTANT"
WALL = (3, 60)  # who waits for an answer that does not come waits for ever
WRAPPER = """#!/bin/sh
LD_PRELOAD=$%s exec %s "$@"
"""


class Script(programs.Program):
    """A test in Python."""

    def __init__(self, label, path, runfiles, key, arguments):
        super().__init__(label, path, runfiles, key, wall=WALL)
        self.arguments = arguments

    def run(self, mutant, scratch):
        return super().run(mutant and {MUTANT: mutant["LD_PRELOAD"]}, scratch)

    def verdict(self, status, log):
        found = re.findall(r"^(?:FAIL|ERROR): (\w+)", log, re.M)
        return "%s %s%s" % (self.label, (found or ["?"])[0], "" if status > 0 else " (hangs)")


class Tool(programs.Programs):
    """As the others, for tools/quicperf."""

    linked_too = (QUICPERF,)

    def link(self, labels, actions, targets, here):
        tests = {program.label: program for program in super().link(labels, actions, targets, here)}
        program = tests.pop(QUICPERF, None)
        for test in tests.values():
            test.wall = WALL
        if program is None:  # no script is asked for
            return list(tests.values())
        self.put_beside(program.path, os.path.join(self.execroot, here, "compat"))
        wrapper = self.wrap(program.path)
        return [*tests.values(), *(self.script(rule, program.key, wrapper, here) for rule in self.scripts(labels))]

    @staticmethod
    def tops(_):
        """One library for all: what a test uses of a file may be less than the file needs of the engine."""
        return ("quicperf",)

    @staticmethod
    def put_beside(program, libraries):
        """The folder of QUIC sockets where the program looks for it."""
        place = os.path.join(os.path.dirname(program), "..", "..", os.path.basename(libraries))
        if os.path.islink(place):
            os.unlink(place)
        os.symlink(libraries, place)

    @staticmethod
    def wrap(path):
        out = path + ".sh"
        with open(out, "w", encoding="utf-8") as file:
            file.write(WRAPPER % (MUTANT, path))
        os.chmod(out, 0o755)
        return out

    @staticmethod
    def scripts(labels):
        rules = programs.bazel("query", "--noshow_progress", "--output=xml",
                               "kind(sh_test, tests(set(%s)))" % " ".join(labels))
        return xml.etree.ElementTree.fromstring(rules.replace('version="1.1"', 'version="1.0"', 1)).findall("rule")

    def script(self, rule, key, wrapper, here):
        label = rule.get("name")
        place = self.place(label)
        arguments = [wrapper if self.is_quicperf(given) else self.place(re.sub(r"\$\(\w+ (.*)\)", r"\1", given))
                     for given in (one.get("value") for one in rule.findall("list[@name='args']/string"))]
        runfiles = os.path.join(self.execroot, here, place + ".runfiles", os.path.basename(self.execroot))
        path = os.path.join(runfiles, place)
        source = self.place(rule.find("list[@name='srcs']/label").get("value"))
        key = programs.digest_of(key, arguments, programs.contents(os.path.join(programs.TOP, source)))
        return Script(label, path, runfiles, key, arguments)

    @staticmethod
    def place(label):
        return label.lstrip("/").replace(":", "/").lstrip("/")

    @staticmethod
    def is_quicperf(given):
        return given in ("$(location //tools/quicperf)", "$(location %s)" % QUICPERF)
