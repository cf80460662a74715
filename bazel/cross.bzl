"""Compiling on x86-64 for aarch64, with Debian's g++-aarch64-linux-gnu:

    --config=aarch64 --repo_env=QURING_SYSROOT=DIR      DIR: the root of an arm64 Debian 12 with the -dev packages

.ci/nightly/aarch64.sh makes such a folder and runs the tests.
"""

_BUILD = """
load("@local_config_cc//:cc_toolchain_config.bzl", "cc_toolchain_config")

filegroup(name = "nothing")

cc_toolchain_config(
    name = "config",
    abi_libc_version = "local",
    abi_version = "local",
    builtin_sysroot = "{sysroot}",
    compile_flags = [
        "-U_FORTIFY_SOURCE",
        "-fstack-protector",
        "-fno-omit-frame-pointer",
    ],
    compiler = "gcc",
    cpu = "aarch64",
    cxx_builtin_include_directories = [
        "/usr/lib/gcc-cross/aarch64-linux-gnu",
        "/usr/aarch64-linux-gnu/include",
        "{sysroot}/usr/include",
    ],
    host_system_name = "local",
    link_flags = ["-Wl,-z,relro,-z,now"],
    link_libs = ["-lstdc++", "-lm"],
    opt_compile_flags = [
        "-D_FORTIFY_SOURCE=1",
        "-DNDEBUG",
        "-ffunction-sections",
        "-fdata-sections",
    ],
    opt_link_flags = ["-Wl,--gc-sections"],
    supports_start_end_lib = False,
    target_libc = "glibc",
    target_system_name = "aarch64-linux-gnu",
    tool_paths = {{
        tool: "/usr/bin/aarch64-linux-gnu-" + tool
        for tool in ["ar", "cpp", "dwp", "gcc", "gcov", "ld", "llvm-cov", "nm", "objcopy", "objdump", "strip"]
    }},
    toolchain_identifier = "aarch64-linux-gnu",
    unfiltered_compile_flags = ["-fno-canonical-system-headers"],
)

cc_toolchain(
    name = "gcc",
    all_files = ":nothing",
    compiler_files = ":nothing",
    dwp_files = ":nothing",
    linker_files = ":nothing",
    objcopy_files = ":nothing",
    strip_files = ":nothing",
    toolchain_config = ":config",
)

cc_toolchain_suite(
    name = "toolchains",
    toolchains = {{"aarch64": ":gcc"}},
)

toolchain(
    name = "aarch64_toolchain",
    exec_compatible_with = ["@platforms//os:linux", "@platforms//cpu:x86_64"],
    target_compatible_with = ["@platforms//os:linux", "@platforms//cpu:aarch64"],
    toolchain = ":gcc",
    toolchain_type = "@bazel_tools//tools/cpp:toolchain_type",
)

platform(
    name = "aarch64",
    constraint_values = ["@platforms//os:linux", "@platforms//cpu:aarch64"],
)
"""

def _cross_impl(ctx):
    ctx.file("BUILD.bazel", _BUILD.format(sysroot = ctx.os.environ.get("QURING_SYSROOT", "")))

cross = repository_rule(
    implementation = _cross_impl,
    environ = ["QURING_SYSROOT"],
    doc = "A toolchain that is chosen for the platform @NAME//:aarch64.",
)
