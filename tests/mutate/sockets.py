"""The sockets' libraries, linked with files exchanged, and the tests that load them.

These tests run as Bazel has linked them, because they take what they test by its name: the engine is where QUIC_ENGINE
says, and of a library that is preloaded the loader takes no second one of the same name.
"""
import os
import re
import xml.etree.ElementTree

import programs

LIBRARIES = {"compat/core/": "compat/parts/libquic_engine.so", "compat/front/": "compat/libquic.so",
             "compat/gnutls/": "compat/libquic_gnutls.so"}
ENGINE = LIBRARIES["compat/core/"]
# A call that nobody wakes from is what a mistake here looks like most often: it is not waited for as long.
WALL = (3, 10)


class Sockets(programs.Programs):
    """As the others, for compat/."""

    product_of = re.compile(r"bazel-out/[^/]+/bin/(quic|runtime|compat)/")
    flags = ()  # what is hidden stays so

    def link(self, labels, actions, targets, here):
        self.lines, tests = {}, {}
        for action in actions:
            # A file of the same arguments comes last.
            line = [part for part in action.get("arguments", []) if not part.startswith("@")]
            out = programs.after(line, "-o") if action["mnemonic"] == "CppLink" and "-o" in line else ""
            name = out[len(here):] if out.startswith(here) else None
            if name in LIBRARIES.values():
                self.lines[name] = line
            elif "-lquic" in line:
                tests[targets[action["targetId"]]] = line
        self.engine = self.link_library(ENGINE, {}, os.path.join(self.work, "product"))
        environments = self.environments(labels)
        return [self.test(label, tests[label], environments[label]) for label in environments if label in tests]

    def link_library(self, name, made, folder):
        """The library `name` with the objects `made` in place of its own."""
        line = list(self.lines[name])
        out = os.path.join(folder, os.path.basename(name))
        line[line.index("-o") + 1] = out
        programs.call([made.get(part, self.objects.get(part, part)) for part in line], cwd=self.root)
        return out

    @staticmethod
    def environments(labels):
        """What the tests' rules have the environment say; without those that are run by hand only."""
        tests = "kind(cc_test, tests(set(%s)))" % " ".join(labels)
        rules = programs.bazel("query", "--noshow_progress", "--output=xml",
                               "%s except attr(tags, '\\bmanual\\b', %s)" % (tests, tests))
        return {rule.get("name"): {pair[0].get("value"): pair[1].get("value")
                                   for pair in rule.findall("dict[@name='env']/pair")}
                for rule in xml.etree.ElementTree.fromstring(rules.replace('version="1.1"', 'version="1.0"', 1))}

    def test(self, label, line, environment):
        path = os.path.join(self.execroot, programs.after(line, "-o"))
        runfiles = os.path.join(path + ".runfiles", os.path.basename(self.execroot))
        key = programs.digest_of(programs.contents(path), self.product)
        return programs.Program(label, path, runfiles, key, {**environment, "QUIC_ENGINE": self.engine}, WALL)

    def load(self, path, made, scratch):
        name = next(LIBRARIES[folder] for folder in LIBRARIES if path.startswith(folder))
        return {"QUIC_ENGINE" if name == ENGINE else "LD_PRELOAD": self.link_library(name, made, scratch)}
