"""What every test includes, compiled once: googletest's templates are most of what building them takes.

The tests do not need it: where the options of a file do not fit, gcc reads the header instead. clang refuses
the file.
"""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

def _test_pch_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    header = ctx.actions.declare_file(ctx.label.name + ".h")
    compiled = ctx.actions.declare_file(ctx.label.name + ".h.gch")
    ctx.actions.write(header, "".join(["#include <%s>\n" % name for name in ctx.attr.headers]))

    # As a test is compiled: the options of all, those of C++, those of tests.
    context = ctx.attr.dep[CcInfo].compilation_context
    variables = cc_common.create_compile_variables(
        feature_configuration = features,
        cc_toolchain = toolchain,
        source_file = header.path,
        output_file = compiled.path,
        use_pic = True,
        user_compile_flags = ctx.fragments.cpp.copts + ctx.fragments.cpp.cxxopts + ctx.attr.copts,
        include_directories = context.includes,
        quote_include_directories = context.quote_includes,
        system_include_directories = context.system_includes,
    )
    tool = cc_common.get_tool_for_action(
        feature_configuration = features,
        action_name = ACTION_NAMES.cpp_compile,
    )

    # What clang makes is good for this place alone, and for the header as old as it is unless told otherwise. What
    # the headers themselves instantiate it leaves to every file that includes them unless told otherwise: up to a
    # quarter of what a test takes.
    is_clang = "clang" in tool
    clang_options = ["-Xclang", "-fno-pch-timestamp", "-fpch-instantiate-templates"]
    options = cc_common.get_memory_inefficient_command_line(
        feature_configuration = features,
        action_name = ACTION_NAMES.cpp_compile,
        variables = variables,
    )
    ctx.actions.run(
        executable = tool,
        arguments = ["-x", "c++-header"] + (clang_options if is_clang else []) + options,
        execution_requirements = {"no-cache": "1"} if is_clang else {},
        env = cc_common.get_environment_variables(
            feature_configuration = features,
            action_name = ACTION_NAMES.cpp_compile,
            variables = variables,
        ),
        inputs = depset([header], transitive = [context.headers, toolchain.all_files]),
        outputs = [compiled],
        mnemonic = "CppPrecompile",
        progress_message = "Precompiling the headers of tests",
    )
    return [CcInfo(compilation_context = cc_common.create_compilation_context(
        headers = depset([header, compiled]),
    ))]

test_pch = rule(
    implementation = _test_pch_impl,
    attrs = {
        "copts": attr.string_list(),
        "dep": attr.label(providers = [CcInfo], mandatory = True, doc = "where the headers are"),
        "headers": attr.string_list(mandatory = True),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
    incompatible_use_toolchain_transition = True,
    doc = "A header NAME.h that includes `headers`, and what the compiler makes of it.",
)
