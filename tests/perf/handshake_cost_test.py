#!/usr/bin/env python3
"""What a handshake asks of a server besides TLS and encryption, part by part, against what it may.

Usage: handshake_cost_test.py HANDSHAKE_COST [--show]

A connection that is opened, confirmed and closed: instructions of the server's parts, counted by callgrind,
blocks of memory, AEAD contexts and datagrams. See packet_cost_test.py. Needs valgrind.
"""

import re
import sys

from ratchet import instructions, judge, start

COUNT = 200

# Instructions per handshake: gcc 12, -O2, x86-64; the scripted TLS's own are among them, those of libcrypto
# are not.
PARTS = {
    "cost_recv": 95000,    # three datagrams: the connection, its keys, the handshake, the close
    "cost_events": 3200,   # CONNECTED, CLOSED
    "cost_send": 15550,    # two datagrams; the tombstone
    "cost_timeout": 1717,  # its end
}
COUNTS = {
    "blocks": 38,   # of the core's memory
    "contexts": 7,  # AEAD contexts: two per level, and the next key phase's
    "sent": 2,      # datagrams
    "received": 3,
}


def main():
    program, show = start()
    ok = True
    text = ""
    for part, budget in PARTS.items():
        text, cost = instructions([program, str(COUNT)], part, library="libcrypto")
        ok = judge(part, cost / COUNT, budget, "instructions per handshake") and ok
    for name, budget in COUNTS.items():
        cost = int(re.search(r"\b%s (\d+)" % name, text)[1])
        ok = judge(name, cost / COUNT, budget, "per handshake", 0.1) and ok
    return 0 if show or ok else 1


if __name__ == "__main__":
    sys.exit(main())
