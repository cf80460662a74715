"""A file under a second name beside it.

named_link      a symbolic link to the file of a target of the same package
"""

def _named_link_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = out, target_file = ctx.file.actual)
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles([out, ctx.file.actual]))]

named_link = rule(
    implementation = _named_link_impl,
    attrs = {"actual": attr.label(allow_single_file = True, mandatory = True)},
)
