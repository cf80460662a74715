#!/usr/bin/env python3
"""Runs the example programs of examples/sockets against each other.

    examples_test.py ECHO_TCP_STYLE EPOLL_SERVER FORK_SERVER STREAMS LIBQUIC_ENGINE.SO
"""
import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
import programs

ECHO, EPOLL, FORK, STREAMS, ENGINE = "", "", "", "", ""
LIMIT_S = 30



class Examples(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.key, self.cert = programs.make_identity(self.scratch.name)
        self.env = dict(os.environ, QUIC_ENGINE=ENGINE, SSL_CERT_FILE=self.cert)
        self.port = str(programs.free_port())
        self.server = None

    def tearDown(self):
        if self.server is not None:
            self.server.kill()
            self.server.wait()
        self.scratch.cleanup()

    def serve(self, *command, **options):
        self.server = subprocess.Popen([*command, "127.0.0.1", self.port, self.key, self.cert],
                                       env=self.env, **options)
        until = time.monotonic() + LIMIT_S
        while not programs.is_bound(int(self.port)) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.1)

    def ask(self, program, *words):
        done = subprocess.run([program, "client", "127.0.0.1", self.port, *words], env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, timeout=LIMIT_S, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_echo(self):
        self.serve(ECHO, "server")
        for text in ("hello", "x" * 4000):
            self.assertEqual(self.ask(ECHO, text), text + "\n")

    def test_streams(self):
        self.serve(STREAMS, "server")
        self.assertEqual(self.ask(STREAMS, "one", "two", "three"),
                         "stream 0: ONE\nstream 4: TWO\nstream 8: THREE\n")

    def serves_eight(self, server):
        self.serve(server)
        clients = [subprocess.Popen([ECHO, "client", "127.0.0.1", self.port, "client %d" % i],
                                    env=self.env, stdout=subprocess.PIPE, universal_newlines=True)
                   for i in range(8)]
        for i, client in enumerate(clients):
            out, _ = client.communicate(timeout=LIMIT_S)
            self.assertEqual(out, "client %d\n" % i)

    def test_epoll_server(self):
        self.serves_eight(EPOLL)

    def test_fork_server(self):
        self.serves_eight(FORK)

    def test_settings_that_are_none(self):
        self.env.update(QUIC_LOG="1", QUIC_IO="iocp", QUIC_WORKERS="4 or so")
        self.serve(ECHO, "server", stderr=subprocess.PIPE, universal_newlines=True)
        self.assertEqual(self.ask(ECHO, "hello"), "hello\n")
        self.server.kill()
        said = self.server.communicate()[1]
        self.assertIn("QUIC_IO=iocp does not count: allowed are uring and epoll", said)
        self.assertIn("QUIC_WORKERS=4 or so does not count: allowed are 1..64", said)

    def test_no_server(self):
        done = subprocess.run([ECHO, "client", "127.0.0.1"], env=self.env, check=False,
                              stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    ECHO, EPOLL, FORK, STREAMS, ENGINE = (os.path.abspath(path) for path in sys.argv[1:6])
    unittest.main(argv=sys.argv[:1])
