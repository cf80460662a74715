#!/usr/bin/env python3
"""Which rows of docs/hostile.md the tests of a log prove.

    count_rows.py docs/hostile.md LOG [ROW...]

LOG is what googletest programs, and Python's unittest with -v, printed. A row counts when at least one test
that carries its number (Row17..., H17..., test_H17...) passed and none failed. Prints a line per section; exit
status 1 when a row is not proved, unless it is named on the command line as one that cannot be here, or when a
test carries a number that is no row.
"""
import re
import sys

NUMBER = re.compile(r"(?:^|[./_])(?:Row|H)(\d+)(?=[._A-Z])")
RESULT = re.compile(r"^\[ +(OK|FAILED) +\] ([\w./]+)")
UNITTEST = re.compile(r"^(test_\w+) \(.*\) \.\.\. (ok|FAIL|ERROR)")


def sections(path):
    """{section letter: [row numbers]}, in the order of the document."""
    found = {}
    letter = None
    for line in open(path, encoding="utf-8"):
        if line.startswith("## "):
            heading = re.match(r"## ([A-Z])\. ", line)
            letter = heading.group(1) if heading else None
        row = re.match(r"\| (\d+) \|", line)
        if letter and row:
            found.setdefault(letter, []).append(int(row.group(1)))
    return found


def results(path):
    """{row number: [passed tests, failed tests]}"""
    found = {}
    for line in open(path, encoding="utf-8", errors="replace"):
        result = RESULT.match(line)
        unit = UNITTEST.match(line)
        name, failed = ((result.group(2), result.group(1) == "FAILED") if result else
                        (unit.group(1), unit.group(2) != "ok") if unit else ("", False))
        for number in NUMBER.findall(name):
            found.setdefault(int(number), [0, 0])[failed] += 1
    return found


def main():
    document, log, *excused = sys.argv[1:]
    rows = sections(document)
    tests = results(log)
    bad = False
    for letter, numbers in rows.items():
        proved = [n for n in numbers if tests.get(n, [0, 0])[0] and not tests[n][1]]
        count = sum(tests.get(n, [0, 0])[0] for n in numbers)
        print(f"hostile {letter}: {len(proved)} of {len(numbers)} rows by {count} tests")
        for number in sorted(set(numbers) - set(proved)):
            print(f"hostile {letter}: row {number} is not proved")
            bad = bad or str(number) not in excused
    for number in sorted(set(tests) - {n for numbers in rows.values() for n in numbers}):
        print(f"hostile: row {number} is not in {document}")
        bad = True
    return 1 if bad or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
