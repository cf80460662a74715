#!/usr/bin/env python3
"""Scans the source tree for what the build cannot forbid.

    scan.py includes WORKSPACE   each layer includes only what its layer may
    scan.py files WORKSPACE      no overlong file or line, no mark of unfinished work
    scan.py selftest             both find every planted violation and accept a clean tree

WORKSPACE is the file of that name at the tree's root; symlinks to it are followed.
"""
import os
import re
import sys
import tempfile

LINES_MAX = 700
COLUMNS_MAX = 120
SOURCE_ENDINGS = (".c", ".h", ".cc", ".def", ".bzl", ".bazel", ".py", ".sh")
MARKS = re.compile(r"\b(T[O]DO|F[I]XME|X{3}|H[A]CK)\b|not [i]mplemented|un[i]mplemented", re.I)

PLAIN_C = {"string.h", "stdint.h", "stdbool.h", "stddef.h"}
CORE_PUBLIC = {"quring/%s" % name
               for name in ("base.h", "config.h", "conn.h", "handshake.h", "stats.def")}
LEAVES = ("quic/base/", "quic/wire/", "quic/crypto/", "quic/recovery/", "quic/cc/",
          "quic/stream/", "quic/path/", "quic/trace/")
# Pure arithmetic the crypto glue needs: vector instructions, and atomics for its one-time set-up.
CRYPTO_C = re.compile(r"\w+intrin\.h|arm_neon\.h|cpuid\.h|stdatomic\.h")
KERNEL = re.compile(r"sys/(socket|uio|epoll|un)\.h|(net|netinet|linux)/|pthread\.h|threads\.h")
# What the socket API of QUIC is made of.
SOCKETS = re.compile(r"sys/(socket|types)\.h|netinet/in\.h|gnutls/abstract\.h")
LIBRARIES = re.compile(r"openssl/|liburing|mimalloc|intel-ipsec-mb|gtest|gmock")
INCLUDE = re.compile(r'\s*#\s*include\s+([<"])([^>"]+)[>"]')


def core_refuses(path, header, quoted):
    """Why a file of quic/ may not include `header`, or None."""
    if quoted:
        if header.startswith("quic/"):
            if path.startswith(LEAVES) and header.startswith(("quic/conn/", "quic/endpoint/")):
                return "a leaf does not know connections or endpoints"
            if path.startswith("quic/conn/") and header.startswith("quic/endpoint/"):
                return "a connection does not know its endpoint"
            return None
        return None if header in CORE_PUBLIC else "the core knows only itself"
    if header in PLAIN_C:
        return None
    if header in ("stdio.h", "stdlib.h"):
        return None if path == "quic/base/check.c" else "only quic/base/check.c prints and aborts"
    if header == "openssl/ssl.h":
        return None if path.startswith("quic/crypto/tls_") else "only quic/crypto/tls_* speaks TLS"
    if header.startswith("openssl/") or header == "intel-ipsec-mb.h":
        return None if path.startswith("quic/crypto/") else "only quic/crypto calls crypto libraries"
    if CRYPTO_C.fullmatch(header) and path.startswith("quic/crypto/"):
        return None
    return "the core does no I/O and reads no clock"


def public_refuses(path, header, quoted):
    if quoted:
        return None if header.startswith("quring/") else "public headers include public headers"
    if path.startswith("include/netinet/") and SOCKETS.match(header):
        return None
    return None if header in PLAIN_C else "public headers need nothing but C"


def outside_refuses(path, header, quoted):
    """For tools/ and compat/: programs over the public interface."""
    own = "/".join(path.split("/")[:1]) + "/"
    if quoted:
        return None if header.startswith(("quring/", own)) else "programs use the public interface"
    if header.startswith("gnutls/"):
        return None if path.startswith("compat/gnutls/") else "only compat/gnutls speaks gnutls"
    if own == "compat/" and not LIBRARIES.match(header):
        return None  # it is the socket calls
    if path.startswith("tools/quicperf/tcp/") and (KERNEL.match(header) or
                                                   header.startswith("openssl/")):
        return None  # what QUIC is compared with
    if path.startswith("tools/quicperf/sockets/") and (KERNEL.match(header) or
                                                       header == "netinet/quic.h"):
        return None  # a program of sockets
    if KERNEL.match(header) or LIBRARIES.match(header):
        return "only runtime/ meets sockets, threads and libraries"
    return None


def runtime_refuses(header, quoted):
    if quoted and not header.startswith(("quic/", "quring/", "runtime/")):
        return "runtime/ uses the core and the public headers"
    return None


def refusal(path, header, quoted):
    if path.startswith("quic/"):
        return core_refuses(path, header, quoted)
    if path.startswith("include/"):
        return public_refuses(path, header, quoted)
    if path.startswith("runtime/"):
        return runtime_refuses(header, quoted)
    if path.startswith(("tools/", "compat/")):
        return outside_refuses(path, header, quoted)
    return None


def sources(root):
    """Yields (path, lines) of each source file under root."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders
                               if name != ".git" and not name.startswith("bazel-"))
        for name in sorted(names):
            full = os.path.join(folder, name)
            if name.endswith(SOURCE_ENDINGS) and not os.path.islink(full):
                with open(full, encoding="utf-8", errors="replace") as file:
                    yield os.path.relpath(full, root), file.read().splitlines()


def scan_includes(root):
    found = []
    for path, lines in sources(root):
        if not path.endswith((".c", ".h", ".cc")):
            continue
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            why = match and refusal(path, match[2], match[1] == '"')
            if why:
                found.append("%s:%d: %s: %s" % (path, number, match[2], why))
    return found


def scan_files(root):
    found = []
    for path, lines in sources(root):
        if len(lines) > LINES_MAX:
            found.append("%s: %d lines, the bound is %d" % (path, len(lines), LINES_MAX))
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS_MAX:
                found.append("%s:%d: %d columns, the bound is %d" % (path, number, len(line), COLUMNS_MAX))
            match = MARKS.search(line)
            if match:
                found.append("%s:%d: unfinished: %s" % (path, number, match[0]))
    return found


def write_tree(root, files):
    for path, text in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)


GOOD_INCLUDES = {
    "quic/wire/a.c": '#include "quic/base/types.h"\n#include <string.h>\n',
    "quic/base/check.c": "#include <stdio.h>\n#include <stdlib.h>\n",
    "quic/crypto/tls_x.c": "#include <openssl/ssl.h>\n",
    "quic/crypto/aead.c": "#include <openssl/aead.h>\n#include <intel-ipsec-mb.h>\n"
                           "#include <immintrin.h>\n",
    "quic/endpoint/e.c": '#include "quic/conn/conn.h"\n#include "quring/stats.def"\n',
    "include/quring/a.h": '#include "quring/base.h"\n#include <stdint.h>\n',
    "runtime/udp/u.c": '#include <liburing.h>\n#include <sys/socket.h>\n#include "quic/base/io.h"\n',
    "tools/quicperf/main.c": '#include "quring/quring.h"\n#include "tools/quicperf/hist.h"\n'
                             "#include <stdio.h>\n#include <sys/signalfd.h>\n",
    "tools/quicperf/tcp/link.c": "#include <openssl/ssl.h>\n#include <sys/socket.h>\n",
    "tools/quicperf/sockets/lib.c": "#include <netinet/quic.h>\n#include <pthread.h>\n",
    "compat/core/a.c": '#include "quring/quring.h"\n#include "compat/ops.h"\n#include <sys/socket.h>\n',
    "compat/gnutls/a.c": '#include <gnutls/gnutls.h>\n#include <sys/socket.h>\n',
    "include/netinet/a.h": "#include <sys/socket.h>\n#include <stdint.h>\n",
    "tests/quic/wire/t.cc": '#include "quic/conn/conn_internal.h"\n#include <sys/socket.h>\n',
}
BAD_INCLUDES = [
    ("quic/wire/a.c", "<time.h>"), ("quic/wire/a.c", "<stdio.h>"), ("quic/wire/a.c", "<errno.h>"),
    ("quic/conn/a.c", "<sys/socket.h>"), ("quic/stream/a.h", '"quic/conn/conn.h"'),
    ("quic/path/a.h", '"quic/endpoint/endpoint.h"'), ("quic/conn/a.h", '"quic/endpoint/endpoint.h"'),
    ("quic/conn/a.c", '"runtime/udp/u.h"'), ("quic/conn/a.c", '"quring/runtime.h"'),
    ("quic/conn/a.c", "<openssl/aead.h>"), ("quic/crypto/aead.c", "<openssl/ssl.h>"),
    ("quic/wire/a.c", "<intel-ipsec-mb.h>"), ("quic/conn/a.c", "<pthread.h>"),
    ("quic/conn/a.c", "<stdatomic.h>"), ("tools/quicperf/a.c", "<sys/socket.h>"),
    ("include/quring/a.h", "<sys/socket.h>"), ("include/quring/a.h", '"quic/base/types.h"'),
    ("runtime/core/a.c", '"tools/quicperf/hist.h"'), ("tools/quicperf/a.c", "<liburing.h>"),
    ("tools/quicperf/a.c", '"quic/base/types.h"'), ("tools/quicperf/a.c", "<pthread.h>"),
    ("tools/quicperf/a.c", '"runtime/server/log.h"'), ("compat/a.c", '"runtime/core/a.h"'),
    ("compat/a.c", "<openssl/ssl.h>"), ("tools/quicperf/a.c", "<openssl/ssl.h>"),
    ("tools/quicperf/tcp/a.c", "<liburing.h>"), ("tools/quicperf/tcp/a.c", '"runtime/udp/u.h"'),
    ("tools/quicperf/sockets/a.c", "<openssl/ssl.h>"), ("tools/quicperf/a.c", "<netinet/quic.h>"),
    ("include/netinet/a.h", "<stdio.h>"), ("compat/core/a.c", "<gnutls/gnutls.h>"),
    ("compat/gnutls/a.c", "<openssl/ssl.h>"),
]


def selftest():
    wrong = []
    with tempfile.TemporaryDirectory() as root:
        write_tree(root, GOOD_INCLUDES)
        wrong += ["clean tree refused: " + line for line in scan_includes(root) + scan_files(root)]
    for path, header in BAD_INCLUDES:
        with tempfile.TemporaryDirectory() as root:
            write_tree(root, {path: "/* a */\n  # include %s\n" % header})
            if len(scan_includes(root)) != 1:
                wrong.append("not found: %s in %s" % (header, path))
    mark = "TO" + "DO"
    bad_files = {
        "quic/wire/long.c": "int a;\n" * (LINES_MAX + 1),
        "quic/wire/wide.c": "/* %s */\n" % ("w" * COLUMNS_MAX),
        "quic/wire/mark.c": "/* %s: later */\n" % mark,
        "tests/words.cc": "// not " + "implemented\n",
    }
    for path, text in bad_files.items():
        with tempfile.TemporaryDirectory() as root:
            write_tree(root, {path: text})
            if len(scan_files(root)) != 1:
                wrong.append("not found: " + path)
    return wrong


def main(argv):
    if len(argv) == 2 and argv[1] == "selftest":
        found = selftest()
    elif len(argv) == 3 and argv[1] in ("includes", "files"):
        root = os.path.dirname(os.path.realpath(argv[2]))
        if not os.path.isdir(os.path.join(root, "quic")):
            print("no source tree at %s" % root)
            return 1
        found = scan_includes(root) if argv[1] == "includes" else scan_files(root)
    else:
        print(__doc__)
        return 2
    for line in found:
        print(line)
    print("%d found" % len(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
