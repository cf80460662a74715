#!/usr/bin/env python3
"""The manual pages are sound, and name everything that netinet/quic.h has.

    man_test.py QUIC.H PAGE...
"""
import os
import re
import shutil
import subprocess
import sys
import unittest

HEADER, PAGES = "", []


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def target_of(text):
    """The page that this one only stands for."""
    match = re.fullmatch(r"\.so man\d/(\S+)\n", text)
    return match and match.group(1)


class Manual(unittest.TestCase):
    def setUp(self):
        self.pages = {os.path.basename(path): read(path) for path in PAGES}
        self.assertGreater(len(self.pages), 5)
        self.text = "".join(self.pages.values()).replace("\\-", "-")

    def test_references_are_there(self):
        for name, text in self.pages.items():
            if target_of(text):
                self.assertIn(target_of(text), self.pages, name)
            for other, section in re.findall(r"^\.BR (quic\w*) \((\d)\)", text, re.MULTILINE):
                self.assertIn(other + "." + section, self.pages, name)

    def test_every_page_has_its_parts(self):
        for name, text in self.pages.items():
            if target_of(text):
                continue
            self.assertTrue(text.startswith(".TH %s " % name[:-2].upper() + name[-1]), name)
            for part in ("NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"):
                self.assertIn(".SH " + part + "\n", text, name)

    def test_every_name_of_the_header(self):
        header = read(HEADER)
        names = set(re.findall(r"#define\s+(QUIC_SOCKOPT_\w+|QUIC_STREAM_FLAG_\w+|MSG_\w+)", header))
        names |= set(re.findall(r"\b(QUIC_EVENT_[A-Z_]+),", header))
        names |= set(re.findall(r"\b(quic_\w+)\(int sd", header))
        names |= set(re.findall(r"^    uint\d+_t (\w+); ", header, re.MULTILINE))
        names -= {"QUIC_EVENT_NONE", "QUIC_EVENT_END", "QUIC_EVENT_MAX",
                  "QUIC_STREAM_FLAG_NOTIFICATION", "dest"}
        names = {name for name in names if not name.startswith("MSG_QUIC_")}
        self.assertGreater(len(names), 40)
        missing = [name for name in sorted(names)
                   if not re.search(r"\b%s\b" % name, self.text)]
        self.assertEqual(missing, [])

    def test_every_function_has_a_page(self):
        names = set(re.findall(r"^\w[\w ]*\b(quic_\w+)\(", read(HEADER), re.MULTILINE))
        self.assertGreater(len(names), 10)
        for name in names:
            page = name + ".3"
            self.assertIn(page, self.pages)
            text = self.pages[target_of(self.pages[page]) or page]
            self.assertRegex(text[:text.index(".SH SYNOPSIS")], r"\b%s\b" % name)

    @unittest.skipUnless(shutil.which("groff"), "groff is not installed")
    def test_groff_finds_nothing_to_complain_about(self):
        for path in PAGES:
            if target_of(read(path)):
                continue
            done = subprocess.run(["groff", "-man", "-ww", "-z", path], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, universal_newlines=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (0, ""), path)


if __name__ == "__main__":
    HEADER, PAGES = sys.argv[1], sys.argv[2:]
    unittest.main(argv=sys.argv[:1])
