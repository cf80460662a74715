#!/usr/bin/env python3
"""The guest's first process: runs what through.py asks for, one command at a time on each port.

A request is a line of JSON: name, argv, cwd, env. The answer: a line "b NAME", lines "o LENGTH", each followed by
that much output, and a line "x STATUS". Who goes away, or begins anew, takes the command along.
"""
import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time

PORTS = "/sys/class/virtio-ports"


def read_request(port):
    request = b""
    while not request.endswith(b"\n"):
        part = os.read(port, 65536)
        if not part:
            time.sleep(0.02)  # nobody is there
        request = request + part if part else b""
    return json.loads(request)


def write(port, data):
    while data:
        data = data[os.write(port, data):]


def serve(port):
    told = read_request(port)
    write(port, b"b %s\n" % told["name"].encode())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        # The host's may be another one by now than this kernel remembers.
        run = subprocess.Popen(told["argv"], cwd=told["cwd"], env=dict(told["env"], TEST_TMPDIR=scratch),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
        watched = select.poll()
        watched.register(port, select.POLLIN)
        watched.register(run.stdout, select.POLLIN)
        while port not in dict(watched.poll()):
            out = os.read(run.stdout.fileno(), 65536)
            if not out:
                status = run.wait()
                write(port, b"x %d\n" % (status if status >= 0 else 128 - status))
                return
            write(port, b"o %d\n" % len(out) + out)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()


def attend(path):
    port = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    while True:
        try:
            serve(port)
        except (OSError, ValueError) as error:
            print(path, error, flush=True)


def main():
    if os.fork() > 0:
        while True:  # orphans of tests are the first process's
            os.wait()
    for name in os.listdir(PORTS):
        threading.Thread(target=attend, args=("/dev/" + name,)).start()
    print("ready", flush=True)


if __name__ == "__main__":
    main()
