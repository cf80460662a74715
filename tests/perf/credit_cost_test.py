#!/usr/bin/env python3
"""Instructions per KiB that a server sends on many streams which wait for the connection's credit: as many with a
thousand of them as with ten.

Usage: credit_cost_test.py CREDIT_COST [--show]

The client raises MAX_DATA by 8 KiB at a time. The difference of two runs is counted, so that what comes once counts
not at all; see packet_cost_test.py for what the budgets mean; needs valgrind.
"""

import re
import sys

from ratchet import instructions, judge, start

KIB = 500
FEW, MANY = 10, 1000

# Of MANY streams' instructions to those of FEW.
BUDGETS = {
    "cost_recv": 1.2, # with few, what is acknowledged in a row is one stream's, and taken in one go
    "cost_send": 1.0,
}
SLACK = 0.15


def cost(program, part, streams, kib):
    text, total = instructions([program, str(streams), str(kib)], part, ["free_seal", "free_open"])
    return total, int(re.search(r"(\d+) bytes", text)[1]) / 1024


def per_kib(program, part, streams):
    once, arrived = cost(program, part, streams, KIB)
    twice, more = cost(program, part, streams, 2 * KIB)
    return (twice - once) / (more - arrived)


def main():
    program, show = start()
    ok = True
    for part, budget in BUDGETS.items():
        few = per_kib(program, part, FEW)
        many = per_kib(program, part, MANY)
        print("%-16s %10.1f and %.1f instructions per KiB" % (part, few, many))
        ok = judge(part, many / few, budget, "of those of %d streams" % FEW, SLACK) and ok
    return 0 if show or ok else 1


if __name__ == "__main__":
    sys.exit(main())
