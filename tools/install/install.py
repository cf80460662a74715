#!/usr/bin/env python3
"""Installs quring: libraries, headers, pkg-config files, quicperf and the manual.

    tools/bazel run //:install -- [--prefix DIR] [--libdir DIR] [--destdir DIR] [--uninstall]

  --prefix DIR    where it is to be used from; default /usr/local
  --libdir DIR    where the libraries go, below the prefix unless it begins with /; default lib
  --destdir DIR   put everything below DIR instead of /, for packages; default $DESTDIR, else /
  --uninstall     remove what an installation with the same options has put there
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

ENGINE = "libquring.so"
DOCUMENTS = ["quicperf.schema.json", "limits.md", "sockets.md", "porting-from-tcp.md", "porting-from-kernel-quic.md"]
SOCKETS = ("libquic.so", "libquic_engine.so", "libquic_gnutls.so")

# name: (description, libraries, lines of its own)
PACKAGES = {
    "quring": ("QUIC for servers: handles and callbacks", "-lquring", ""),
    "quic": ("QUIC sockets of draft-lxin-quic-socket-apis-00", "-lquic", "preload=${libdir}/libquic.so\n"),
    "quic_gnutls": ("handshakes of QUIC sockets with keys of gnutls and pre-shared keys", "-lquic_gnutls",
                    "Requires: quic\n"),
}


def tree():
    """The directory that mirrors the workspace, with what has been built: the runfiles."""
    script = os.path.abspath(sys.argv[0])
    for root in (script + ".runfiles/quring", os.path.dirname(script) + "/../.."):
        if os.path.exists(root + "/include/quring/base.h"):
            return root
    sys.exit("install: what is to be installed is not there; run it with tools/bazel run //:install")


def version(root):
    with open(root + "/include/quring/base.h", encoding="utf-8") as file:
        text = file.read()
    return ".".join(re.search(r"QURING_VERSION_%s (\d+)" % part, text)[1]
                    for part in ("MAJOR", "MINOR", "PATCH"))


def below(prefix, path):
    """`path` as a pkg-config file says it."""
    return "${prefix}" + path[len(prefix):] if path.startswith(prefix + "/") else path


def package_file(name, prefix, libdir, number):
    description, libs, own = PACKAGES[name]
    head, rest = (own, "") if own.startswith("preload") else ("", own)
    return ("prefix=%s\nlibdir=%s\nincludedir=${prefix}/include\n%s\nName: %s\nDescription: %s\n"
            "Version: %s\n%sLibs: -L${libdir} %s\nCflags: -I${includedir}\n" %
            (prefix, below(prefix, libdir), head, name, description, number, rest, libs))


def plan(root, prefix, libdir):
    """What there is to install: path -> ("file", source, mode), ("text", bytes) or ("link", target)."""
    number = version(root)
    files = {}

    def add(directory, source, mode=0o644, name=None):
        files[os.path.join(directory, name or os.path.basename(source))] = ("file", source, mode)

    for folder in ("quring", "netinet"):
        for name in sorted(os.listdir("%s/include/%s" % (root, folder))):
            if name.endswith((".h", ".def")):
                add("%s/include/%s" % (prefix, folder), "%s/include/%s/%s" % (root, folder, name))
    soname = "%s.%s" % (ENGINE, number.split(".", maxsplit=1)[0])
    add(libdir, "%s/runtime/%s" % (root, soname), name="%s.%s" % (ENGINE, number))
    files["%s/%s" % (libdir, soname)] = ("link", "%s.%s" % (ENGINE, number))
    files["%s/%s" % (libdir, ENGINE)] = ("link", soname)
    for name in SOCKETS:
        add(libdir, "%s/compat/%s" % (root, name))
    for name in PACKAGES:
        text = package_file(name, prefix, libdir, number)
        files["%s/pkgconfig/%s.pc" % (libdir, name)] = ("text", text.encode())
    add(prefix + "/bin", root + "/tools/quicperf/quicperf", 0o755)
    for name in sorted(os.listdir(root + "/docs/man")):
        add("%s/share/man/man%s" % (prefix, name[-1]), "%s/docs/man/%s" % (root, name))
    add(prefix + "/share/doc/quring", root + "/LICENSE")
    for name in DOCUMENTS:
        add(prefix + "/share/doc/quring", root + "/docs/" + name)
    return files


def put(path, entry):
    """A new file takes the old one's place at once: programs that run with the old one keep it."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=".quring-", dir=os.path.dirname(path))
    os.close(handle)
    try:
        if entry[0] == "link":
            os.unlink(draft)
            os.symlink(entry[1], draft)
        elif entry[0] == "text":
            with open(draft, "wb") as file:
                file.write(entry[1])
            os.chmod(draft, 0o644)
        else:
            shutil.copyfile(entry[1], draft)
            os.chmod(draft, entry[2])
        os.replace(draft, path)
    except OSError:
        if os.path.lexists(draft):
            os.unlink(draft)
        raise


def remove(path):
    if os.path.lexists(path):
        os.unlink(path)
    folder = os.path.dirname(path)
    if os.path.basename(folder) == "quring" and os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)


def options():
    parser = argparse.ArgumentParser(prog="install", add_help=False, allow_abbrev=False)
    parser.add_argument("--prefix", default="/usr/local")
    parser.add_argument("--libdir", default="lib")
    parser.add_argument("--destdir", default=os.environ.get("DESTDIR", ""))
    parser.add_argument("--uninstall", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    asked = parser.parse_args()
    if asked.help:
        print(__doc__.strip())
        sys.exit(0)
    if not asked.prefix.startswith("/"):
        parser.error("--prefix begins with /, as programs are told it: %s" % asked.prefix)
    asked.prefix = os.path.normpath(asked.prefix).rstrip("/")
    asked.libdir = os.path.normpath(os.path.join(asked.prefix + "/", asked.libdir))
    if asked.destdir:  # as seen from where the command was typed
        here = os.environ.get("BUILD_WORKING_DIRECTORY", os.getcwd())
        asked.destdir = os.path.normpath(os.path.join(here, asked.destdir)).rstrip("/")
    return asked


def main():
    asked = options()
    files = plan(tree(), asked.prefix, asked.libdir)
    try:
        for path in sorted(files):
            if asked.uninstall:
                remove(asked.destdir + path)
            else:
                put(asked.destdir + path, files[path])
    except OSError as error:
        sys.exit("install: %s: %s" % (error.filename2 or error.filename, error.strerror))
    print("%s %d files below %s" % ("removed" if asked.uninstall else "installed", len(files),
                                    asked.destdir + asked.prefix or "/"))
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if not asked.destdir and os.geteuid() == 0 and ldconfig:
        subprocess.run((ldconfig,), check=False)  # so that the loader finds them, if it looks there
    return 0


if __name__ == "__main__":
    sys.exit(main())
