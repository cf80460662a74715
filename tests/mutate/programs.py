"""The tests' programs, linked so that one file of the product can be exchanged without linking them again.

Bazel builds the tests and tells how (aquery). The product's own files are then compiled once more with every symbol
visible and linked into a shared library, which the tests take in place of their static copies. A mutant is a library of
one object that the loader puts before that one (LD_PRELOAD): a compiler run and no more.
"""
import concurrent.futures
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
COPIED = ("include", "quic", "runtime", "compat", "tools")
OUTSIDE = re.compile(r"-[lL]|-Wl,-rpath,/")
ENGINE = "libquring.so.0"
PRODUCT = re.compile(r"bazel-out/[^/]+/bin/(quic|runtime|tools)/(?!quicperf/_objs/quicperf/).*\.o$")  # but for its main
MEMORY_MAX, OUTPUT_MAX = 4 << 30, 64 << 20
# A test may take this much more than it does. What it waits for may keep it waiting on a busy machine.
FIRST_S = 120
CPU_TIMES, CPU_MORE_S = 5, 5
WALL_TIMES, WALL_MORE_S = 10, 120


class Failed(Exception):
    pass


def call(argv, **more):
    run = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, check=False,
                         **more)
    if run.returncode != 0:
        raise Failed("%s\n%s" % (" ".join(argv)[:300], run.stderr.strip()[-3000:]))
    return run.stdout


def bazel(*argv):
    return call([os.path.join(TOP, "tools", "bazel"), *argv], cwd=TOP)


def digest_of(*parts):
    out = hashlib.sha1()
    for part in parts:
        out.update(part if isinstance(part, bytes) else repr(part).encode())
    return out.hexdigest()


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def after(argv, option):
    return argv[argv.index(option) + 1]


def end(child):
    """Ends a program that leads a group of its own, and whatever it has left behind there."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


class Program:
    """One test: how to run it, and how long that takes."""

    arguments = ("--gtest_fail_fast",)

    def __init__(self, label, path, runfiles, key, environment=None, wall=(WALL_TIMES, WALL_MORE_S)):
        self.label, self.path, self.runfiles, self.key = label, path, runfiles, key
        self.environment, self.wall = environment or {}, wall
        self.takes_s = None

    def run(self, mutant, scratch):
        """None when it passes, else what failed. `mutant` is what the environment has for it."""
        os.makedirs(scratch, exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "TEST_SRCDIR": os.path.dirname(self.runfiles),
                       "TEST_WORKSPACE": os.path.basename(self.runfiles), "TEST_TMPDIR": scratch,
                       **self.environment, **(mutant or {})}
        takes_s = FIRST_S if self.takes_s is None else self.takes_s
        cpu_s = int(CPU_TIMES * takes_s) + CPU_MORE_S

        def limit():
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MAX, MEMORY_MAX))
            resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_MAX, OUTPUT_MAX))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        log = os.path.join(scratch, "log")
        with open(log, "wb") as out:
            child = subprocess.Popen([self.path, *self.arguments], cwd=self.runfiles, env=environment, stdout=out,
                                     stderr=subprocess.STDOUT, preexec_fn=limit, start_new_session=True)
            try:
                status = child.wait(timeout=self.wall[0] * takes_s + self.wall[1])
            except subprocess.TimeoutExpired:
                status = -signal.SIGXCPU
            finally:
                end(child)
        return None if status == 0 else self.verdict(status, contents(log).decode("utf-8", "replace"))

    def verdict(self, status, log):
        begun = re.findall(r"^\[ RUN      \] (\S+)", log, re.M)
        failed = re.findall(r"^\[  FAILED  \] (\w[^\s,]*)", log, re.M)
        case = (failed or begun[-1:] or ["?"])[0]
        how = "" if status > 0 else " (hangs)" if status in (-signal.SIGXCPU, -signal.SIGKILL) else \
            " (%s)" % signal.Signals(-status).name
        return "%s %s%s" % (self.label, case, how)


class Programs:
    """All tests that were asked for, and the compiler commands of the product's files."""

    product_of = PRODUCT
    flags = ("-fvisibility=default",)
    linked_too = ()  # programs that are no tests

    def __init__(self, work, labels, jobs):
        self.work, self.jobs = work, jobs
        os.makedirs(work, exist_ok=True)
        bazel("build", "--noshow_progress", "--keep_going", *labels)
        self.execroot = bazel("info", "--noshow_progress", "execution_root").strip()
        self.root = self.plant(os.path.join(work, "root"))
        actions, targets = self.actions("mnemonic('Cpp(Compile|Link)', deps(tests(set(%s))))" % " ".join(labels))
        self.compiles = {}  # by file: a command for each object that is made of it
        here = os.path.relpath(bazel("info", "--noshow_progress", "bazel-bin").strip(), self.execroot) + os.sep
        for action in actions:  # but for those of a library that is optimized as a whole
            out = action["mnemonic"] == "CppCompile" and after(action["arguments"], "-o")
            if out and self.product_of.match(out) and out.startswith(here):
                self.compiles.setdefault(after(action["arguments"], "-c"), {})[out] = action["arguments"]
        self.objects = {}
        headers = self.digest_of_tree(".h", ".def")
        self.product = self.digest_of_tree(".c", ".h", ".def")
        self.in_turn(lambda path: self.compile_product(path, headers), self.compiles)
        self.tests = {program.label: program for program in self.link(labels, actions, targets, here)}

    def link(self, labels, actions, targets, here):
        """The tests, which take the product from libraries of ours."""
        wanted = {*bazel("query", "--noshow_progress", "kind(cc_test, tests(set(%s)))" % " ".join(labels)).split(),
                  *self.linked_too}
        links, shared = {}, []
        for action in actions:
            label = targets[action["targetId"]]
            # A file of the same arguments comes last.
            line = [part for part in action.get("arguments", []) if not part.startswith("@")]
            if action["mnemonic"] == "CppLink" and label in wanted:
                links[label] = line
            elif here + "runtime/parts/" + ENGINE in line and "-o" in line:
                shared = [part for part in line if OUTSIDE.match(part) or (PRODUCT.match(part) and
                                                                         part.endswith(".o"))]
        for line in links.values():  # what would come from the engine's library comes with the rest
            if "-l:" + ENGINE in line:
                at = line.index("-l:" + ENGINE)
                line[at:at + 1] = shared
        kinds = {}
        for line in links.values():
            kinds.setdefault(self.tops(line), []).append(line)
        self.libraries = {tops: self.link_library(tops, lines) for tops, lines in kinds.items()}
        return self.in_turn(lambda label: self.link_test(label, links[label]), links)

    def plant(self, root):
        """A folder like that in which bazel compiles. Bazel's own is taken down and put up again by each build; and the
        product is copied, so that what is edited meanwhile changes nothing."""
        mark = os.path.join(root, ".mutate")
        if os.path.isdir(root):
            if os.listdir(root) and not os.path.exists(mark):
                raise Failed("%s is not mine: remove it, or let MUTATE_DIR name another place" % root)
            shutil.rmtree(root)
        os.makedirs(root)
        with open(mark, "w", encoding="ascii"):
            pass
        for name in os.listdir(TOP):
            if name in COPIED:
                shutil.copytree(os.path.join(TOP, name), os.path.join(root, name))
            elif not name.startswith(("bazel-", ".")):
                os.symlink(os.path.join(TOP, name), os.path.join(root, name))
        base = os.path.dirname(os.path.dirname(self.execroot))
        os.symlink(os.path.join(base, "external"), os.path.join(root, "external"))
        os.symlink(os.path.join(self.execroot, "bazel-out"), os.path.join(root, "bazel-out"))
        return root

    def in_turn(self, function, items):
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(function, sorted(items)))

    @staticmethod
    def tracked(*endings):
        return [path for path in call(["git", "ls-files", *COPIED], cwd=TOP).split()
                if path.endswith(endings)]

    def digest_of_tree(self, *endings):
        return digest_of(*(self.source(path) for path in sorted(self.tracked(*endings))))

    def source(self, path):
        return contents(os.path.join(self.root, path))

    def actions(self, query):
        """Actions of this configuration, and the names of their targets."""
        graph = json.loads(bazel("aquery", "--noshow_progress", "--output=jsonproto", "--noinclude_artifacts", query))
        return graph["actions"], {target["id"]: target["label"] for target in graph["targets"]}

    @staticmethod
    def tops(line):
        """The folders of the product that a program has objects of."""
        return tuple(sorted({match.group(1) for match in map(PRODUCT.match, line) if match}))

    def cached(self, out, key, make):
        """Makes the file `out` unless it was made of the same things."""
        mark = out + ".key"
        if not (os.path.exists(out) and os.path.exists(mark) and contents(mark).decode() == key):
            os.makedirs(os.path.dirname(out), exist_ok=True)
            make()
            if not os.path.exists(out):
                raise Failed("%s was not made" % out)
            with open(mark, "w", encoding="ascii") as file:
                file.write(key)
        return out

    def command(self, given, out):
        """Compiles the standard input as `given` does a file."""
        argv, i = [], 0
        while i < len(given):
            if given[i] in ("-MF", "-o", "-c"):
                i += 2
                continue
            if given[i] not in ("-MD", "-g") and not given[i].startswith("-frandom-seed"):
                argv.append(given[i])
            i += 1
        # A mutant has && beside || where nobody has written brackets.
        return argv + ["-g0", "-Wno-parentheses", *self.flags, "-x", "c", "-c", "-", "-o", out]

    def compile(self, given, source, out):
        """Whether `source` in place of the file that is `given` compiles."""
        text = '# 1 "%s"\n%s' % (after(given, "-c"), source)
        return subprocess.run(self.command(given, out), cwd=self.root, input=text.encode(), check=False,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def compile_product(self, path, headers):
        source = self.source(path)

        def compile_one(at, given):
            out = os.path.join(self.work, "product", *self.flags, "%s%d.o" % (path, at))

            def make():
                if not self.compile(given, source.decode(), out):
                    raise Failed("%s does not compile" % path)

            return self.cached(out, digest_of(self.command(given, ""), source, headers), make)

        for at, name in enumerate(sorted(self.compiles[path])):
            self.objects[name] = compile_one(at, self.compiles[path][name])

    def link_library(self, tops, lines):
        objects = sorted({self.objects[part] for line in lines for part in line if PRODUCT.match(part)})
        outside = dict.fromkeys(part for line in lines for part in line
                                if OUTSIDE.match(part) and not re.match(r"-lg(test|mock)", part))
        out = os.path.join(self.work, "lib%s.so" % "_".join(tops))
        argv = ["gcc", "-shared", "-o", out, "-Wl,-soname," + out, *objects, *outside]
        self.cached(out, digest_of(argv, *map(contents, objects)), lambda: call(argv, cwd=self.root))
        return out

    def link_test(self, label, line):
        place = label[2:].replace(":", "/")
        out = os.path.join(self.work, "tests", place)
        library = self.libraries[self.tops(line)]
        argv = [part for part in line if not PRODUCT.match(part)]
        argv[argv.index("-o") + 1] = out
        argv.insert(next(i for i, part in enumerate(argv) if part.startswith("-l")), library)
        own = [os.path.join(self.execroot, part) for part in line if part.endswith(".o") and not PRODUCT.match(part)]
        key = digest_of(argv, *map(contents, own))
        self.cached(out, key, lambda: call(argv, cwd=self.root))
        runfiles = os.path.join(self.execroot, after(line, "-o") + ".runfiles", os.path.basename(self.execroot))
        return Program(label, out, runfiles, digest_of(key, self.product))

    def time_tests(self, labels):
        """Runs the tests as they are: what they take, and those that fail already, which see nothing."""
        path = os.path.join(self.work, "seconds.json")
        known = json.loads(contents(path)) if os.path.exists(path) else {}

        def measure(label):
            program = self.tests[label]
            if program.key not in known:
                start = time.monotonic()
                verdict = program.run(None, os.path.join(self.work, "scratch", label[2:].replace(":", "/")))
                if verdict is not None:
                    return label, verdict
                known[program.key] = time.monotonic() - start
            program.takes_s = known[program.key]
            return label, None

        verdicts = dict(self.in_turn(measure, labels))
        for label, verdict in verdicts.items():
            if verdict is not None:  # alone it may pass
                verdicts[label] = measure(label)[1]
        with open(path, "w", encoding="ascii") as file:
            json.dump(known, file)
        return {label: verdict for label, verdict in verdicts.items() if verdict is not None}

    def mutate(self, mutant, source, scratch):
        """What the environment of a test has for the mutant; "same" when the compiler makes the same of it, "refused"
        when nothing."""
        os.makedirs(scratch, exist_ok=True)
        made = {}
        for at, (name, given) in enumerate(sorted(self.compiles[mutant.path].items())):
            made[name] = os.path.join(scratch, "mutant%d.o" % at)
            if not self.compile(given, mutant.apply(source), made[name]):
                return "refused"
        if all(contents(out) == contents(self.objects[name]) for name, out in made.items()):
            return "same"
        return self.load(mutant.path, made, scratch)

    def load(self, _, made, scratch):
        """The environment in which a test takes the objects that were made in place of those it has."""
        out = os.path.join(scratch, "mutant.so")
        # What it needs is there also for tests that have less of the product.
        call(["gcc", "-shared", "-o", out, *made.values(), max(self.libraries.values(), key=os.path.getsize)])
        return {"LD_PRELOAD": out}
