#!/usr/bin/env python3
"""What libquic.so, preloaded, costs programs that know nothing of QUIC: iperf3 over TCP, curl and Python over
TLS, an epoll server, and small calls of a Python program, with it and without, in turns: the ratio within
each pair of runs, its median and its quartiles. A machine that others use too changes its speed by more than
what is looked for here, but less within one pair.

    preload_bench.py LIBQUIC.SO LIBQUIC_ENGINE.SO [ROUNDS]
"""
import json
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import programs

BODY_BYTES = 128 << 20

# Two processes pass a byte to and fro.
PING = r"""
import os, socket, time
a, b = socket.socketpair()
count = 15000
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

# A server on epoll answers eight clients, processes too, which ask 2,000 times each.
EPOLL = r"""
import os, select, socket, time
listener = socket.create_server(("127.0.0.1", 0))
clients, count = 8, 2000
for _ in range(clients):
    if os.fork() == 0:
        with socket.create_connection(listener.getsockname()) as s:
            for _ in range(count):
                s.sendall(b"x" * 64)
                s.recv(64)
        os._exit(0)
epoll, sockets = select.epoll(), {}
for _ in range(clients):
    s, _ = listener.accept()
    sockets[s.fileno()] = s
    epoll.register(s, select.EPOLLIN)
begin = time.perf_counter()
while sockets:
    for fd, _ in epoll.poll():
        data = sockets[fd].recv(1000)
        if data:
            sockets[fd].sendall(data)
        else:
            sockets.pop(fd).close()
print(clients * count / (time.perf_counter() - begin))
"""

# A body over Python's TLS.
TLS = r"""
import socket, ssl, sys, time
context = ssl.create_default_context(cafile=sys.argv[2])
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as raw:
    with context.wrap_socket(raw, server_hostname="localhost") as tls:
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
        begin, length, room = time.perf_counter(), 0, bytearray(262144)
        while True:
            got = tls.recv_into(room)
            if got == 0:
                break
            length += got
print(8 * length / (time.perf_counter() - begin))
"""


class HttpsServer(threading.Thread):
    """Answers every request with the same large body; libquic.so is not loaded here."""

    def __init__(self, scratch):
        super().__init__(daemon=True)
        key, self.cert = programs.make_identity(scratch)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.cert, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        part = bytes(1 << 20)
        while True:
            raw, _ = self.listener.accept()
            try:
                with self.context.wrap_socket(raw, server_side=True) as tls:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        request += tls.recv(4096)
                    tls.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES)
                    for _ in range(BODY_BYTES // len(part)):
                        tls.sendall(part)
            except OSError:
                pass


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
            done = subprocess.run(["iperf3", "-c", "127.0.0.1", "-p", port, "-n", "500M", "-J"],
                                  env=env, stdout=subprocess.PIPE, check=False)
            report = json.loads(done.stdout)
            if "unable to connect" not in report.get("error", ""):
                return report["end"]["sum_received"]["bits_per_second"]
            time.sleep(0.02)
    finally:
        server.kill()
        server.wait()


def printed(env, *command):
    """The figure a program prints."""
    return float(subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True).stdout)


def ping(env):
    """Round trips per second."""
    return printed(env, sys.executable, "-c", PING)


def epoll(env):
    """Requests per second."""
    return printed(env, sys.executable, "-c", EPOLL)


def main():
    library, engine = (os.path.abspath(path) for path in sys.argv[1:3])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 15
    with tempfile.TemporaryDirectory() as scratch:
        https = HttpsServer(scratch)

        def curl(env):
            return 8 * printed(env, "curl", "-sS", "--http1.0", "--cacert", https.cert, "-o", "/dev/null",
                               "-w", "%{speed_download}", "https://localhost:%d/" % https.port)

        def python_tls(env):
            return printed(env, sys.executable, "-c", TLS, str(https.port), https.cert)

        for name, program, measure in (
                ("iperf3, bit/s", "iperf3", iperf3),
                ("curl, https, bit/s", "curl", curl),
                ("Python, TLS, bit/s", sys.executable, python_tls),
                ("epoll server, requests/s", sys.executable, epoll),
                ("two processes, round trips/s", sys.executable, ping)):
            if shutil.which(program) is None:
                print("%-28s %s is not installed" % (name, program))
                continue
            figures = {None: [], library: []}
            for turn in range(rounds):
                for which in (None, library) if turn % 2 == 0 else (library, None):
                    figures[which].append(measure(environment(which, engine)))
            plain, loaded = figures[None], figures[library]
            low, median, high = statistics.quantiles([b / a for a, b in zip(plain, loaded)], n=4)
            print("%-28s plain %.4g, preloaded %.4g, ratio %.3f (%.3f to %.3f)"
                  % (name, statistics.median(plain), statistics.median(loaded), median, low, high),
                  flush=True)


if __name__ == "__main__":
    main()
