#!/usr/bin/env python3
"""Instructions per packet of bulk data, part by part, against what they may be.

Usage: packet_cost_test.py PACKET_COST [--show]

The numbers of instructions are exact for one compiler, so a change that makes the packet path longer
shows at once, on any machine, however busy. A part that got shorter by more than the slack fails, too:
its budget is to be lowered, so that the gain stays. --show only prints. Needs valgrind.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

BYTES = 8000000

# Instructions per datagram of 1452 bytes: gcc 12, -O2, x86-64; without encryption and the copy it makes.
BUDGETS = {
    "cost_write": 2,      # the application lends 256 KiB at a time
    "cost_send": 1260,    # packets into trains of 44
    "cost_recv": 898,     # one receive unit of 44
    "cost_read": 16,      # events, peek, consume
    "cost_ack_send": 63,  # one ACK per train
    "cost_ack_recv": 386, # and what it does at the sender
}
NOT_COUNTED = {"cost_send": ["free_seal"], "cost_recv": ["free_open"]}
SLACK = 0.04


def measure(program, part, folder):
    out = os.path.join(folder, part)
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=" + part,
         *("--toggle-collect=" + name for name in NOT_COUNTED.get(part, ())),
         "--callgrind-out-file=" + out, program, str(BYTES)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=300,
        check=False)
    found = re.search(r"in (\d+) datagrams", run.stdout)
    if run.returncode != 0 or not found:
        sys.exit("packet_cost failed: %s%s" % (run.stdout, run.stderr))
    with open(out, encoding="utf-8") as file:
        total = re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M)
    return int(total[1]) / int(found[1])


def main():
    program = os.path.abspath(sys.argv[1])
    show = "--show" in sys.argv[2:]
    if shutil.which("valgrind") is None:
        print("skipped: no valgrind here")
        return 77 if show else 0
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for part, budget in BUDGETS.items():
            cost = measure(program, part, folder)
            verdict = "ok"
            if cost > budget * (1 + SLACK) + 1:
                verdict = "TOO MANY"
            elif cost < budget * (1 - SLACK) - 1:
                verdict = "LESS: lower the budget"
            wrong += verdict != "ok"
            print("%-14s %8.1f instructions per packet, budget %6d  %s" % (part, cost, budget, verdict))
    return 0 if show or wrong == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
