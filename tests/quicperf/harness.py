"""What the tests of the quicperf binary share: running it, a server, certificates.

The binary is the first argument of the test.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

QUICPERF = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else "quicperf"
LIMIT_S = 60

SUMMARY_KEYS = {
    "goodput_bps", "bytes", "seconds", "lost_packets", "handshakes_per_s", "requests_per_s",
    "connections", "cpu_local_s", "cpu_remote_s", "version", "cipher", "cc", "resumed",
    "client_cert", "client_cert_connections", "resumed_connections", "zero_rtt_connections",
    "zero_rtt_bytes", "retry", "retry_connections", "token_connections", "unencrypted",
    "migrations", "preferred_connections",
}


def quicperf(*args, **kwargs):
    """One run. A busy machine may let nothing be done in a -t of milliseconds: then it is given twice as long, three
    times at most."""
    for more in 3, 2, 1, 0:
        run = subprocess.run([QUICPERF, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             universal_newlines=True, timeout=LIMIT_S, **kwargs)
        given = re.fullmatch(r"(\d+)ms", args[args.index("-t") + 1]) if "-t" in args else None
        if more == 0 or given is None or run.returncode == 0 or "in the time given" not in run.stderr:
            return run
        print("nothing was done in %s ms: again, twice as long" % given[1], file=sys.stderr)
        args = list(args)
        args[args.index("-t") + 1] = "%dms" % (2 * int(given[1]))
    raise AssertionError("not reached")


def client(port, *args, status=0):
    """The document of one run, which must end with `status`."""
    run = quicperf("client", "127.0.0.1:%d" % port, *args, "--json", "-")
    assert run.returncode == status, (args, run.returncode, run.stderr)
    return json.loads(run.stdout)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def localhost_is_both(folder):
    """What a command begins with that shall know localhost as 127.0.0.1 and as ::1; None: that cannot be had here."""
    hosts = os.path.join(folder, "hosts")
    with open(hosts, "w") as file:
        file.write("127.0.0.1 localhost\n::1 localhost\n")
    within = ["unshare", "-rm", "sh", "-c", 'mount --bind "$1" /etc/hosts && shift && exec "$@"', "sh", hosts]
    probe = subprocess.run([*within, "true"], stderr=subprocess.DEVNULL, check=False)
    return within if probe.returncode == 0 and has_ipv6() else None


def make_certificate(folder, name="localhost"):
    """One of `name` for localhost that vouches for itself: the paths of certificate and key."""
    cert, key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name, "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1", "-days", "2", "-keyout", key,
                    "-out", cert], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return cert, key


class Server:
    """A server on a free loopback port; says where and ends with the block."""

    def __init__(self, *args):
        self.process = subprocess.Popen([QUICPERF, "server", "-p", "0", *args],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        universal_newlines=True)
        line = self.process.stdout.readline()
        found = re.search(r" port (\d+)", line)
        if not found:
            self.process.kill()
            raise AssertionError("server said %r, %r" % (line, self.process.communicate()))
        self.port = int(found.group(1))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.out, self.err = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.out, self.err = self.process.communicate()


def under_way(stream, lines=1, rate=r"[1-9][0-9.]* [kMG]?bit/s"):
    """Reads the lines of a run that lasts until so many say that bytes have moved."""
    while lines > 0:
        line = stream.readline()
        assert line, "it ended before anything was moved"
        lines -= re.search(r"\b" + rate, line) is not None


def heeds_signals(process, limit_s=LIMIT_S):
    """Waits until SIGINT does not end the process any more: it reads signals when it likes."""
    end = time.monotonic() + limit_s
    while process.poll() is None and time.monotonic() < end:
        with open("/proc/%d/status" % process.pid) as file:
            blocked = re.search(r"^SigBlk:\s*(\w+)", file.read(), re.M)
        if blocked and int(blocked.group(1), 16) >> (signal.SIGINT - 1) & 1:
            return
        time.sleep(0.01)


def client_left_alone(server, *args):
    """The document of a run whose server ends in the midst of it."""
    run = subprocess.Popen([QUICPERF, "client", "127.0.0.1:%d" % server.port, *args, "-i", "100ms", "--json", "-"],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    under_way(run.stderr)
    with server:
        pass
    out, err = run.communicate(timeout=20)
    assert run.returncode == 1, (args, run.returncode, err)
    return json.loads(out)
