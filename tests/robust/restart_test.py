#!/usr/bin/env python3
"""A server is killed and started again: with the same root secret it resets the connections it has
forgotten, and takes the Retry tokens of its predecessor; with another secret it does neither.

Usage: restart_test.py QUICPERF
"""

import os
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import harness
from harness import check

FORGOTTEN = "has forgotten the connection (stateless reset)"


class Killed(harness.Server):
    """A server that is killed, so that it says farewell to nobody."""

    def kill(self):
        self.process.kill()
        self.process.communicate()


def secret_file(folder, name, fill):
    path = os.path.join(folder, name)
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write(fill * 32)
    return path


def successor(quicperf, port, *args):
    """A server at the same port; the kernel may take a moment to give it back."""
    for _ in range(100):
        try:
            return harness.Server(quicperf, *args, port=port)
        except harness.Failed as error:
            if "in use" not in str(error):
                raise
            time.sleep(0.1)
    raise harness.Failed("port %d stays in use" % port)


def client_of(quicperf, port, *args):
    return subprocess.Popen([quicperf, "client", "127.0.0.1:%d" % port, *args],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)


def old_connection(quicperf, folder, same):
    """A client in mid transfer while its server dies and comes back."""
    first = secret_file(folder, "a", "1a")
    second = first if same else secret_file(folder, "b", "2b")
    server = Killed(quicperf, "--secret", first)
    client = client_of(quicperf, server.port, "rr", "-t", "50s", "-i", "100ms", "--idle-timeout", "8s")
    check(" rr " in client.stdout.readline(), "the client does not run")
    server.kill()
    with successor(quicperf, server.port, "--secret", second):
        began = time.time()
        _, err = client.communicate(timeout=harness.LIMIT_S)
    check(client.returncode == 1, "the client ended with %d: %s" % (client.returncode, err))
    check((FORGOTTEN in err) == same, "the client said %r" % err)
    return "%.1f s" % (time.time() - began)


def retry_token(quicperf, folder, same):
    """A client whose Retry token comes back to the next server."""
    first = secret_file(folder, "a", "1a")
    second = first if same else secret_file(folder, "b", "2b")
    server = Killed(quicperf, "--retry", "--secret", first)
    front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    front.bind(("127.0.0.1", 0))
    front.settimeout(10)
    back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    back.connect(("127.0.0.1", server.port))
    back.settimeout(10)
    client = client_of(quicperf, front.getsockname()[1], "rr", "-q", "-n", "10", "--timeout", "9s")
    initial, peer = front.recvfrom(65536)
    back.send(initial)
    retry = back.recv(65536)
    check(retry[0] & 0xf0 == 0xf0, "the answer is no Retry: %02x" % retry[0])
    server.kill()
    with successor(quicperf, server.port, "--retry", "--secret", second):
        front.sendto(retry, peer)
        front.settimeout(0.005)
        back.settimeout(0.005)
        while client.poll() is None:
            for here, there in (front, back.send), (back, lambda data: front.sendto(data, peer)):
                try:
                    there(here.recv(65536))
                except OSError:
                    pass
        _, err = client.communicate()
    check((client.returncode == 0) == same, "the client ended with %d: %s" % (client.returncode, err))
    check(same or "error 0xb" in err, "the client said %r" % err)  # INVALID_TOKEN
    front.close()
    back.close()


def main():
    quicperf = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        harness.main([
            ("old connection, same secret", lambda: old_connection(quicperf, folder, True)),
            ("old connection, another secret", lambda: old_connection(quicperf, folder, False)),
            ("Retry token, same secret", lambda: retry_token(quicperf, folder, True)),
            ("Retry token, another secret", lambda: retry_token(quicperf, folder, False)),
        ])


if __name__ == "__main__":
    main()
