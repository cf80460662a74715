"""Rules for this project's own C and its C++ tests: warnings, visibility, header checks.

quring_cc_library   one .h/.c pair of C11; also checks that each header compiles alone
quring_cc_test      a googletest in C++17; brings its own main and a precompiled header
quring_cc_fuzz      a libFuzzer target; without --config=fuzz a test that replays its corpus
quring_cc_binary    a C program
quring_cc_test_cases  the tests of several quring_cc_test that differ in how they are run
quring_cc_test_library  what several of them share, with the same precompiled header
core_archives       the archives of a package subtree, for tests that look into them
"""

_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wshadow",
    "-Wvla",
    "-Wpointer-arith",
]

_C_COPTS = _WARNINGS + [
    "-Wconversion",
    "-Wno-sign-conversion",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-fno-common",
    "-fno-plt",
    "-fno-semantic-interposition",
    "-fvisibility=hidden",
]

# gcc would clear and copy structs with `rep stos` and `rep movs`, whose beginning alone takes as long as three calls of
# the C library's memset for them.
_STRING_COPTS = select({
    "//bazel:gcc_x86_64": ["-mstringop-strategy=libcall"],
    "//conditions:default": [],
})

TEST_COPTS = _WARNINGS + [
    "-Wno-missing-field-initializers",
    "-g1",
]

# gcc collects its garbage again and again over the 75 MB of the precompiled header: a tenth of a test's compilation.
_TEST_GCC_OPTS = select({
    "//bazel:gcc": [
        "--param=ggc-min-expand=1000",
        "--param=ggc-min-heapsize=1000000",
    ],
    "//conditions:default": [],
})

# Without it where headers are checked against dependencies, and where every test is a fuzz target.
_TEST_PCH = select({
    "//bazel:clang": [],
    "//bazel:fuzz": [],
    "//conditions:default": ["//bazel:test_pch"],
})
_TEST_PCH_OPTS = select({
    "//bazel:clang": [],
    "//bazel:fuzz": [],
    "//conditions:default": ["-include", "$(BINDIR)/bazel/test_pch.h"],
})

_PUBLIC_INCLUDE = "include/"

def _header_unit_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".c")
    lines = ['#include "%s"\n' % path for path in ctx.attr.paths for _ in (1, 2)]
    ctx.actions.write(out, "".join(lines) + "typedef int quring_header_check;\n")
    return [DefaultInfo(files = depset([out]))]

_header_unit = rule(
    implementation = _header_unit_impl,
    attrs = {"paths": attr.string_list()},
)

def _header_check(name, hdrs, testonly, tags):
    """Compiles each header alone and twice: self-contained and guarded, or the build fails."""
    package = native.package_name() + "/"
    if package.startswith(_PUBLIC_INCLUDE):
        package = package[len(_PUBLIC_INCLUDE):]
    units = []
    for header in hdrs:
        if not header.endswith(".h") or header.startswith(":") or header.startswith("//"):
            continue
        unit = "%s_%s_unit" % (name, header[:-2].replace("/", "_"))
        _header_unit(name = unit, paths = [package + header], testonly = testonly, tags = tags)
        units.append(unit)
    if units:
        native.cc_library(
            name = name + "_hdr_check",
            testonly = testonly,
            srcs = units,
            copts = _C_COPTS,
            linkstatic = True,
            tags = tags,
            # One configuration looks at the headers; the others need not compile them again.
            target_compatible_with = select({
                "//bazel:clang": [],
                "//conditions:default": ["//bazel:never"],
            }),
            visibility = ["//visibility:private"],
            deps = [":" + name],
        )

def quring_cc_library(
        name,
        srcs = [],
        hdrs = [],
        deps = [],
        copts = [],
        testonly = False,
        tags = [],
        **kwargs):
    """A C library of this project; takes what cc_library takes."""
    native.cc_library(
        name = name,
        testonly = testonly,
        srcs = srcs,
        hdrs = hdrs,
        copts = _C_COPTS + _STRING_COPTS + copts,
        linkstatic = True,
        tags = tags,
        deps = deps,
        **kwargs
    )
    _header_check(name, hdrs, testonly, tags)

def quring_cc_test(name, srcs = [], deps = [], copts = [], size = "small", optimized = False, **kwargs):
    """A googletest; takes what cc_test takes.

    optimized: one of those that .bazelrc has compiled with optimization, which the precompiled header does not fit.
    """
    native.cc_test(
        name = name,
        size = size,
        srcs = srcs,
        copts = TEST_COPTS + _TEST_GCC_OPTS + copts + ([] if optimized else _TEST_PCH_OPTS),
        linkstatic = True,
        deps = deps + ["//bazel/third_party:gtest_main"] + ([] if optimized else _TEST_PCH),
        **kwargs
    )

def quring_cc_test_library(name, srcs, deps = [], copts = [], **kwargs):
    """What several tests share and uses googletest itself; takes what cc_library takes."""
    native.cc_library(
        name = name,
        testonly = True,
        srcs = srcs,
        copts = TEST_COPTS + _TEST_GCC_OPTS + copts + _TEST_PCH_OPTS,
        linkstatic = True,
        deps = deps + ["//bazel/third_party:gtest_main"] + _TEST_PCH,
        **kwargs
    )

def quring_cc_test_cases(name, srcs, deps = [], copts = []):
    """Tests that several quring_cc_test run, each in its own way: compiled once."""
    quring_cc_test_library(
        name = name,
        srcs = srcs,
        copts = copts,
        alwayslink = True,
        deps = deps,
    )

def quring_cc_fuzz(name, srcs, corpus = [], deps = [], copts = [], size = "small", **kwargs):
    """A fuzz target (LLVMFuzzerTestOneInput) whose test replays `corpus`, a list of files."""
    native.cc_test(
        name = name,
        size = size,
        srcs = srcs,
        args = select({
            "//bazel:fuzz": ["-runs=0"],
            "//conditions:default": [],
        }) + ["$(locations %s)" % label for label in corpus],
        copts = TEST_COPTS + copts,
        data = corpus,
        linkopts = select({
            "//bazel:fuzz": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        linkstatic = True,
        deps = deps + select({
            "//bazel:fuzz": [],
            "//conditions:default": ["//bazel:fuzz_replay"],
        }),
        **kwargs
    )

def quring_cc_binary(name, srcs = [], deps = [], copts = [], **kwargs):
    """A C program of this project; takes what cc_binary takes."""
    native.cc_binary(
        name = name,
        srcs = srcs,
        copts = _C_COPTS + copts,
        deps = deps,
        **kwargs
    )

def _core_archives_impl(ctx):
    archives = []
    for dep in ctx.attr.deps:
        for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
            owner = linker_input.owner
            if owner.workspace_name or not (owner.package + "/").startswith(ctx.attr.subtree):
                continue
            for library in linker_input.libraries:
                archive = library.pic_static_library or library.static_library
                if archive:
                    archives.append(archive)
    files = depset(archives)
    return [DefaultInfo(files = files, runfiles = ctx.runfiles(transitive_files = files))]

core_archives = rule(
    implementation = _core_archives_impl,
    attrs = {
        "deps": attr.label_list(providers = [CcInfo]),
        "subtree": attr.string(mandatory = True, doc = "package prefix with a closing slash"),
    },
    doc = "The static archives under `subtree` that linking `deps` would use.",
)
