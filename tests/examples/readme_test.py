#!/usr/bin/env python3
"""The README shows the example programs word for word, and each has at most 60 lines.

    readme_test.py README SOURCE...
"""
import os
import re
import sys

LINES_MAX = 60


def blocks_of(markdown):
    """The C code blocks of a Markdown text."""
    return re.findall(r"^```c\n(.*?)^```$", markdown, re.M | re.S)


def main(argv):
    if len(argv) < 3:
        print(__doc__)
        return 2
    with open(argv[1], encoding="utf-8") as file:
        blocks = blocks_of(file.read())
    wrong = []
    for path in argv[2:]:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        name = os.path.basename(path)
        if text not in blocks:
            wrong.append("the README does not show %s as it is" % name)
        if text.count("\n") > LINES_MAX:
            wrong.append("%s has more than %d lines" % (name, LINES_MAX))
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
