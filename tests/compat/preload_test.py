#!/usr/bin/env python3
"""Programs that know nothing of QUIC, with libquic.so preloaded and without: the same results, and the
engine stays out of them.

    preload_test.py LIBQUIC.SO LIBQUIC_ENGINE.SO NAMESAKE_PROGRAM
"""
import errno
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
import programs

LIBRARY, ENGINE, NAMESAKE = "", "", ""
LIMIT_S = 120

# What a Python program does with sockets: each line is printed and compared.
SOCKETS = r"""
import errno, os, select, socket, struct, tempfile

def outcome(call):
    try:
        return repr(call())
    except OSError as error:
        return errno.errorcode[error.errno]

def show(*words):
    print(*words, flush=True)

tcp = socket.socket()
show("type", tcp.type, tcp.proto, tcp.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL))
show("read", outcome(lambda: tcp.recv(1)), outcome(lambda: os.read(tcp.fileno(), 1)))
show("peer", outcome(tcp.getpeername))
tcp.bind(("127.0.0.1", 0))
show("bind again", outcome(lambda: tcp.bind(("127.0.0.1", 0))))
tcp.listen(1)
tcp.setblocking(False)
show("accept", outcome(tcp.accept))
client = socket.create_connection(tcp.getsockname())
select.select([tcp], [], [])
server, _ = tcp.accept()
server.setblocking(True)
show("options", client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
     outcome(lambda: client.setsockopt(288, 0, b"\1\1")))
poll = select.poll()
poll.register(server, select.POLLIN | select.POLLOUT)
show("poll", [mask for _, mask in poll.poll(0)])
client.sendall(b"x" * 1000)
select.select([server], [], [])
show("poll", [mask for _, mask in poll.poll(0)])
show("peek", server.recv(4, socket.MSG_PEEK), len(server.recv(2000)))
copy = server.dup()
server.close()
client.sendmsg([b"two ", b"parts"])
show("copy", copy.recvmsg(100)[0])
data, left = os.urandom(1 << 20), []
with tempfile.TemporaryFile() as file:
    file.write(data)
    file.flush()
    pid = os.fork()
    if pid == 0:
        client.sendfile(file)
        client.shutdown(socket.SHUT_WR)
        os._exit(0)
    while True:
        part = copy.recv(65536)
        if not part:
            break
        left.append(part)
    os.waitpid(pid, 0)
show("sendfile", b"".join(left) == data)
show("end", copy.recv(10), outcome(lambda: [copy.sendall(b"y" * 100000) for _ in range(100)])
     if client.close() else "closed")
a, b = socket.socketpair()
socket.send_fds(a, [b"fd"], [copy.fileno()])
message, fds, _, _ = socket.recv_fds(b, 10, 1)
show("rights", message, len(fds), os.fstat(fds[0]).st_ino == os.fstat(copy.fileno()).st_ino)
read_end, write_end = os.pipe()
os.writev(write_end, [b"a", b"b"])
show("pipe", os.read(read_end, 10), outcome(lambda: os.lseek(read_end, 0, 0)))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
udp.sendto(b"self", udp.getsockname())
show("udp", udp.recvfrom(10)[0], outcome(lambda: udp.send(b"nobody")))
show("closed", outcome(lambda: os.close(999)), outcome(lambda: os.dup(999)),
     outcome(lambda: os.read(999, 1)))
maps = open("/proc/self/maps").read()
show("engine", "libquic_engine" in maps)
"""

# Python's own server with a process for each connection, over QUIC sockets: the handshake is all that it is told.
FORKING = r"""
import ctypes, socket, socketserver, sys, threading
key, cert = (name.encode() for name in sys.argv[1:3])
quic = ctypes.CDLL(None)

class Handler(socketserver.StreamRequestHandler):
    def setup(self):
        if quic.quic_server_handshake(self.request.fileno(), key, cert) != 0:
            sys.exit("no handshake")
        super().setup()

    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())

class Server(socketserver.ForkingTCPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 288)
        self.server_bind()
        self.server_activate()

def ask(number, results):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 288) as s:
        s.connect(server.server_address)
        if quic.quic_client_handshake(s.fileno(), None, None) != 0:
            results.append("no handshake")
            return
        for i in range(20):
            s.sendall(b"line %d of %d\n" % (i, number))
            line = b""
            while not line.endswith(b"\n"):
                line += s.recv(100)
            results.append(line == b"LINE %d OF %d\n" % (i, number))

server = Server()
threading.Thread(target=server.serve_forever, daemon=True).start()
results = []
clients = [threading.Thread(target=ask, args=(i, results)) for i in range(6)]
for client in clients:
    client.start()
for client in clients:
    client.join()
server.shutdown()
print(len(results), results.count(True), flush=True)
"""

# A server on epoll, edge-triggered, and its clients.
EPOLL = r"""
import select, socket, threading
listener = socket.create_server(("127.0.0.1", 0))
listener.setblocking(False)
address = listener.getsockname()

def ask(number, results):
    with socket.create_connection(address) as s:
        for i in range(50):
            s.sendall(b"%d:%d\n" % (number, i))
            line = b""
            while not line.endswith(b"\n"):
                line += s.recv(100)
            results.append(line)

results = []
clients = [threading.Thread(target=ask, args=(i, results)) for i in range(20)]
epoll = select.epoll()
epoll.register(listener, select.EPOLLIN)
sockets, ended = {}, 0
for client in clients:
    client.start()
while ended < len(clients):
    for fd, mask in epoll.poll(5):
        if fd == listener.fileno():
            s, _ = listener.accept()
            s.setblocking(False)
            sockets[s.fileno()] = s
            epoll.register(s, select.EPOLLIN | select.EPOLLET)
            continue
        while True:
            try:
                data = sockets[fd].recv(1000)
            except BlockingIOError:
                break
            if not data:
                sockets.pop(fd).close()
                ended += 1
                break
            sockets[fd].sendall(data.upper())
for client in clients:
    client.join()
print(len(results), len(set(results)), "libquic_engine" in open("/proc/self/maps").read())
"""

# TLS of the program's own next to the engine's.
BOTH = r"""
import socket, ssl, sys
quic = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 288)
quic.bind(("127.0.0.1", 0))
quic.listen(1)
context = ssl.create_default_context(cafile=sys.argv[2])
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as raw:
    with context.wrap_socket(raw, server_hostname="localhost") as tls:
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while True:
            part = tls.recv(65536)
            if not part:
                break
            answer += part
print(len(answer), quic.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL),
      "libquic_engine" in open("/proc/self/maps").read())
"""


class HttpsServer(threading.Thread):
    """Answers every request with the same bytes, over TLS."""

    BODY = bytes(range(256)) * 4096

    def __init__(self, cert, key):
        super().__init__(daemon=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(raw, server_side=True) as tls:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        request += tls.recv(4096)
                    tls.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.BODY)
                                + self.BODY)
            except OSError:
                pass

    def close(self):
        # Its thread ends first: about to accept, it would take a connection of the next server, which has the number
        # of this descriptor, and show it the wrong certificate.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.join()
        self.listener.close()


class Preload(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.key, self.cert = programs.make_identity(self.scratch.name)
        self.https = HttpsServer(self.cert, self.key)
        self.https.start()

    def tearDown(self):
        self.https.close()
        self.scratch.cleanup()

    def run_program(self, command, preload):
        env = dict(os.environ, QUIC_ENGINE=ENGINE)
        if preload:
            env["LD_PRELOAD"] = LIBRARY
        return subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False)

    def same(self, command):
        """The result with and without, which has to be one and the same success."""
        plain = self.run_program(command, False)
        loaded = self.run_program(command, True)
        self.assertEqual(plain.returncode, 0, plain.stderr)
        self.assertEqual(loaded.returncode, 0, loaded.stderr)
        self.assertEqual(loaded.stdout, plain.stdout)
        self.assertEqual(loaded.stderr, plain.stderr)
        return loaded.stdout

    def url(self):
        return "https://localhost:%d/" % self.https.port

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_curl(self):
        body = self.same(["curl", "-sS", "--http1.0", "--cacert", self.cert, self.url()])
        self.assertEqual(body, HttpsServer.BODY)

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_curl_that_fails(self):
        for words in (["--cacert", "/dev/null", self.url()],
                      ["-sS", "http://127.0.0.1:1/"]):
            plain = self.run_program(["curl", *words], False)
            loaded = self.run_program(["curl", *words], True)
            self.assertNotEqual(plain.returncode, 0)
            self.assertEqual(loaded.returncode, plain.returncode)

    def test_python_sockets(self):
        out = self.same([sys.executable, "-c", SOCKETS]).decode()
        self.assertIn("engine False", out)
        self.assertIn("sendfile True", out)

    def test_python_tls(self):
        program = ("import sys, ssl, urllib.request\n"
                   "context = ssl.create_default_context(cafile=sys.argv[2])\n"
                   "body = urllib.request.urlopen(sys.argv[1], context=context).read()\n"
                   "print(len(body), hash(body) == hash(bytes(range(256)) * 4096),"
                   " 'libquic_engine' in open('/proc/self/maps').read())\n")
        out = self.same([sys.executable, "-c", program, self.url(), self.cert])
        self.assertEqual(out, b"%d True False\n" % len(HttpsServer.BODY))

    def test_python_server_that_forks(self):
        env = dict(os.environ, LD_PRELOAD=LIBRARY, QUIC_ENGINE=ENGINE, SSL_CERT_FILE=self.cert)
        done = subprocess.run([sys.executable, "-c", FORKING, self.key, self.cert], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              universal_newlines=True, timeout=LIMIT_S)
        self.assertEqual((done.stdout, done.returncode), ("120 120\n", 0), done.stderr)

    def test_epoll_server(self):
        self.assertEqual(self.same([sys.executable, "-c", EPOLL]), b"1000 1000 False\n")

    def test_two_tls_libraries_in_one_process(self):
        """With a QUIC socket the engine is there, and the program's own TLS does not notice."""
        done = self.run_program([sys.executable, "-c", BOTH, str(self.https.port), self.cert], True)
        self.assertEqual(done.returncode, 0, done.stderr)
        length, protocol, loaded = done.stdout.split()
        self.assertGreater(int(length), len(HttpsServer.BODY))
        self.assertEqual((protocol, loaded), (b"288", b"True"))

    def test_library_of_the_same_names(self):
        """The kernel's library has some of our names with other arguments: on its sockets a program that has brought
        it gets what it was linked with, on the draft's what netinet/quic.h says."""
        done = self.run_program([NAMESAKE], True)
        self.assertEqual(done.returncode, 0, done.stderr)
        kernel, draft, log = done.stdout.decode().splitlines()
        self.assertEqual(kernel, "261: 1032 2184 3001 4003 8")
        self.assertEqual(draft, "288: %d %d -1 -1 -1" % (-errno.EINVAL, -errno.EINVAL))
        self.assertEqual(log, "log: 5003")

    def test_library_needs_only_libc(self):
        out = subprocess.run(["readelf", "-d", LIBRARY], stdout=subprocess.PIPE,
                             universal_newlines=True, check=True).stdout
        needed = set(re.findall(r"NEEDED.*\[(.*?)\]", out))
        self.assertLessEqual(needed, {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"})

    @unittest.skipUnless(shutil.which("iperf3"), "iperf3 is not installed")
    def test_iperf3(self):
        for preload in (False, True):
            env = dict(os.environ, QUIC_ENGINE=ENGINE)
            if preload:
                env["LD_PRELOAD"] = LIBRARY
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = str(probe.getsockname()[1])
            server = subprocess.Popen(["iperf3", "-s", "-1", "-p", port], env=env,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                until = time.monotonic() + LIMIT_S
                done = None
                while time.monotonic() < until:
                    done = self.run_program(["iperf3", "-c", "127.0.0.1", "-p", port, "-n", "20M",
                                             "-P", "2", "-J"], preload)
                    if b"unable to connect" not in done.stdout:
                        break
                    time.sleep(0.05)
                self.assertEqual(done.returncode, 0, done.stdout)
                sent, received = (int(re.search(rb'"sum_%s":\s*\{.*?"bytes":\s*(\d+)' % what,
                                                done.stdout, re.DOTALL).group(1))
                                  for what in (b"sent", b"received"))
                self.assertGreaterEqual(sent, 20 << 20)
                self.assertGreater(received, 0) # the client ends when all is sent
                self.assertEqual(server.wait(LIMIT_S), 0)
            finally:
                server.kill()
                server.wait()


if __name__ == "__main__":
    LIBRARY, ENGINE, NAMESAKE = (os.path.abspath(path) for path in sys.argv[1:4])
    unittest.main(argv=sys.argv[:1])
