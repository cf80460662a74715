#!/usr/bin/env python3
"""Runs the example servers and the client against each other.

    examples_test.py ECHO_SERVER ECHO_CLIENT FILE_SERVER
"""
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

SERVER, CLIENT, FILES = "", "", ""
DEADLINE_S = 60

# Names localhost and 127.0.0.1, signed by itself; valid until 2126. For this test only.
CERT = """-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUJOPqDr/S6AuaEzpF16LV56STgdAwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzEyNTQyNVoYDzIxMjYxMDMw
MTI1NDI1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASkzcuhimbEU6YIryMfSu62vaIYGm1qWo2HLhiEuMCiNaNCFCTxsoN+
KcK5CIWTrLLsahA47ilXYp4GQTq8mx/ho28wbTAdBgNVHQ4EFgQUiys+OzZ6ClbI
jxCgLqV4jFcQ89MwHwYDVR0jBBgwFoAUiys+OzZ6ClbIjxCgLqV4jFcQ89MwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDRwAwRAIgAQH8oaTVJHNmzNqL9LmRIzGVG9wYmc+719cTpI8zddICIG4/
vIk+x/JE/x7NcUPi14qcgcEOfSjeyhBf62uu6iFi
-----END CERTIFICATE-----
"""
KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/v3q9uWjiQ/4PUfp
TLNe/NG6DdGHlKHdoQesAy4H/wihRANCAASkzcuhimbEU6YIryMfSu62vaIYGm1q
Wo2HLhiEuMCiNaNCFCTxsoN+KcK5CIWTrLLsahA47ilXYp4GQTq8mx/h
-----END PRIVATE KEY-----
"""


def run(program, *args, **env):
    """Runs to the end; returns (exit status, stdout, stderr)."""
    done = subprocess.run((program,) + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=DEADLINE_S, check=False,
                          env=dict(os.environ, **env))
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Server:
    """A running server; `at` is its address."""

    def __init__(self, address, *args, program=None, stderr=None):
        self.process = subprocess.Popen((program or SERVER, address) + args,
                                        stdout=subprocess.PIPE, stderr=stderr)
        ready = select.select([self.process.stdout], [], [], DEADLINE_S)[0]
        line = self.process.stdout.readline().decode() if ready else ""
        if not line.startswith("listening on "):
            self.end(signal.SIGKILL)
            raise AssertionError("the server said: %r" % line)
        self.at = line.split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGKILL)

    def end(self, number=signal.SIGINT):
        """Sends the signal; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.stdout.close()
        return self.process.wait(DEADLINE_S)


class Echo(unittest.TestCase):
    def expect_echo(self, at, text):
        status, out, err = run(CLIENT, at, text, "--insecure")
        self.assertEqual((status, out), (0, text + "\n"), err)

    def test_texts_come_back(self):
        with Server("127.0.0.1:0") as server:
            for text in ("hello", "", "two words", "gr\u00fc\u00df", "x" * 120000):
                self.expect_echo(server.at, text)
        with Server("localhost:0") as server:  # whichever family comes first
            self.expect_echo("localhost:" + server.at.rsplit(":", 1)[1], "by name")

    def test_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                probe.bind(("::1", 0))
        except OSError:
            self.skipTest("this machine has no IPv6")
        with Server("[::1]:0") as server:
            self.expect_echo(server.at, "six")

    def test_clients_at_once(self):
        with Server("127.0.0.1:0") as server:
            clients = [subprocess.Popen((CLIENT, server.at, "client %d" % i, "--insecure"),
                                        stdout=subprocess.PIPE) for i in range(8)]
            for i, client in enumerate(clients):
                out = client.communicate(timeout=DEADLINE_S)[0]
                self.assertEqual((client.returncode, out), (0, b"client %d\n" % i))

    def test_signals_end_the_server(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with Server("127.0.0.1:0") as server:
                self.assertEqual(server.end(number), 0)


class Certificates(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cert = os.path.join(folder.name, "cert.pem")
        self.key = os.path.join(folder.name, "key.pem")
        for path, text in ((self.cert, CERT), (self.key, KEY)):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)

    def test_a_trusted_server_is_verified(self):
        for host in ("127.0.0.1", "localhost"):
            with Server(host + ":0", "--cert", self.cert, "--key", self.key) as server:
                at = host + ":" + server.at.rsplit(":", 1)[1]
                status, out, err = run(CLIENT, at, "hello", SSL_CERT_FILE=self.cert)
                self.assertEqual((status, out, err), (0, "hello\n", ""))

    def test_a_stranger_is_refused(self):
        with Server("127.0.0.1:0") as server:
            status, out, err = run(CLIENT, server.at, "hello", SSL_CERT_FILE=self.cert)
            self.assertEqual((status, out), (1, ""))
            self.assertRegex(err, "^echo_client: TLS handshake failed: .+\n$")

    def test_missing_files(self):
        for args in (("/nonexistent/c.pem", self.key), (self.cert, "/nonexistent/k.pem")):
            status, out, err = run(SERVER, "127.0.0.1:0", "--cert", args[0], "--key", args[1])
            self.assertEqual((status, out), (1, ""))
            self.assertRegex(err, "^echo_server: .*/nonexistent/.*\n$")


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.join(folder.name, "files")
        os.mkdir(self.folder)
        self.cert = self.write(os.path.join(folder.name, "cert.pem"), CERT.encode())
        self.key = self.write(os.path.join(folder.name, "key.pem"), KEY.encode())

    def write(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def serve(self, *args, **kwargs):
        return Server("127.0.0.1:0", self.folder, self.cert, self.key, *args, program=FILES,
                      **kwargs)

    def fetch(self, at, name):
        return subprocess.Popen((CLIENT, at, name), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=dict(os.environ, SSL_CERT_FILE=self.cert))

    def expect_file(self, at, name, data):
        client = self.fetch(at, name)
        out, err = client.communicate(timeout=DEADLINE_S)
        self.assertEqual((client.returncode, err), (0, b""))
        self.assertTrue(out == data + b"\n", name)  # the client ends the line

    def test_files(self):
        big = os.urandom(5000000)
        self.write("big", big)
        self.write("empty", b"")
        with self.serve() as server:
            self.expect_file(server.at, "big", big)
            self.expect_file(server.at, "empty", b"")
            for name in ("missing", "../key.pem", self.key, ".", "x" * 300):
                client = self.fetch(server.at, name)
                out, err = client.communicate(timeout=DEADLINE_S)
                self.assertEqual((client.returncode, out), (1, b""), name)
                self.assertIn(b"the server has reset the stream", err)

    def test_certificates_are_read_again(self):
        self.write("file", b"text")
        with self.serve("other.test", self.cert, self.key, stderr=subprocess.PIPE) as server:
            with server.process.stderr as said:
                for key, line in ((CERT, b"the old certificates stay: "),
                                  (KEY, b"certificates read again\n")):
                    self.write(self.key, key.encode())
                    server.process.send_signal(signal.SIGHUP)
                    self.assertIn(line, said.readline())
                    self.expect_file(server.at, "file", b"text")

    def test_a_transfer_ends_before_the_server(self):
        big = os.urandom(30000000)
        self.write("big", big)
        with self.serve() as server:
            client = self.fetch(server.at, "big")
            out = client.stdout.read(1000)  # it has begun, and is far from its end
            server.process.send_signal(signal.SIGTERM)
            out += client.stdout.read()
            err = client.communicate(timeout=DEADLINE_S)[1]
            self.assertEqual((client.returncode, err), (0, b""))
            self.assertTrue(out == big + b"\n")
            self.assertEqual(server.process.wait(DEADLINE_S), 0)


class Mistakes(unittest.TestCase):
    def expect_usage(self, program, *args):
        status, out, err = run(program, *args)
        self.assertEqual((status, out), (2, ""))
        self.assertRegex(err, "^usage: echo_[a-z]+ .*\n$")

    def test_wrong_arguments(self):
        for args in ((), ("--help",), ("127.0.0.1:0", "more"), ("127.0.0.1:0", "--cert", "c.pem"),
                     ("127.0.0.1:0", "--cert", "c.pem", "--kye", "k.pem")):
            self.expect_usage(SERVER, *args)
        for args in ((), ("127.0.0.1:1",), ("127.0.0.1:1", "text", "--unsafe"),
                     ("127.0.0.1:1", "text", "--insecure", "more")):
            self.expect_usage(CLIENT, *args)

    def test_address_in_use(self):
        with Server("127.0.0.1:0") as server:
            status, out, err = run(SERVER, server.at)
            self.assertEqual((status, out), (1, ""))
            self.assertRegex(err, "^echo_server: .*%s.*\n$" % server.at)

    def test_no_such_host(self):
        for program, args in ((SERVER, ("not an address",)), (CLIENT, ("not an address", "text"))):
            status, out, err = run(program, *args)
            self.assertEqual((status, out), (1, ""))
            self.assertRegex(err, "^echo_[a-z]+: .+\n$")

    def test_nobody_there(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            at = "127.0.0.1:%d" % silent.getsockname()[1]
            status, out, err = run(CLIENT, at, "text", "--insecure")
            self.assertEqual((status, out), (1, ""))
            self.assertIn("echo_client: no complete handshake in time", err)


if __name__ == "__main__":
    SERVER, CLIENT, FILES = (os.path.abspath(path) for path in sys.argv[1:4])
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
