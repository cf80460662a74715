#!/bin/sh
# Runs "$@" without address space randomization, or plainly where the machine forbids switching it.
if setarch -R true 2>/dev/null; then
    exec setarch -R "$@"
fi
exec "$@"
