"""Bazel's built-in C and C++ rules under the names @rules_cc gives them.

Bazel loads this file for its own tools. Debian packages no rules_cc that fits its Bazel, and a build
here fetches nothing, so these few lines stand in for it.
"""

cc_binary = native.cc_binary
cc_import = native.cc_import
cc_library = native.cc_library
cc_test = native.cc_test
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
fdo_prefetch_hints = native.fdo_prefetch_hints
fdo_profile = native.fdo_profile
objc_library = native.objc_library
