#!/usr/bin/env python3
"""quicperf server --tcp and SIGHUP: both sides serve the new certificate, or both the old one.

Usage: reload_test.py QUICPERF
"""

import errno
import os
import shutil
import signal
import tempfile
import threading
import unittest

from harness import Server, make_certificate, quicperf


class Feeder:
    """A file that is not the same each time: who opens `path` reads the next of the texts, the last one forever."""

    def __init__(self, path):
        self.path = path
        self.texts = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.feed)
        os.mkfifo(path)

    def feed(self):
        while not self.ended.wait(0.01):
            try:
                fd = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                assert error.errno == errno.ENXIO  # nobody reads
                continue
            # Each reading has a pipe of its own: in one of both a slow reader, who has not seen the end yet, would get
            # the next one's text, too.
            os.mkfifo(self.path + ".next")
            os.rename(self.path + ".next", self.path)
            try:
                with os.fdopen(fd, "w") as file:
                    file.write(self.texts[0])
            except BrokenPipeError:
                continue  # it was about to leave
            if len(self.texts) > 1:
                self.texts.pop(0)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.ended.set()
        self.thread.join()


class Reload(unittest.TestCase):
    def trusts(self, server, anchor):
        target = "127.0.0.1:%d" % server.port
        both = [quicperf("client", target, "-t", "200ms", "--ca", anchor, *more).returncode == 0
                for more in ([], ["--tcp"])]
        self.assertEqual(both[0], both[1])
        return both[0]

    def test_what_changes_while_it_is_read(self):
        with tempfile.TemporaryDirectory() as folder:
            old, old_key = make_certificate(folder, "old")
            new, new_key = make_certificate(folder, "new")
            live, live_key = os.path.join(folder, "live.pem"), os.path.join(folder, "live.key")
            keys = []
            for path in old_key, new_key:
                with open(path) as file:
                    keys.append(file.read())
            with Feeder(live_key) as feeder:
                feeder.texts = keys[:1]
                shutil.copy(old, live)
                with Server("--tcp", "--cert", live, "--key", live_key) as server:
                    shutil.copy(new, live)
                    for good in range(3):  # readings before the key is the old one's again
                        feeder.texts = keys[1:] * good + keys[:1]
                        server.process.send_signal(signal.SIGHUP)
                        self.assertIn("not reloaded, the old certificate stays", server.process.stderr.readline())
                        self.assertTrue(self.trusts(server, old))
                    feeder.texts = keys[1:]
                    server.process.send_signal(signal.SIGHUP)
                    self.assertIn("reloaded", server.process.stdout.readline())
                    self.assertTrue(self.trusts(server, new))
                    self.assertFalse(self.trusts(server, old))
                self.assertEqual(server.process.returncode, 0, server.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
