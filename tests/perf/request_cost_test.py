#!/usr/bin/env python3
"""Instructions per small request and its answer, on either side, against what they may be.

Usage: request_cost_test.py REQUEST_COST [--show]

One request at a time of 64 bytes each way, each on a stream of its own: what one turn of a worker costs
the core, from the datagram in to the datagram out. The difference of two runs is counted, so that what
comes once counts not at all. See packet_cost_test.py for what the budgets mean; needs valgrind.
"""

import os
import re
import shutil
import sys

from ratchet import instructions, judge

REQUESTS = 2000

# Instructions per request: gcc 12, -O2, x86-64; without encryption.
BUDGETS = {
    "cost_server": 7650,
    "cost_client": 7430,
}


def cost(program, part, requests):
    text, total = instructions([program, str(requests)], part, ["free_seal", "free_open"])
    found = re.search(r"(\d+) answers in (\d+) datagrams", text)
    return total, int(found[1]), int(found[2])


def main():
    program = os.path.abspath(sys.argv[1])
    show = "--show" in sys.argv[2:]
    if shutil.which("valgrind") is None:
        print("skipped: no valgrind here")
        return 77 if show else 0
    ok = True
    for part, budget in BUDGETS.items():
        once, answers, datagrams = cost(program, part, REQUESTS)
        twice, more_answers, more_datagrams = cost(program, part, 2 * REQUESTS)
        more_answers -= answers
        ok = judge(part, (twice - once) / more_answers, budget, "instructions per request") and ok
        # The answer carries the acknowledgement of its request, the next request that of the answer.
        ok = judge("datagrams", (more_datagrams - datagrams) / more_answers, 2, "per request", 0) and ok
    return 0 if show or ok else 1


if __name__ == "__main__":
    sys.exit(main())
