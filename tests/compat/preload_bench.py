#!/usr/bin/env python3
"""What libquic.so, preloaded, costs programs that know nothing of QUIC: iperf3 over TCP, and small calls of
a Python program, with it and without, in turns; the ratio of the medians.

    preload_bench.py LIBQUIC.SO LIBQUIC_ENGINE.SO [ROUNDS]
"""
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time

# Two processes pass a byte to and fro.
PING = r"""
import os, socket, time
a, b = socket.socketpair()
count = 30000
if os.fork() == 0:
    for _ in range(count):
        b.sendall(b.recv(1))
    os._exit(0)
begin = time.perf_counter()
for _ in range(count):
    a.sendall(b"x")
    a.recv(1)
print(count / (time.perf_counter() - begin))
"""


def environment(library, engine):
    env = dict(os.environ, QUIC_ENGINE=engine)
    if library is not None:
        env["LD_PRELOAD"] = library
    return env


def iperf3(env):
    """Bits per second."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    server = subprocess.Popen(["iperf3", "-s", "-1", "-p", port], env=env,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            done = subprocess.run(["iperf3", "-c", "127.0.0.1", "-p", port, "-t", "1", "-J"],
                                  env=env, stdout=subprocess.PIPE, check=False)
            report = json.loads(done.stdout)
            if "unable to connect" not in report.get("error", ""):
                return report["end"]["sum_received"]["bits_per_second"]
            time.sleep(0.02)
    finally:
        server.kill()
        server.wait()


def ping(env):
    """Round trips per second."""
    return float(subprocess.run([sys.executable, "-c", PING], env=env, stdout=subprocess.PIPE,
                                check=True).stdout)


def main():
    library, engine = (os.path.abspath(path) for path in sys.argv[1:3])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    for name, measure in (("iperf3, bit/s", iperf3), ("round trips/s", ping)):
        if measure is iperf3 and shutil.which("iperf3") is None:
            print("%-14s not installed" % name)
            continue
        plain, loaded = [], []
        for _ in range(rounds):
            plain.append(measure(environment(None, engine)))
            loaded.append(measure(environment(library, engine)))
        ratio = statistics.median(loaded) / statistics.median(plain)
        print("%-14s plain %.4g, preloaded %.4g, ratio %.3f"
              % (name, statistics.median(plain), statistics.median(loaded), ratio))


if __name__ == "__main__":
    main()
