#!/usr/bin/env python3
"""Runs the draft's programs, server and client, to their last line.

    appendix_test.py APPENDIX_A APPENDIX_B LIBQUIC_ENGINE.SO [RUNS]
"""
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
import programs

STREAMS, SESSIONS, ENGINE = "", "", ""
RUNS = 20
SESSION_RUNS = 3 # each sleeps two seconds
LIMIT_S = 30

EXPECTED_SERVER = [
    'recv: "hello quic server stream 0!", len: 27, sid: 0',
    'recv: "hello quic server stream 2!", len: 27, sid: 2',
    "send 27, sid: 1",
]
EXPECTED_CLIENT = [
    "send 16, len: 27, sid: 0",
    "send 16, len: 27, sid: 2",
    'recv: "hello quic client stream 1!", len: 27, sid: 1',
]
SESSION_SERVER = [
    'recv: "hello quic server!", len: 18',
    "send 18",
    "wait for the client next connection...",
    'recv: "hello quic server, I\'m back!", len: 28',
    "send 32",
]
SESSION_CLIENT = [
    "send 18",
    'recv: "hello quic client!", len: 18',
    "start new connection with the session ticket used...",
    "send 28",
    'recv: "hello quic client! welcome back!", len: 32',
]



class Appendix(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.key, self.cert = programs.make_identity(self.scratch.name)
        self.env = dict(os.environ, QUIC_ENGINE=ENGINE, SSL_CERT_FILE=self.cert)

    def tearDown(self):
        self.scratch.cleanup()

    def run_pair(self, program):
        port = programs.free_port()
        server = subprocess.Popen([program, "server", "127.0.0.1", str(port), self.key, self.cert],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env,
                                  universal_newlines=True)
        try:
            until = time.monotonic() + LIMIT_S
            while not programs.is_bound(port) and time.monotonic() < until:
                time.sleep(0.01)
            client = subprocess.run([program, "client", "127.0.0.1", str(port)],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env,
                                    universal_newlines=True, timeout=LIMIT_S, check=False)
            out, _ = server.communicate(timeout=LIMIT_S)
        finally:
            server.kill()
        self.assertEqual(client.returncode, 0, client.stdout)
        self.assertEqual(server.returncode, 0, out)
        return client.stdout.splitlines(), out.splitlines()

    def test_multi_streaming(self):
        for _ in range(RUNS):
            client, server = self.run_pair(STREAMS)
            self.assertEqual(client, EXPECTED_CLIENT)
            self.assertEqual(server, EXPECTED_SERVER)

    def test_session_and_zero_rtt(self):
        self.env["QUIC_LOG"] = "2"
        for _ in range(SESSION_RUNS):
            client, server = self.run_pair(SESSIONS)
            said = [line for line in client if not line.startswith("quic: ")]
            match = re.fullmatch(r"get the session ticket (\d+) and transport param (\d+) and "
                                 r"token (\d+), save it", said[0])
            self.assertTrue(match, client)
            for number in match.groups():
                self.assertGreater(int(number), 0)
            self.assertEqual(said[1:], SESSION_CLIENT)
            self.assertEqual([line for line in server if not line.startswith("quic: ")],
                             SESSION_SERVER)
            early = [line for line in server if "0-RTT" in line]
            self.assertEqual(len(early), 1, server)


if __name__ == "__main__":
    STREAMS, SESSIONS, ENGINE = (os.path.abspath(path) for path in sys.argv[1:4])
    if len(sys.argv) > 4:
        RUNS = SESSION_RUNS = int(sys.argv[4])
    unittest.main(argv=sys.argv[:1])
