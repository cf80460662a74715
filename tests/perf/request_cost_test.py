#!/usr/bin/env python3
"""Instructions per small request and its answer, on either side, against what they may be.

Usage: request_cost_test.py REQUEST_COST [--show]

One request at a time of 64 bytes each way, each on a stream of its own: what one turn of a worker costs
the core, from the datagram in to the datagram out. The same with two seconds in between, after which a
connection is at rest: with giving memory back, and taking it again. The difference of two runs is counted, so that what
comes once counts not at all. See packet_cost_test.py for what the budgets mean; needs valgrind.
"""

import re
import sys

from ratchet import instructions, judge, start

REQUESTS = {0: 2000, 2000: 1000}  # by the milliseconds in between
REST_MS = 2000

# Instructions per request: gcc 12, -O2, x86-64; without encryption. After a rest also of the C library's malloc.
BUDGETS = {
    ("cost_server", 0): 7400,
    ("cost_client", 0): 7200,
    ("cost_server", REST_MS): 14500,
    ("cost_client", REST_MS): 14650,
}


def cost(program, part, requests, pause_ms):
    text, total = instructions([program, str(requests), str(pause_ms)], part,
                               ["free_seal", "free_open"])
    found = re.search(r"(\d+) answers in (\d+) datagrams", text)
    return total, int(found[1]), int(found[2])


def main():
    program, show = start()
    ok = True
    for (part, pause_ms), budget in BUDGETS.items():
        once, answers, datagrams = cost(program, part, REQUESTS[pause_ms], pause_ms)
        twice, more_answers, more_datagrams = cost(program, part, 2 * REQUESTS[pause_ms], pause_ms)
        more_answers -= answers
        name = part + (" at rest" if pause_ms else "")
        ok = judge(name, (twice - once) / more_answers, budget, "instructions per request") and ok
        # The answer carries the acknowledgement of its request, the next request that of the answer, which would be
        # too late after a rest. That of an acknowledgement is asked for now and then (RFC 9000 13.2.4).
        wanted, slack = (3.1, 0.1) if pause_ms else (2, 0)
        ok = judge("datagrams", (more_datagrams - datagrams) / more_answers, wanted, "per request", slack) and ok
    return 0 if show or ok else 1


if __name__ == "__main__":
    sys.exit(main())
