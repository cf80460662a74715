#!/usr/bin/env python3
"""quring's HTTP/3 examples against other implementations of QUIC, on loopback.

    http3.py HTTP3_SERVER HTTP3_CLIENT [PART...]

The parts are: quring (client and server alone), ngtcp2 (gtlsclient, gtlsserver), quic-go (caddy), chromium. A
part whose programs are not installed is skipped, and says so. In each case files are compared, and what the case
is about must be seen in what one of the two says. Ends with counts; status 1 when a case failed, 77 when
everything was skipped.
"""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

DEADLINE_S = 60
BIG, SMALL = "big.bin", "small.bin"


class Failed(Exception):
    pass


def demand(ok, what):
    if not ok:
        raise Failed(what)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Place:
    """A folder with a certificate, files to be served, and room for what is fetched."""

    def __init__(self, folder, server, client):
        self.folder, self.server_program, self.client_program = folder, server, client
        os.makedirs(self.path("www"))
        source = random.Random(1)
        for name, size in ((BIG, 3000000), (SMALL, 100), ("empty", 0)):
            with open(self.path("www", name), "wb") as file:
                file.write(source.randbytes(size))
        with open(self.path("www", "index.html"), "w", encoding="utf-8") as file:
            file.write("<p id=p></p><script>p.textContent='PROTO='+"
                       "performance.getEntriesByType('navigation')[0].nextHopProtocol</script>\n")
        self.cert, self.key = self.path("cert.pem"), self.path("key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self.key, "-out", self.cert,
                        "-days", "10", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def fetched(self):
        """An empty folder for what a client writes."""
        folder = self.path("fetched")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        return folder

    def same(self, *names):
        for name in names:
            with open(self.path("www", name), "rb") as was, open(self.path("fetched", name), "rb") as is_:
                demand(was.read() == is_.read(), "%s is not what it was" % name)

    def run(self, *args):
        """(status, everything it said)"""
        done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, cwd=self.folder, timeout=DEADLINE_S, check=False)
        return done.returncode, done.stdout.decode(errors="replace")

    def fetch(self, port, *names, options=()):
        """By our client; what it said."""
        status, said = self.run(self.client_program, "--ca", self.cert, "--out", self.fetched(), *options,
                                *("https://localhost:%d/%s" % (port, name) for name in names))
        demand(status == 0, "the client ended with %d: %s" % (status, said))
        self.same(*names)
        return said


class Server:
    """A server in the background, ready when `ready` is in what it says or its port is taken."""

    def __init__(self, place, args, port, ready=None):
        self.is_ours = args[0] == place.server_program
        self.log = open(place.path("server.log"), "w+", encoding="utf-8", errors="replace")
        self.port = port
        self.process = subprocess.Popen(args, cwd=place.folder, stdout=self.log, stderr=subprocess.STDOUT)
        end = time.monotonic() + DEADLINE_S
        while not (re.search(ready, self.said()) if ready else self.is_bound()):
            if time.monotonic() > end or self.process.poll() is not None:
                self.__exit__()
                raise Failed("the server did not begin: " + self.said())
            time.sleep(0.02)

    def is_bound(self):
        text = ":%04X " % self.port
        return any(text in line for name in ("udp", "udp6")
                   for line in open("/proc/net/" + name, encoding="ascii"))

    def said(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def __enter__(self):
        return self

    def __exit__(self, failure=None, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        demand(failure or not self.is_ours or self.process.returncode == 0,
               "our server ended with %s: %s" % (self.process.returncode, self.said()))


def everywhere():
    """Programs differ in what they take "localhost" for: both families, where there are both."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
        return "[::]:0"
    except OSError:
        return "127.0.0.1:0"


def our_server(place, *options):
    server = Server(place, [place.server_program, "www", everywhere(), "--cert", place.cert, "--key",
                            place.key, *options], 0, "listening on ")
    server.port = int(server.said().split(":")[-1])
    return server


# ---- quring with itself ----------------------------------------------------------------------------

def quring_files(place):
    with our_server(place) as server:
        place.fetch(server.port, BIG, SMALL, "empty", "index.html")


def quring_many(place):
    """More than the server allows at once."""
    with our_server(place, "--workers", "2") as server:
        place.fetch(server.port, *([SMALL] * 250))


def quring_refusals(place):
    with open(place.path("secret"), "w", encoding="utf-8") as file:
        file.write("not below the root\n")
    os.symlink("../secret", place.path("www", "link"))
    with our_server(place) as server:
        for name in ("none", "../secret", "%2e%2e/secret", "link", "%00", "%zz", "/etc/passwd", "x/" * 1500 + "y"):
            status, said = place.run(place.client_program, "--ca", place.cert, "--out", place.fetched(),
                                     "https://localhost:%d/%s" % (server.port, name))
            demand(status == 1 and "\n404 " in said, "%s: %s" % (name, said))
    os.remove(place.path("www", "link"))


def quring_keeps_what_was_there(place):
    with open(os.path.join(place.fetched(), "kept"), "w", encoding="ascii") as file:
        file.write("of before")
    with our_server(place) as server:
        status, said = place.run(place.client_program, "--ca", place.cert, "--out", place.path("fetched"),
                                 "https://localhost:%d/nowhere/kept" % server.port)
    demand(status == 1 and "\n404 " in said, said)
    with open(place.path("fetched", "kept"), encoding="ascii") as file:
        demand(file.read() == "of before", "an answer that was no file took the place of one")
    demand(os.listdir(place.path("fetched")) == ["kept"], "something else was left")


def quring_retry(place):
    with our_server(place, "--retry") as server:
        demand("after a Retry" in place.fetch(server.port, SMALL), "no Retry")


def resumption(place, server):
    session = place.path("session")
    if os.path.exists(session):
        os.remove(session)
    first = place.fetch(server.port, SMALL, options=("--session", session))
    demand("resumed" not in first, "the first connection was resumed")
    # BoringSSL tells a ticket's age in whole seconds: one that spans the turn of a second is older than it can be,
    # and GnuTLS takes the connection but no 0-RTT (RFC 8446 8.3).
    for _ in range(4):
        said = place.fetch(server.port, SMALL, options=("--session", session))
        demand(", resumed" in said, "not resumed: " + said)
        if "0-RTT accepted" in said:
            return
    raise Failed("no 0-RTT: " + said)


def quring_zero_rtt(place):
    with our_server(place, "--0rtt") as server:
        resumption(place, server)


def quring_no_place_for_a_session(place):
    """It is told, at once, and the files are there."""
    with our_server(place) as server:
        status, said = place.run(place.client_program, "--ca", place.cert, "--out", place.fetched(), "--session",
                                 place.path("no", "place"), "https://localhost:%d/%s" % (server.port, SMALL))
        demand(status == 1 and "No such file" in said and "\n200 " in said, said)
        place.same(SMALL)


# ---- ngtcp2 ------------------------------------------------------------------------------------------

def ngtcp2_client(*options, shows=None, quiet=True, server=(), times=1):
    """A case: gtlsclient fetches from our server. `shows`: what must be in its record of packets."""
    def case(place):
        with our_server(place, *server) as at:
            for _ in range(times):
                status, said = place.run(
                    "gtlsclient", *options, *(["-q"] if quiet and shows is None else []),
                    "--exit-on-all-streams-close", "--download", place.fetched(), "--no-quic-dump",
                    "--no-http-dump", "localhost", str(at.port),
                    "https://localhost:%d/%s" % (at.port, BIG), "https://localhost:%d/%s" % (at.port, SMALL))
                demand(status == 0, "gtlsclient ended with %d: %s" % (status, said[-500:]))
                place.same(BIG, SMALL)
            demand(shows is None or re.search(shows, said), "not seen: " + str(shows))
    return case


def ngtcp2_server(*options, check=None, says=""):
    """A case: our client fetches from gtlsserver."""
    def case(place):
        port = free_port()
        with Server(place, ["gtlsserver", "-q", *options, "-d", "www", "*", str(port), place.key, place.cert],
                    port) as server:
            if check is not None:
                check(place, server)
            else:
                demand(says in place.fetch(port, BIG, SMALL), "the client does not say: " + says)
    return case


# ---- quic-go --------------------------------------------------------------------------------------------

CADDYFILE = """{
    admin off
    auto_https off
    https_port %(port)d
    servers :%(port)d {
        protocols h1 h2 h3
    }
}
https://localhost:%(port)d {
    tls %(cert)s %(key)s
    root * %(www)s
    file_server
}
"""


def caddy(check):
    def case(place):
        port = free_port()
        with open(place.path("Caddyfile"), "w", encoding="utf-8") as file:
            file.write(CADDYFILE % {"port": port, "cert": place.cert, "key": place.key,
                                    "www": place.path("www")})
        with Server(place, ["env", "HOME=" + place.folder, "caddy", "run", "--config", "Caddyfile",
                            "--adapter", "caddyfile"], port) as server:
            check(place, server)
    return case


# ---- Chromium -------------------------------------------------------------------------------------------

def chromium(*options):
    """A page, which says by which protocol it came."""
    def case(place):
        key = subprocess.run("openssl x509 -in cert.pem -pubkey -noout | openssl pkey -pubin -outform der |"
                             " openssl dgst -sha256 -binary | openssl base64", shell=True, cwd=place.folder,
                             check=True, stdout=subprocess.PIPE).stdout.decode().strip()
        with our_server(place, *options) as server:
            _, said = place.run(
                "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--user-data-dir=" + place.path("profile"), "--disable-background-networking",
                "--disable-component-update", "--disable-sync",
                "--origin-to-force-quic-on=localhost:%d" % server.port,
                "--ignore-certificate-errors-spki-list=" + key, "--virtual-time-budget=5000", "--dump-dom",
                "https://localhost:%d/" % server.port)
            demand("PROTO=h3" in said, "no page by HTTP/3: " + said[-500:])
    return case


PARTS = [
    ("quring", [], [
        ("files", quring_files),
        ("many requests", quring_many),
        ("what may not be fetched", quring_refusals),
        ("what was there before", quring_keeps_what_was_there),
        ("Retry", quring_retry),
        ("resumption, 0-RTT", quring_zero_rtt),
        ("no place for a session", quring_no_place_for_a_session),
    ]),
    ("ngtcp2", ["gtlsclient", "gtlsserver"], [
        ("client", ngtcp2_client()),
        ("client, key update", ngtcp2_client("--key-update=1ms", shows=r"pkt rx .* type=1RTT k=1")),
        ("client, moves", ngtcp2_client("--change-local-addr=1ms", shows=r"frm rx .* PATH_RESPONSE")),
        ("client, loses packets", ngtcp2_client("--tx-loss=.05", "--rx-loss=.05")),
        ("client, Retry", ngtcp2_client(server=["--retry"], shows=r"pkt rx .* type=Retry")),
        ("client, resumption, 0-RTT", ngtcp2_client(
            "--session-file=S", "--tp-file=T", server=["--0rtt"], times=2, shows=r"pkt tx .* type=0RTT")),
        ("client, ChaCha20", ngtcp2_client("--ciphers=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:"
                                           "+CHACHA20-POLY1305")),
        ("client, another group", ngtcp2_client("--groups=-GROUP-ALL:+GROUP-SECP384R1")),
        ("client, BBR", ngtcp2_client("--cc=bbr2")),
        ("client, no connection ID", ngtcp2_client("--scid=")),
        ("client, small windows", ngtcp2_client("--max-data=20K", "--max-stream-data-bidi-local=10K",
                                                "--max-stream-data-uni=8K")),
        ("server", ngtcp2_server()),
        ("server, Retry", ngtcp2_server("-V", says="after a Retry")),
        ("server, loses packets", ngtcp2_server("--tx-loss=.05", "--rx-loss=.05")),
        ("server, resumption, 0-RTT", ngtcp2_server(check=resumption)),
    ]),
    ("quic-go", ["caddy"], [
        ("server", caddy(lambda place, server: place.fetch(server.port, BIG, SMALL, "index.html"))),
        ("server, resumption, 0-RTT", caddy(resumption)),
    ]),
    ("chromium", ["chromium"], [
        ("client", chromium()),
        ("client, Retry", chromium("--retry")),
    ]),
]


def main():
    server, client = (os.path.abspath(path) for path in sys.argv[1:3])
    wanted = sys.argv[3:] or [name for name, _, _ in PARTS]
    unknown = set(wanted) - {name for name, _, _ in PARTS}
    if unknown:
        sys.exit("no such part: %s" % ", ".join(unknown))
    passed, failed, skipped = 0, [], []
    for part, programs, cases in PARTS:
        lacking = [program for program in programs if shutil.which(program) is None]
        if part not in wanted:
            continue
        if lacking:
            print("skipped: %s, as %s is not installed" % (part, " and ".join(lacking)), flush=True)
            skipped.append(part)
            continue
        with tempfile.TemporaryDirectory() as folder:
            place = Place(folder, server, client)
            for name, case in cases:
                start = time.monotonic()
                try:
                    case(place)
                    passed += 1
                    why = "ok"
                except (Failed, OSError, subprocess.SubprocessError) as error:
                    failed.append("%s: %s" % (part, name))
                    why = "FAILED: %s" % error
                print("%-10s %-28s %5.1f s  %s" % (part, name, time.monotonic() - start, why), flush=True)
    print("%d passed, %d failed" % (passed, len(failed)))
    return 1 if failed else 77 if skipped and not passed else 0


if __name__ == "__main__":
    sys.exit(main())
