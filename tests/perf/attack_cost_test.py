#!/usr/bin/env python3
"""Instructions of a server per datagram of a client that wants its time, against what they may be.

Usage: attack_cost_test.py ATTACK_COST [--show]

An ordinary datagram, full and in order, is `bulk`. What a datagram costs may depend on how many frames are in it, but
not on what the client has built up before. The difference of two runs is counted, so that what comes once counts
not at all; see packet_cost_test.py for what the budgets mean; needs valgrind.
"""

import re
import sys

from ratchet import instructions, judge, start

DATAGRAMS = 50

# Instructions per datagram by class and state: gcc 12, -O2, x86-64; without encryption.
BUDGETS = {
    ("bulk", 0): 4000,
    ("bytes", 0): 67000,         # 250 frames
    ("gaps", 250): 186700,       # 400 frames, half of which move 250 ranges by one
    ("ranges", 10000): 8300,     # four frames
    ("growth", 1048576): 20500,  # 115 bytes
    ("requests", 200): 1066000,  # 200 streams that come and go
    ("datagrams", 1): 236600,    # 680 frames
}
SLACK = 0.1


def cost(program, name, state, datagrams):
    text, total = instructions([program, name, str(state), str(datagrams)], "cost_server",
                               ["free_seal", "free_open"])
    return total, int(re.search(r"(\d+) datagrams", text)[1])


def per_datagram(program, name, state):
    once, datagrams = cost(program, name, state, DATAGRAMS)
    twice, more = cost(program, name, state, 2 * DATAGRAMS)
    return (twice - once) / (more - datagrams)


def main():
    program, show = start()
    ok = True
    for (name, state), budget in BUDGETS.items():
        each = per_datagram(program, name, state)
        ok = judge("%s %d" % (name, state), each, budget, "instructions per datagram",
                   budget * SLACK) and ok
    return 0 if show or ok else 1


if __name__ == "__main__":
    sys.exit(main())
