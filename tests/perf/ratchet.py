"""Budgets of what can be counted: a figure may not rise above its budget, nor stay below it unnoticed."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

SLACK = 0.04


def start():
    """The program that is the first argument, and whether figures are shown only (--show). Ends a run without
    valgrind."""
    show = "--show" in sys.argv[2:]
    if shutil.which("valgrind") is None:
        print("skipped: no valgrind here")
        sys.exit(77 if show else 0)
    return os.path.abspath(sys.argv[1]), show


def cost_outside(path, library):
    """The instructions of a profile that were executed outside of a library."""
    names = {}
    where = ""
    total = 0
    callee = False
    with open(path, encoding="utf-8") as file:
        for line in file:
            named = re.match(r"(c?ob)=\((\d+)\)(?: (.*))?", line)
            if named:
                names.setdefault(named[2], named[3])
                where = names[named[2]] if named[1] == "ob" else where
            elif line.startswith("calls="):
                callee = True  # the next line says what the call cost, inside
            elif line[0] in "0123456789+-*":
                total += int(line.split()[1]) if not callee and library not in where else 0
                callee = False
    return total


def instructions(command, part, not_counted=(), library=None):
    """Runs `command` under callgrind; what it printed, and how many instructions function `part` took, without
    those of the functions `not_counted`, which nothing else may call, and of a library."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, part)
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=" + part,
             *("--toggle-collect=" + name for name in not_counted),
             "--callgrind-out-file=" + out, *command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=300,
            check=False)
        if run.returncode != 0:
            sys.exit("%s failed: %s%s" % (command[0], run.stdout, run.stderr))
        return run.stdout, cost_outside(out, library or "\n")


def judge(name, cost, budget, of, slack=None):
    """Prints a line; whether `cost` is what it may be."""
    if slack is None:
        slack = budget * SLACK + 1
    verdict = ("TOO MANY" if cost > budget + slack else
               "LESS: lower the budget" if cost < budget - slack else "ok")
    print("%-16s %10.1f %s, budget %8g  %s" % (name, cost, of, budget, verdict))
    return verdict == "ok"
