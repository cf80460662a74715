#!/usr/bin/env python3
"""Installs into a directory and builds programs against it with a C compiler, pkg-config and CMake.

    install_test.py INSTALL ECHO_SERVER.C ECHO_CLIENT.C SOCKETS_ECHO.C
"""
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import unittest

INSTALL, SERVER, CLIENT, SOCKETS = "", "", "", ""
DEADLINE_S = 60

CMAKE = """cmake_minimum_required(VERSION 3.13)
project(outside C)
find_package(PkgConfig REQUIRED)
pkg_check_modules(QURING REQUIRED IMPORTED_TARGET quring>=0.1)
pkg_check_modules(QUIC REQUIRED IMPORTED_TARGET quic)
add_executable(echo_server %s)
target_link_libraries(echo_server PkgConfig::QURING)
add_executable(echo %s)
target_link_libraries(echo PkgConfig::QUIC)
"""
SOCKET = "import socket; print(socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 261).type.name)"


def run(*command, **env):
    """Runs to the end; returns (exit status, stdout and stderr)."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=DEADLINE_S, check=False, env=dict(os.environ, **env))
    return done.returncode, done.stdout.decode()


class Installed(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.dir = os.path.realpath(self.temporary.name)
        self.prefix = self.dir + "/prefix"
        self.lib = self.prefix + "/lib"

    def must(self, *command, **env):
        status, said = run(*command, **env)
        self.assertEqual(status, 0, "%s: %s" % (" ".join(command), said))
        return said

    def flags(self, name):
        return self.must("pkg-config", "--cflags", "--libs", name,
                         PKG_CONFIG_PATH=self.lib + "/pkgconfig").split()

    def compile(self, source, name, package):
        out = "%s/%s" % (self.dir, name)
        self.must("gcc", source, "-o", out, *self.flags(package), "-Wl,-rpath," + self.lib)
        return out

    def files(self, root):
        return sorted(os.path.relpath(os.path.join(folder, name), root)
                      for folder, _, names in os.walk(root) for name in names)

    def test_programs_of_both_kinds(self):
        self.must(INSTALL, "--prefix", self.prefix)
        server = self.compile(SERVER, "echo_server", "quring")
        client = self.compile(CLIENT, "echo_client", "quring")
        with subprocess.Popen((server, "127.0.0.1:0"), stdout=subprocess.PIPE) as process:
            self.assertTrue(select.select([process.stdout], [], [], DEADLINE_S)[0])
            at = process.stdout.readline().decode().split()[-1]
            self.assertIn("hello", self.must(client, at, "hello", "--insecure"))
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(DEADLINE_S), 0)
        needed = self.must("readelf", "-d", server)
        self.assertRegex(needed, r"NEEDED.*\[libquring\.so\.\d+\]")  # not whatever comes to be libquring.so
        sockets = self.compile(SOCKETS, "echo", "quic")
        self.assertIn("usage", run(sockets)[1])
        self.assertEqual(self.flags("quic_gnutls").count("-lquic"), 1)
        self.assertIn("-lquic_gnutls", self.flags("quic_gnutls"))

    def test_preload(self):
        self.must(INSTALL, "--prefix", self.prefix)
        preload = self.must("pkg-config", "--variable=preload", "quic",
                            PKG_CONFIG_PATH=self.lib + "/pkgconfig").strip()
        self.assertEqual(preload, self.lib + "/libquic.so")
        self.assertIn("SOCK_DGRAM", self.must(sys.executable, "-c", SOCKET, LD_PRELOAD=preload))

    def test_quicperf_finds_its_libraries(self):
        self.must(INSTALL, "--prefix", self.prefix)
        quicperf = self.prefix + "/bin/quicperf"
        version = self.must(quicperf, "--version").split()[-1]
        self.assertEqual(version, self.must("pkg-config", "--modversion", "quring",
                                            PKG_CONFIG_PATH=self.lib + "/pkgconfig").strip())
        listed = self.must("ldd", quicperf)
        self.assertRegex(listed, r"libquring\.so\.\d+ => %s/" % re.escape(self.prefix))
        status, said = run(quicperf, "client", "127.0.0.1:9", "--api", "sockets", "--timeout", "100ms", "-t", "100ms")
        self.assertEqual(status, 1)  # of the run that had no server; it would be 2 without libquic.so
        self.assertNotIn("needs libquic.so", said)

    @unittest.skipUnless(shutil.which("cmake"), "cmake is not installed")
    def test_cmake(self):
        self.must(INSTALL, "--prefix", self.prefix)
        os.mkdir(self.dir + "/src")
        with open(self.dir + "/src/CMakeLists.txt", "w", encoding="ascii") as file:
            file.write(CMAKE % (os.path.abspath(SERVER), os.path.abspath(SOCKETS)))
        self.must("cmake", "-G", "Unix Makefiles", "-S", self.dir + "/src", "-B", self.dir + "/build",
                  PKG_CONFIG_PATH=self.lib + "/pkgconfig")
        self.must("cmake", "--build", self.dir + "/build")
        self.assertIn("usage: echo_server", run(self.dir + "/build/echo_server", "-")[1])
        self.assertIn("usage", run(self.dir + "/build/echo")[1])

    def test_destdir_libdir_and_uninstall(self):
        options = ("--prefix", "/usr", "--libdir", "lib/x86_64-linux-gnu")
        self.must(INSTALL, *options, DESTDIR=self.dir + "/stage")
        there = self.files(self.dir + "/stage")
        for name in ("usr/include/quring/quring.h", "usr/include/quring/stats.def", "usr/include/netinet/quic.h",
                     "usr/lib/x86_64-linux-gnu/libquring.so", "usr/lib/x86_64-linux-gnu/libquic_engine.so",
                     "usr/lib/x86_64-linux-gnu/pkgconfig/quring.pc", "usr/bin/quicperf",
                     "usr/share/man/man7/quic.7", "usr/share/man/man3/quic_recvmsg.3"):
            self.assertIn(name, there)
        with open(self.dir + "/stage/usr/lib/x86_64-linux-gnu/pkgconfig/quring.pc", encoding="ascii") as file:
            self.assertIn("libdir=${prefix}/lib/x86_64-linux-gnu\n", file.read())
        for name in there:
            mode = stat.S_IMODE(os.stat(self.dir + "/stage/" + name).st_mode)
            self.assertEqual(mode, 0o755 if name == "usr/bin/quicperf" else 0o644, name)
        with open(self.dir + "/stage/usr/bin/other", "w", encoding="ascii"):
            pass
        self.must(INSTALL, *options, DESTDIR=self.dir + "/stage")  # over what is there
        self.must(INSTALL, *options, "--uninstall", "--destdir", self.dir + "/stage")
        self.assertEqual(self.files(self.dir + "/stage"), ["usr/bin/other"])
        self.must(INSTALL, *options, "--uninstall", "--destdir", self.dir + "/stage")  # nothing there

    def test_a_running_program_keeps_its_library(self):
        self.must(INSTALL, "--prefix", self.prefix)
        library = os.path.realpath(self.lib + "/libquring.so")
        before = os.stat(library).st_ino
        with open(library, "rb"):
            self.must(INSTALL, "--prefix", self.prefix)
            self.assertNotEqual(os.stat(library).st_ino, before)

    def test_refusals(self):
        status, said = run(INSTALL, "--prefix", "here")
        self.assertEqual(status, 2)
        self.assertIn("--prefix begins with /", said)
        with open(self.dir + "/file", "w", encoding="ascii"):
            pass
        status, said = run(INSTALL, "--prefix", self.dir + "/file")
        self.assertEqual((status, said.count("\n")), (1, 1), said)
        self.assertIn("Not a directory", said)
        self.assertEqual(run(INSTALL, "--nonsense")[0], 2)


if __name__ == "__main__":
    INSTALL, SERVER, CLIENT, SOCKETS = sys.argv[1:5]
    del sys.argv[1:5]
    unittest.main()
