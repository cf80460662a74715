#!/usr/bin/env python3
"""Runs a command in the guest that run.py has booted, with this environment and directory, and ends as it does:

    QURING_GUEST=DIR through.py COMMAND [ARGUMENT...]
"""
import contextlib
import fcntl
import json
import os
import socket
import sys
import time


@contextlib.contextmanager
def a_port(directory):
    """A connection to one of the guest's ports that nobody else uses meanwhile."""
    paths = sorted(os.path.join(directory, name) for name in os.listdir(directory)
                   if name.endswith(".port"))
    while True:
        for path in paths:
            with open(path + ".lock", "w", encoding="ascii") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.connect(path)
                    yield sock
                return
        time.sleep(0.05)


def main():
    name = "%s-%d" % (os.urandom(8).hex(), os.getpid())
    request = {"name": name, "argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}
    with a_port(os.environ["QURING_GUEST"]) as sock:
        sock.sendall(json.dumps(request).encode() + b"\n")
        answer = sock.makefile("rb")
        line = answer.readline()
        while line and not line.endswith(b"b %s\n" % name.encode()):  # what others left
            line = answer.readline()
        while line:
            what, _, number = answer.readline().partition(b" ")
            if what == b"x":
                return int(number)
            if what != b"o":
                break
            sys.stdout.buffer.write(answer.read(int(number)))
            sys.stdout.buffer.flush()
        sys.stderr.write("the guest is gone\n")
        return 125


if __name__ == "__main__":
    sys.exit(main())
