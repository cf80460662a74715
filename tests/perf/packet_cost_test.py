#!/usr/bin/env python3
"""Instructions per packet of bulk data, part by part, against what they may be.

Usage: packet_cost_test.py PACKET_COST [--show]

The numbers of instructions are exact for one compiler, so a change that makes the packet path longer
shows at once, on any machine, however busy. A part that got shorter by more than the slack fails, too:
its budget is to be lowered, so that the gain stays. --show only prints. Needs valgrind.
"""

import re
import sys

from ratchet import instructions, judge, start

BYTES = 8000000

# Instructions per datagram of 1452 bytes: gcc 12, -O2, x86-64; without encryption and the copy it makes.
BUDGETS = {
    "cost_write": 2,      # the application lends 256 KiB at a time
    "cost_send": 475,     # packets into trains of 44
    "cost_recv": 467,     # one receive unit of 44
    "cost_read": 16,      # events, peek, consume
    "cost_ack_send": 50,  # one ACK per train
    "cost_ack_recv": 212, # and what it does at the sender
}
# The same from a client that was given a ticket to a server, whose handshake is among what it receives.
BUDGETS_UP = {
    "cost_send": 479,
    "cost_recv": 491,
    "cost_ack_recv": 202,
}
NOT_COUNTED = {"cost_send": ["free_seal"], "cost_recv": ["free_open"]}


def main():
    program, show = start()
    ok = True
    for way, budgets in ("down", BUDGETS), ("up", BUDGETS_UP):
        for part, budget in budgets.items():
            text, total = instructions([program, str(BYTES), way], part, NOT_COUNTED.get(part, ()))
            found = re.search(r"in (\d+) datagrams", text)
            name = part if way == "down" else part + ", up"
            ok = judge(name, total / int(found[1]), budget, "instructions per packet") and ok
    return 0 if show or ok else 1


if __name__ == "__main__":
    sys.exit(main())
