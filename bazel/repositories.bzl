"""The outside libraries, as repositories over the files Debian's -dev packages install.

Each repository holds include/ (symlinks to the headers, so that a target sees only the headers of
the libraries it depends on) and a BUILD file; linking goes by -l and Debian's library directories.

BoringSSL can be replaced by another build of it, in two ways:
    --repo_env=QURING_BORINGSSL=DIR     DIR has include/openssl/*.h and lib/lib{ssl,crypto}.so or .a
    --override_repository=boringssl=DIR the same with .a, plus an empty DIR/WORKSPACE and
                                        bazel/third_party/boringssl.BUILD copied to DIR/BUILD.bazel
"""

_ARCHS = ["x86_64", "aarch64"]

def _sysroot(ctx):
    """Where the libraries of another architecture are (bazel/cross.bzl); empty: this machine's own are taken."""
    return ctx.os.environ.get("QURING_SYSROOT", "")

def _arch(ctx):
    if _sysroot(ctx):
        return "aarch64"
    got = ctx.execute(["uname", "-m"]).stdout.strip()
    if got not in _ARCHS:
        fail("quring builds on %s, this machine is %s" % (" and ".join(_ARCHS), got))
    return got

def _lib_dir(ctx):
    return "/usr/lib/%s-linux-gnu" % _arch(ctx)

def _link_headers(ctx, root, headers):
    """Symlinks root/<header> to include/<header>; a header may be a directory. False if one lacks."""
    for header in headers:
        if not ctx.path(root + "/" + header).exists:
            return False
    for header in headers:
        ctx.symlink(root + "/" + header, "include/" + header)
    return True

_LIBRARY = """
cc_library(
    name = "{name}",
    hdrs = glob(["include/**/*.h"], allow_empty = True),
    defines = {defines},
    includes = ["include"],
    linkopts = {linkopts},
    visibility = ["//visibility:public"],
    deps = {deps},
)
"""

def _library(name, linkopts, defines = [], deps = []):
    return _LIBRARY.format(name = name, linkopts = linkopts, defines = defines, deps = deps)

def _debian_library_impl(ctx):
    present = _link_headers(ctx, _sysroot(ctx) + "/usr/include", ctx.attr.headers)
    if ctx.attr.archs and _arch(ctx) not in ctx.attr.archs:
        present = False
    if not present and not ctx.attr.optional:
        fail("%s is missing: install the Debian package %s (tools/bazel does)" %
             (ctx.attr.headers, ctx.attr.debian_package))
    build = ""
    for library in ctx.attr.libraries:
        build += _library(
            library,
            ctx.attr.linkopts if present else [],
            ctx.attr.defines if present else [],
        )
    ctx.file("BUILD.bazel", build)

_debian_library = repository_rule(
    implementation = _debian_library_impl,
    attrs = {
        "archs": attr.string_list(doc = "where the library exists; empty for everywhere"),
        "debian_package": attr.string(),
        "defines": attr.string_list(),
        "headers": attr.string_list(),
        "libraries": attr.string_list(),
        "linkopts": attr.string_list(),
        "optional": attr.bool(doc = "an empty library takes the place of a missing one"),
    },
    configure = True,
    environ = [
        "QURING_OPTIONAL",  # which of the optional ones are there, from tools/bazel
        "QURING_SYSROOT",
    ],
    local = True,
)

def _boringssl_impl(ctx):
    other = ctx.os.environ.get("QURING_BORINGSSL", "")
    root = _sysroot(ctx)
    headers = other + "/include" if other else root + "/usr/include/android"
    libs = other + "/lib" if other else _lib_dir(ctx) + "/android"
    if not _link_headers(ctx, headers, ["openssl"]):
        fail("no BoringSSL in %s: install the Debian package android-libboringssl-dev" % headers)
    path = ["-L" + (libs if other else root + libs), "-Wl,-rpath," + libs]
    own = ["-lstdc++", "-lpthread"] if other else []
    ctx.file(
        "BUILD.bazel",
        _library("crypto", path + ["-lcrypto"] + own) +
        _library("ssl", path + ["-lssl"], deps = [":crypto"]),
    )

_boringssl = repository_rule(
    implementation = _boringssl_impl,
    configure = True,
    environ = [
        "QURING_BORINGSSL",
        "QURING_SYSROOT",
    ],
    local = True,
)

def quring_repositories():
    """Declares every outside repository; targets reach them through //bazel/third_party."""
    _boringssl(name = "boringssl")
    _debian_library(
        name = "gnutls",
        debian_package = "libgnutls28-dev",
        headers = ["gnutls"],
        libraries = ["gnutls"],
        linkopts = ["-lgnutls"],
    )
    _debian_library(
        name = "liburing",
        debian_package = "liburing-dev",
        headers = ["liburing.h", "liburing"],
        libraries = ["uring"],
        linkopts = ["-luring"],
    )
    _debian_library(
        name = "mimalloc",
        debian_package = "libmimalloc-dev",
        headers = ["mimalloc.h"],
        libraries = ["mimalloc"],
        linkopts = ["-lmimalloc"],
    )
    _debian_library(
        name = "nghttp3",
        debian_package = "libnghttp3-dev",
        headers = ["nghttp3"],
        libraries = ["nghttp3"],
        linkopts = ["-lnghttp3"],
        optional = True,
    )
    _debian_library(
        name = "googletest",
        debian_package = "libgtest-dev libgmock-dev",
        headers = ["gtest", "gmock"],
        libraries = ["gtest_main"],
        linkopts = ["-lgmock", "-lgtest", "-lgtest_main", "-lpthread"],
    )
    _debian_library(
        name = "ipsec_mb",
        archs = ["x86_64"],
        debian_package = "libipsec-mb-dev",
        defines = ["QURING_HAVE_IPSEC_MB=1"],
        headers = ["intel-ipsec-mb.h"],
        libraries = ["ipsec_mb"],
        linkopts = ["-lIPSec_MB"],
        optional = True,
    )
