#!/usr/bin/env python3
"""What a campaign does when something is not as it should be."""
import json
import os
import tempfile
import time
import unittest
from unittest import mock

import mutants
import mutate
import programs
import sockets
import tool

SOURCE = "int f(int a)\n{\n    return a < 3;\n}\n"
MUTANT = mutants.mutants_of("quic/base/f.c", SOURCE)[0]


class InAFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(self.folder.cleanup)

    def path(self, *parts):
        return os.path.join(self.folder.name, *parts)

    def write(self, text, *parts):
        os.makedirs(os.path.dirname(self.path(*parts)), exist_ok=True)
        with open(self.path(*parts), "w", encoding="utf-8") as file:
            file.write(text)


class Results(InAFolder):
    def test_a_line_that_was_cut_is_left_out(self):
        whole = json.dumps({"name": "quic/a.c:1:2:cut:77", "outcome": "noticed", "by": None, "seconds": 1})
        self.write(whole + "\n" + whole[:30], "results")
        results = mutate.Results(self.path("results"))
        self.assertEqual(len(results.found), 1)
        results.add(MUTANT, "noticed", None, 1)
        self.assertEqual(len(mutate.Results(self.path("results")).found), 2)


class Options(unittest.TestCase):
    def draw(self, *argv):
        with mock.patch.object(programs.Programs, "tracked", return_value=["quic/base/f.c"]), \
                mock.patch.object(programs, "contents", return_value=SOURCE.encode()):
            return mutate.draw(mutate.parse(argv))[0]

    def test_what_is_mistyped_is_said(self):
        self.assertEqual(self.draw("--files", "quic/base/")[0].path, "quic/base/f.c")
        for argv in (["--files", "quic/bsae/"], ["--files", "quic/base/", "quic/wier"], ["--only", "g.c"]):
            with self.assertRaises(programs.Failed):
                self.draw(*argv)


class Claim(InAFolder):
    def test_one_at_a_time(self):
        with mock.patch.object(mutate, "WORK", self.folder.name):
            with mutate.claim():
                with self.assertRaises(programs.Failed):
                    mutate.claim()
            mutate.claim().close()


class Plant(InAFolder):
    def plant(self):
        made = programs.Programs.__new__(programs.Programs)
        made.execroot = self.path("base", "execroot", "quring")
        with mock.patch.object(programs, "TOP", self.path("tree")):
            made.root = made.plant(self.path("work", "root"))
        return made

    def test_what_is_edited_meanwhile_changes_nothing(self):
        self.write("1", "tree", "quic", "a.h")
        self.write("1", "tree", "bazel", "a.bzl")
        for text in ("1", "2"):  # the second finds what the first has left
            self.write(text, "tree", "quic", "a.h")
            made = self.plant()
            self.write("3", "tree", "quic", "a.h")
            self.assertEqual(made.source("quic/a.h"), text.encode())
            self.assertEqual(made.source("bazel/a.bzl"), b"1")

    def test_a_folder_of_somebody_else_stays(self):
        self.write("1", "tree", "quic", "a.h")
        self.write("mine", "work", "root", "letter")
        with self.assertRaises(programs.Failed):
            self.plant()
        self.assertTrue(os.path.exists(self.path("work", "root", "letter")))


class Compile(InAFolder):
    def test_brackets_are_not_asked_for(self):
        source = "int f(int a, int b, int c)\n{\n    return a && b && c;\n}\n"
        made = programs.Programs.__new__(programs.Programs)
        made.root = self.folder.name
        given = ["gcc", "-Wall", "-Werror", "-c", "f.c", "-o", "f.o"]
        for mutant in mutants.mutants_of("f.c", source):
            self.assertTrue(made.compile(given, mutant.apply(source), self.path("f.o")), mutant.name)
        self.assertFalse(made.compile(given, "int f(int a)\n{\n    int b;\n    return a;\n}\n", self.path("f.o")))


class Sockets(InAFolder):
    QUERY = """<?xml version="1.1" encoding="UTF-8" standalone="no"?><query version="2">
        <rule class="cc_test" name="//tests/compat:a_test"><dict name="env"><pair><string value="QUIC_IO"/>
        <string value="epoll"/></pair></dict></rule></query>"""

    def test_the_environment_is_that_of_the_rule(self):
        with mock.patch.object(programs, "bazel", return_value=self.QUERY):
            self.assertEqual(sockets.Sockets.environments(["//tests/compat:all"]),
                             {"//tests/compat:a_test": {"QUIC_IO": "epoll"}})

    def test_a_mutant_takes_the_place_of_its_file(self):
        made = sockets.Sockets.__new__(sockets.Sockets)
        made.root, made.objects = self.folder.name, {"bin/a.o": "/a.o", "bin/b.o": "/b.o"}
        for path, name, variable in (("compat/core/a.c", "compat/parts/libquic_engine.so", "QUIC_ENGINE"),
                                     ("compat/front/a.c", "compat/libquic.so", "LD_PRELOAD")):
            made.lines = {name: ["ld", "-o", "bin/lib.so", "bin/a.o", "bin/b.o", "-lm"]}
            with mock.patch.object(programs, "call") as call:
                out = os.path.join("/scratch", os.path.basename(name))
                self.assertEqual(made.load(path, {"bin/a.o": "/m.o"}, "/scratch"), {variable: out})
            self.assertEqual(call.call_args[0][0], ["ld", "-o", out, "/m.o", "/b.o", "-lm"])


class Tool(InAFolder):
    QUERY = """<?xml version="1.1" encoding="UTF-8" standalone="no"?><query version="2">
        <rule class="sh_test" name="//tests/quicperf:a_test"><list name="srcs">
        <label value="//tests/quicperf:a.py"/></list><list name="args"><string value="$(location //tools/quicperf)"/>
        <string value="$(location //docs:x.json)"/><string value="-v"/></list></rule></query>"""

    def script(self):
        made = tool.Tool.__new__(tool.Tool)
        made.execroot = self.path("execroot", "quring")
        self.write("", "tests", "quicperf", "a.py")
        with mock.patch.object(programs, "bazel", return_value=self.QUERY), \
                mock.patch.object(programs, "TOP", self.folder.name):
            rule, = made.scripts(["//tests/quicperf:all"])
            return made.script(rule, "key", "/wrapper", "bin/")

    def test_a_script_gets_the_program_and_its_other_arguments(self):
        script = self.script()
        self.assertEqual(script.label, "//tests/quicperf:a_test")
        self.assertEqual(script.arguments, ["/wrapper", "docs/x.json", "-v"])
        self.assertTrue(script.path.endswith("/bin/tests/quicperf/a_test.runfiles/quring/tests/quicperf/a_test"))
        self.assertEqual(script.verdict(1, "FAIL: test_x (__main__.X)\n"), "//tests/quicperf:a_test test_x")

    def test_the_program_alone_gets_the_mutant(self):
        self.write("#!/bin/sh\necho \"$LD_PRELOAD$1\"\n", "quicperf")
        os.chmod(self.path("quicperf"), 0o755)
        script = self.script()
        script.runfiles, script.arguments = self.folder.name, [tool.Tool.wrap(self.path("quicperf"))]
        self.write("#!/bin/sh\ntest -z \"$LD_PRELOAD\" && test \"$($1 more)\" = \"$WANTED\"\n", "script")
        os.chmod(self.path("script"), 0o755)
        script.path = self.path("script")
        for mutant, wanted in ((None, "more"), ({"LD_PRELOAD": "/no.so"}, "/no.somore")):
            script.environment = {"WANTED": wanted}
            self.assertIsNone(script.run(mutant, self.path("scratch")))

    def test_tests_alone_need_no_program(self):
        made = tool.Tool.__new__(tool.Tool)
        one = programs.Program("//tests/quicperf:b_test", "b_test", ".", "key")
        with mock.patch.object(programs.Programs, "link", return_value=[one]):
            self.assertEqual(made.link([one.label], [], {}, "bin/"), [one])
        self.assertEqual(one.wall, tool.WALL)

    def test_the_sockets_are_found(self):
        self.write("", "bin", "compat", "libquic.so")
        self.write("", "tests", "tools", "quicperf", "quicperf")
        for _ in range(2):
            tool.Tool.put_beside(self.path("tests", "tools", "quicperf", "quicperf"), self.path("bin", "compat"))
            self.assertTrue(os.path.exists(self.path("tests", "compat", "libquic.so")))

    def test_all_but_main_is_in_the_library(self):
        objects = "bazel-out/k8-opt/bin/tools/quicperf/%s"
        self.assertTrue(programs.PRODUCT.match(objects % "_objs/hist/hist.pic.o"))
        self.assertTrue(programs.PRODUCT.match(objects % "tcp/_objs/link/link.pic.o"))
        self.assertFalse(programs.PRODUCT.match(objects % "_objs/quicperf/main.pic.o"))
        self.assertFalse(programs.PRODUCT.match(objects % "quicperf"))
        self.assertIsNone(mutate.folder_of("tools/quicperf/main.c"))
        self.assertIs(mutate.kind_of(mutate.folder_of("tools/quicperf/tcp/link.c")), tool.Tool)


class Run(InAFolder):
    def program(self, script):
        self.write("#!/bin/sh\n" + script, "test")
        os.chmod(self.path("test"), 0o755)
        return programs.Program("//a:test", self.path("test"), self.folder.name, "key")

    def test_nothing_is_left_behind(self):
        for end, passes in (("exit 0", True), ("kill -SEGV $$", False)):
            program = self.program("sleep 1000 &\necho $! > child\n" + end)
            self.assertEqual(program.run(None, self.path("scratch")) is None, passes)
            with open(self.path("child"), encoding="ascii") as file:
                child = file.read().strip()
            self.assertTrue(self.goes_away(child))

    @staticmethod
    def goes_away(pid):
        for _ in range(1000):
            try:
                with open("/proc/%s/stat" % pid, encoding="ascii", errors="replace") as file:
                    if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                        return True
            except OSError:
                return True
            time.sleep(0.01)
        return False

    def times(self, program):
        made = programs.Programs.__new__(programs.Programs)
        made.work, made.jobs, made.tests = self.folder.name, 2, {program.label: program}
        return made.time_tests(made.tests)

    def test_what_fails_once_is_asked_again(self):
        program = self.program("test -e seen || { touch seen; exit 1; }")
        self.assertEqual(self.times(program), {})
        self.assertIsNotNone(program.takes_s)

    def test_what_fails_is_not_remembered(self):
        self.assertEqual(list(self.times(self.program("exit 1"))), ["//a:test"])
        self.assertEqual(self.times(self.program("exit 0")), {})


if __name__ == "__main__":
    unittest.main()
