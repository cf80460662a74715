"""Link-time optimization of shared objects: their C is compiled once more, together for all of them.

whole_program   a file of a target, built with gcc's -flto where `lto` says so, otherwise as it is
"""

# What a small request costs is above all the instruction cache: each of hundreds of functions runs once, and the
# kernel in between. Inlined across files they are an eighth shorter, and their round trip by a tenth.
_COPTS = ["-flto"]
_LINKOPTS = [
    "-flto=1", # no make needed
    "-flto-partition=one",
    "-O2",
]

def _lto_transition_impl(settings, attr):
    return {
        "//command_line_option:copt": settings["//command_line_option:copt"] + _COPTS,
        "//command_line_option:linkopt": settings["//command_line_option:linkopt"] + _LINKOPTS,
    }

_SETTINGS = [
    "//command_line_option:copt",
    "//command_line_option:linkopt",
]

_lto_transition = transition(
    implementation = _lto_transition_impl,
    inputs = _SETTINGS,
    outputs = _SETTINGS,
)

def _whole_program_impl(ctx):
    actual = ctx.files.whole[0] if ctx.attr.lto else ctx.file.plain
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.run_shell(
        inputs = [actual],
        outputs = [out],
        arguments = [actual.path, out.path],
        command = 'cp -L "$1" "$2"', # a file of its own: people copy it from bazel-bin
        mnemonic = "CopyFile",
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles([out]))]

_whole_program = rule(
    implementation = _whole_program_impl,
    attrs = {
        "lto": attr.bool(),
        "plain": attr.label(allow_single_file = True),
        "whole": attr.label(allow_single_file = True, cfg = _lto_transition),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)

def whole_program(name, actual, **kwargs):
    """The file of `actual` under its own name; with clang, sanitizers or without optimization not optimized."""
    _whole_program(
        name = name,
        lto = select({
            "//bazel:clang": False,
            "//bazel:plain_malloc": False,
            "//conditions:default": True,
        }),
        plain = actual,
        whole = actual,
        **kwargs
    )
