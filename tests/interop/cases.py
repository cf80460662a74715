#!/usr/bin/env python3
"""The cases of the QUIC interop runner that need no HTTP/3, with quring as client and as server.

    cases.py HQ IMPAIR_RUN [CASE...]

Each case starts the server (hq), a bad network before it (impair_run) and the client (hq), all on
loopback, and then checks the files, what the endpoints say of their connections, and what could be seen
on the way. Ends with a table and its counts; status 1 when a case failed.
"""

import concurrent.futures
import json
import os
import random
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import time

KB, MB = 1024, 1 << 20
S0 = ["--delay", "15", "--rate", "10000000", "--queue", "25"]
AT_ONCE = 4
V1 = 1
V2 = 0x6b3343cf


class Failed(Exception):
    pass


def demand(ok, *what):
    if not ok:
        raise Failed(" ".join(str(w) for w in what))


# ---- certificates -------------------------------------------------------------------------------

def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def make_certs(folder, depth=1):
    """A chain of `depth` certificates under a root that is left out; a long leaf when it is deep."""
    os.makedirs(folder)
    names = ["server", "server4", "server6", "server46"]
    if depth > 1:
        letters = random.Random(1)
        names += ["".join(letters.choice(string.ascii_lowercase) for _ in range(250))
                  for _ in range(20)]
    with open(os.path.join(folder, "ca.ext"), "w") as file:
        file.write("basicConstraints=critical,CA:TRUE\n")
    with open(os.path.join(folder, "leaf.ext"), "w") as file:
        file.write("subjectAltName=" + ",".join("DNS:" + name for name in names) + "\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-subj", "/CN=root", "-days", "10", "-keyout", "0.key", "-out",
            "0.pem", cwd=folder)
    for i in range(1, depth + 1):
        leaf = i == depth
        openssl("req", *curve, "-subj", "/O=interop leaf" if leaf else "/CN=level %d" % i, "-keyout",
                "%d.key" % i, "-out", "%d.csr" % i, cwd=folder)
        openssl("x509", "-req", "-in", "%d.csr" % i, "-CA", "%d.pem" % (i - 1), "-CAkey",
                "%d.key" % (i - 1), "-days", "10", "-extfile", "leaf.ext" if leaf else "ca.ext",
                "-out", "%d.pem" % i, cwd=folder)
    with open(os.path.join(folder, "cert.pem"), "w") as chain:
        for i in range(depth, 0, -1):
            with open(os.path.join(folder, "%d.pem" % i)) as file:
                chain.write(file.read())
    os.rename(os.path.join(folder, "%d.key" % depth), os.path.join(folder, "priv.key"))


# ---- one run -------------------------------------------------------------------------------------

def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


class Run:
    """Server, network and client of one case; afterwards what each of them said."""

    def __init__(self, case, tools, folder, io):
        self.case, self.io = case, io
        self.hq, self.impair_run = tools
        self.folder = folder
        self.children = []
        for name in "www", "downloads":
            os.makedirs(os.path.join(folder, name))
        self.files = {}
        source = random.Random(case.name)
        for name, size in case.files:
            self.files[name] = source.randbytes(size)
            with open(os.path.join(folder, "www", name), "wb") as file:
                file.write(self.files[name])

    def env(self, role, testcase, **more):
        env = dict(os.environ, ROLE=role, TESTCASE=testcase, IO=self.io, **more)
        for name in "www", "downloads", "certs":
            env[name.upper()] = os.path.join(self.folder, name)
        env["CERTS"] = self.case.certs
        return env

    def start(self, args, env=None):
        out = open(os.path.join(self.folder, "%d.out" % len(self.children)), "w+")
        child = subprocess.Popen(args, env=env, stdout=out, stderr=subprocess.STDOUT)
        child.log = out
        self.children.append(child)
        return child

    def said(self, child):
        child.log.seek(0)
        return child.log.read()

    def port_of(self, child):
        for _ in range(3000):
            for line in self.said(child).splitlines():
                if line.startswith("listening "):
                    return int(line.split()[1])
            if child.poll() is not None:
                break
            time.sleep(0.01)
        raise Failed("did not start: " + self.said(child))

    def stop(self, child):
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=20)
        return json_lines(self.said(child))

    def go(self):
        try:
            self.go_on()
        finally:
            for child in self.children:
                if child.poll() is None:
                    child.kill()
                child.wait()
                child.log.close()

    def go_on(self):
        case = self.case
        host = "[::1]" if case.ipv6 else "127.0.0.1"
        server = self.start([self.hq], self.env("server", case.server, LISTEN=host + ":0",
                                                       PREFERRED=case.preferred))
        server_port = self.port_of(server)
        network = self.start([self.impair_run, "%s:%d" % (host, server_port), *case.network])
        port = self.port_of(network)
        urls = " ".join("https://%s:%d/%s" % (host, port, name) for name in self.files)
        began = time.time()
        client = self.start([self.hq], self.env("client", case.client, REQUESTS=urls))
        try:
            status = client.wait(timeout=case.limit_s)
        except subprocess.TimeoutExpired:
            raise Failed("took more than %d s: %s" % (case.limit_s, self.said(client)[-300:]))
        self.seconds = time.time() - began
        self.net = self.stop(network)[-1]
        server_lines = self.stop(server)
        client_lines = json_lines(self.said(client))
        demand(status == 0, "client ended with", status, self.said(client)[-300:])
        self.client_conns = [line for line in client_lines if "closed" in line]
        self.server_conns = [line for line in server_lines if "closed" in line]
        self.server_run = server_lines[-1]
        self.check_files()
        case.check(self)

    def check_files(self):
        folder = os.path.join(self.folder, "downloads")
        demand(set(os.listdir(folder)) == set(self.files), "other files than asked for")
        for name, content in self.files.items():
            with open(os.path.join(folder, name), "rb") as file:
                demand(file.read() == content, name, "differs")

    # What several cases demand.

    def is_v1(self):
        demand(self.net["server"]["initial_versions"] == [V1], "Initial versions",
               self.net["server"]["initial_versions"])

    def handshakes(self, count):
        demand(self.net["handshakes"] == count, self.net["handshakes"], "handshakes, not", count)
        demand(len(self.client_conns) == count, len(self.client_conns), "connections, not", count)

    def closed_well(self):
        for conn in self.client_conns:
            demand((conn["closed"], conn["code"]) == (1, 0), "closed with", conn)


# ---- the cases -------------------------------------------------------------------------------------

class Case:
    def __init__(self, name, client, server, files, network, check, limit_s=60, ipv6=False, chain=1,
                 ios=("auto",), preferred="", tries=1):
        self.name, self.client, self.server = name, client, server
        self.files, self.network, self.checker = files, network, check
        self.limit_s, self.ipv6, self.chain, self.ios = 2 * limit_s, ipv6, chain, ios
        self.preferred, self.tries = preferred, tries
        self.certs = None

    def check(self, run):
        if self.client != "v2":
            run.is_v1()
        run.closed_well()
        self.checker(run)


def check_one(run):
    run.handshakes(1)


def check_handshake(run):
    run.handshakes(1)
    demand(run.net["retries"] == 0, "there was a Retry")


def check_long_rtt(run):
    run.handshakes(1)
    demand(run.net["client"]["initials"] >= 2, "the first PTO did not fire")


def check_retry(run):
    run.handshakes(1)
    demand(run.net["retries"] >= 1 and run.net["retry_answers"] >= 1, "no token came back")
    demand(run.client_conns[0]["retry"], "the client used no Retry")


def check_resumption(run):
    run.handshakes(2)
    demand([c["resumed"] for c in run.client_conns] == [False, True], "resumed", run.client_conns)
    demand([c["resumed"] for c in run.server_conns] == [False, True], "server", run.server_conns)


def check_zero_rtt(run):
    run.handshakes(2)
    demand(run.net["client"]["zero_rtt_bytes"] > 0, "no 0-RTT packet")
    demand(run.client_conns[1]["early"] and run.client_conns[1]["zero_rtt_bytes"] > 0,
           "0-RTT was not accepted")
    demand(run.net["client"]["one_rtt_bytes"] <= 0.5 * 250 * 40, "1-RTT bytes",
           run.net["client"]["one_rtt_bytes"])


def check_black_hole(run):
    run.handshakes(1)
    demand(run.net["hole"] > 0, "nothing was swallowed")


def check_ecn(run):
    check_handshake(run)
    for side in "client", "server":
        demand(run.net[side]["ect"] > 0 and run.net[side]["ce"] == 0, side, "marks", run.net[side])
    # What is sent with ECT(0) and acknowledged with ECN counts that fit is counted by the sender.
    demand(run.client_conns[0]["ecn_acked"] > 0, "the server sent no ECN counts")
    demand(run.server_conns[0]["ecn_acked"] > 0, "the client sent no ECN counts")


def check_v2(run):
    run.handshakes(1)
    client, server = run.net["client"], run.net["server"]
    demand(V1 in client["initial_versions"], "client Initials", client["initial_versions"])
    demand(V2 in server["initial_versions"], "server Initials", server["initial_versions"])
    for side in client, server:
        demand(side["handshake_versions"] == [V2], "Handshake packets", side["handshake_versions"])
    demand(run.client_conns[0]["version"] == V2, "the connection", run.client_conns)


def check_amplification(run):
    run.handshakes(1)
    demand(run.net["listed"] == 6, "only", run.net["listed"], "datagrams were dropped")
    demand(run.net["server"]["handshake_bytes"] >= 7500, "the chain is short",
           run.net["server"]["handshake_bytes"])
    demand(0 < run.net["amplification"] <= 3, "sent", run.net["amplification"],
           "times what was received")


def check_loss(count):
    def check(run):
        run.handshakes(count)
        demand(run.net["dropped"] > 0, "nothing was lost")
    return check


def check_corruption(count):
    def check(run):
        run.handshakes(count)
        demand(run.net["corrupted"] > 0, "nothing was damaged")
    return check


def check_rebind(run):
    run.handshakes(1)
    demand(run.net["rebinds"] == 2 and run.net["paths"] == 3, "paths", run.net)
    demand(run.server_run["path_changes"] >= run.net["rebinds"], "the server followed only",
           run.server_run["path_changes"], "of", run.net["rebinds"], "changes")


def check_key_update(run):
    run.handshakes(1)
    # The second one is allowed only once a packet with the keys of the first has come back.
    demand(run.client_conns[0]["key_updates"] == 2, "the client began", run.client_conns)
    demand(run.server_conns[0]["key_updates_peer"] == 2, "the server followed", run.server_conns)


def check_migration(run):
    run.handshakes(1)
    demand(run.client_conns[0]["preferred"], "the client stayed where it was")
    demand(run.server_conns[0]["path_changes"] == 1, "the server did not follow", run.server_conns)
    demand(run.net["server"]["one_rtt_bytes"] < MB, "the file came by the old path")


def letters(count):
    source = random.Random(7)
    return ["".join(source.choice(string.ascii_lowercase) for _ in range(250)) for _ in range(count)]


def lossy(kind, percent):
    return S0 + ["--" + kind, "%d,3" % percent, "--seed", "5"]


def cases():
    both = ("uring", "epoll")
    many = [("file%d" % i, KB) for i in range(50)]
    big = [("big", 10 * MB)]
    return [
        Case("handshake", "handshake", "handshake", [("one", KB)], S0, check_handshake, ios=both),
        Case("transfer", "transfer", "transfer", [("a", 2 * MB), ("b", 3 * MB), ("c", 5 * MB)], S0,
             check_one, ios=both),
        Case("longrtt", "handshake", "handshake", [("one", KB)],
             ["--delay", "750", "--rate", "10000000", "--queue", "25"], check_long_rtt),
        Case("multiplexing", "transfer", "transfer", [("f%d" % i, 32) for i in range(1999)], S0,
             check_one),
        Case("retry", "retry", "retry", [("one", 10 * KB)], S0, check_retry),
        Case("resumption", "resumption", "resumption", [("a", 5 * KB), ("b", 10 * KB)], S0,
             check_resumption),
        Case("zerortt", "zerortt", "zerortt", [(name, 32) for name in letters(40)], S0,
             check_zero_rtt, ios=both),
        Case("blackhole", "transfer", "transfer", big, S0 + ["--hole", "5000,2000,1"],
             check_black_hole),
        Case("ecn", "ecn", "ecn", [("one", 100 * KB)], S0, check_ecn, ios=both),
        Case("keyupdate", "keyupdate", "transfer", [("one", 3 * MB)], S0, check_key_update, ios=both),
        Case("connectionmigration", "transfer", "connectionmigration", [("one", 2 * MB)], S0,
             check_migration, ios=both, preferred="127.0.0.2"),
        Case("connectionmigration6", "transfer", "connectionmigration", [("one", 2 * MB)], S0,
             check_migration, preferred="[::1]"),
        Case("v2", "v2", "v2", [("one", KB)], S0, check_v2, ios=both),
        Case("amplificationlimit", "transfer", "transfer", [("one", 5 * KB)],
             S0 + ["--drop-to-server", "2,3,4,5,6,7"], check_amplification, chain=9),
        # A round of probes and answers fails here one time in three: of fifty handshakes one may need eight of them,
        # each twice as late as the one before (RFC 9002 6.2.1), and then the time is up. Hence the second try.
        Case("handshakeloss", "multiconnect", "multiconnect", many, lossy("drop", 30),
             check_loss(50), limit_s=300, tries=2),
        Case("transferloss", "transfer", "transfer", [("one", 2 * MB)], lossy("drop", 2),
             check_loss(1), ios=both),
        Case("handshakecorruption", "multiconnect", "multiconnect", many, lossy("corrupt", 30),
             check_corruption(50), limit_s=300, tries=2),
        Case("transfercorruption", "transfer", "transfer", [("one", 2 * MB)], lossy("corrupt", 2),
             check_corruption(1)),
        Case("ipv6", "transfer", "transfer", [("a", 5 * KB), ("b", 10 * KB)], S0, check_one,
             ipv6=True, ios=both),
        # Eight seconds and more: both are in the midst of it.
        Case("rebind-port", "transfer", "transfer", big, S0 + ["--rebind", "1000,5000,2"],
             check_rebind, ios=both),
        Case("rebind-addr", "transfer", "transfer", big,
             S0 + ["--rebind", "1000,5000,2", "--rebind-host"], check_rebind),
    ]


# Cases of the runner that are answered with status 127, and why.
UNSUPPORTED = {
    "chacha20": "BoringSSL of Debian cannot be told which TLS 1.3 cipher suites to offer",
    "http3": "HTTP/3 is no part of this",
}


def check_unsupported(hq):
    """A test case nobody knows ends either role at once with 127."""
    for testcase in ["".join(random.choice(string.ascii_lowercase) for _ in range(12)), *UNSUPPORTED]:
        for role in "client", "server":
            run = subprocess.run([hq], env=dict(os.environ, ROLE=role, TESTCASE=testcase),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20)
            demand(run.returncode == 127, role, testcase, "ended with", run.returncode)


def check_probe(hq, certs, folder):
    """The simulator asks for a server with a version nobody speaks and empty connection IDs."""
    case = Case("probe", "", "handshake", [], [], None)
    case.certs = certs
    run = Run(case, (hq, None), folder, "auto")
    server = run.start([hq], run.env("server", "handshake", LISTEN="127.0.0.1:0"))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            sock.connect(("127.0.0.1", run.port_of(server)))
            sock.send(b"\xc0WAIT\x00\x00" + bytes(1200))
            answer = sock.recv(65536)
        demand(answer[0] & 0x80 and answer[1:5] == bytes(4), "no Version Negotiation", answer.hex())
        demand(run.stop(server)[-1]["opened"] == 0, "the probe left a connection behind")
    finally:
        server.kill()
        server.wait()
        server.log.close()


def run_case(case, io, tools, scratch):
    for again in range(case.tries):
        run = Run(case, tools, tempfile.mkdtemp(dir=scratch), io)
        try:
            run.go()
            return "ok", "%.1f s, %d datagrams, %d dropped, %d corrupted%s" % (
                run.seconds, run.net["received"], run.net["dropped"], run.net["corrupted"],
                ", at the second try" if again else "")
        except (Failed, subprocess.SubprocessError, OSError, ValueError, KeyError) as error:
            text = str(error)
    return "FAILED", text


def has_uring(hq, certs, folder):
    case = Case("uring", "", "handshake", [], [], None)
    case.certs = certs
    run = Run(case, (hq, None), folder, "uring")
    server = run.start([hq], run.env("server", "handshake", LISTEN="127.0.0.1:0"))
    try:
        run.port_of(server)
        return True
    except Failed:
        return server.wait() != 77
    finally:
        server.kill()
        server.wait()
        server.log.close()


def main():
    tools = [os.path.abspath(path) for path in sys.argv[1:3]]
    only = sys.argv[3:]
    if shutil.which("openssl") is None:
        print("SKIPPED: no openssl command to make certificates with")
        return 0
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        chains = {}
        for depth in 1, 9:
            chains[depth] = os.path.join(scratch, "certs%d" % depth)
            make_certs(chains[depth], depth)
        uring = has_uring(tools[0], chains[1], os.path.join(scratch, "uring"))
        jobs = []
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            # The long ones first, so that they end with the others.
            for case in sorted(cases(), key=lambda c: -sum(size for _, size in c.files)):
                case.certs = chains[case.chain]
                for io in case.ios:
                    if (not only or case.name in only) and (uring or io != "uring"):
                        jobs.append((case.name, io, pool.submit(run_case, case, io, tools, scratch)))
            rows = [(name, io, *job.result()) for name, io, job in jobs]
        for name, check in (("unknown case", lambda: check_unsupported(tools[0])),
                            ("version probe", lambda: check_probe(
                                tools[0], chains[1], os.path.join(scratch, "probe")))):
            if not only or name in only:
                try:
                    check()
                    rows.append((name, "auto", "ok", ""))
                except (Failed, OSError, subprocess.SubprocessError) as error:
                    rows.append((name, "auto", "FAILED", str(error)))
    for name, io, result, text in sorted(rows):
        print("%-20s %-6s %-7s %s" % (name, io, result, text))
    for name, why in UNSUPPORTED.items():
        print("%-20s %-6s %-7s %s" % (name, "", "127", why))
    failed = sum(result != "ok" for _, _, result, _ in rows)
    print("%d ok, %d failed, %d not supported%s" % (len(rows) - failed, failed, len(UNSUPPORTED),
                                                  "" if uring else ", no io_uring here"))
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
