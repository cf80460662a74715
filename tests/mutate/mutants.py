#!/usr/bin/env python3
"""Finds what could be written wrong in a C file: the mutants that mutate.py tries.

    mutants.py FILE...     lists the mutants of these files
    mutants.py selftest    finds what it should in a sample, and nothing else

Only function bodies are looked at. Preprocessor lines, declarations, assertions and traces are left alone: a check
that is weaker, or a line of a log that is missing, is nothing that a test should see.
"""
import collections
import hashlib
import re
import sys

TOKEN = re.compile(r"""
    (?P<skip>\s+|//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*)
  | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<sign><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
""", re.X | re.S | re.M)
INTEGER = re.compile(r"(0[xX][0-9a-fA-F]+|[1-9]\d*|0)([uUlL]*)")
UNSEEN = re.compile(r"QURING_D?ASSERT|_?[Ss]tatic_assert|\w*(?:check_invariants|check_failed|trace)\w*|sizeof")
CHECKS = re.compile(r"\w+_check(_invariants)?")  # as the name of a function that returns nothing: assertions
SWAPS = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",),
         "&&": ("||",), "||": ("&&",), "+": ("-",), "-": ("+",), "+=": ("-=",), "-=": ("+=",), "++": ("--",),
         "--": ("++",)}
ASSIGNS = {"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "++", "--"}
CLOSES = {"(": ")", "[": "]", "{": "}"}
KEYWORDS = {"if", "else", "for", "while", "do", "switch", "case", "default", "return", "break", "continue", "goto"}


class Token:
    def __init__(self, kind, text, at):
        self.kind, self.text, self.at = kind, text, at
        self.end = at + len(text)


class Mutant:
    """One change of one file: the text from `at` to `end` becomes `new`."""

    def __init__(self, path, source, kind, at, end, new):
        self.path, self.kind, self.at, self.end, self.new = path, kind, at, end, new
        self.old = source[at:end]
        self.line = source.count("\n", 0, at) + 1
        first = source.rfind("\n", 0, at) + 1
        self.column = at - first + 1
        last = source.find("\n", end)
        self.before = source[first:last]
        self.after = source[first:at] + new + source[end:last]

    def set_name(self, nth):
        """Lines move when something else changes; what is on them, and how often before, tells a mutant better."""
        digest = hashlib.sha1(repr((self.before, self.after, nth)).encode()).hexdigest()[:8]
        self.name = "%s:%d:%d:%s:%s" % (self.path, self.line, self.column, self.kind, digest)

    def apply(self, source):
        return source[:self.at] + self.new + source[self.end:]

    def diff(self):
        return "".join("-%s\n" % line for line in self.before.split("\n")) + \
               "".join("+%s\n" % line for line in self.after.split("\n"))


def tokens_of(source):
    found = (Token(match.lastgroup, match.group(), match.start()) for match in TOKEN.finditer(source))
    return [token for token in found if token.kind != "skip"]


def partners(tokens):
    """{index of an opening bracket: index of its closing one}, and the other way round."""
    pairs, open_ones = {}, []
    for i, token in enumerate(tokens):
        if token.kind == "sign" and token.text in CLOSES:
            open_ones.append(i)
        elif token.kind == "sign" and token.text in CLOSES.values():
            start = open_ones.pop()
            pairs[start], pairs[i] = i, start
    return pairs


def bodies(tokens, pairs):
    """(index of the brace that opens a function's body, whether the function returns bool)"""
    i = start = 0
    while i < len(tokens):
        text = tokens[i].text
        if text == "{":
            if tokens[i - 1].text == ")":
                head = [token.text for token in tokens[start:pairs[i - 1]]]
                if "void" not in head or not CHECKS.fullmatch(head[-1]):
                    yield i, "bool" in head
            i = start = pairs[i]
        elif text == "(":
            i = pairs[i]
        elif text == ";":
            start = i
        i += 1


class Finder:
    """Finds the mutants of one file."""

    def __init__(self, path, source):
        self.path, self.source = path, source
        self.tokens = tokens_of(source)
        self.pairs = partners(self.tokens)
        self.found = []

    def add(self, kind, first, last, new):
        self.found.append(Mutant(self.path, self.source, kind, self.tokens[first].at, self.tokens[last].end, new))

    def text(self, first, last):
        return self.source[self.tokens[first].at:self.tokens[last].end]

    def mutants(self):
        for start, is_bool in bodies(self.tokens, self.pairs):
            unseen = self.unseen(start)
            self.statements(start, is_bool, unseen)
            self.expressions(start, unseen)
        self.found.sort(key=lambda mutant: (mutant.at, mutant.kind, mutant.new))
        met = collections.Counter()
        for mutant in self.found:
            mutant.set_name(met[mutant.before, mutant.after])
            met[mutant.before, mutant.after] += 1
        return self.found

    def unseen(self, start):
        """Indices of tokens that belong to assertions, traces, sizes and labels."""
        out = set()
        for i in range(start, self.pairs[start]):
            token = self.tokens[i]
            if UNSEEN.fullmatch(token.text) and self.tokens[i + 1].text == "(":
                out.update(range(i, self.pairs[i + 1] + 1))
            elif token.text == "case":
                while self.tokens[i].text != ":":
                    out.add(i)
                    i += 1
        return out

    def statements(self, start, is_bool, unseen):
        tokens = self.tokens
        i, end = start + 1, self.pairs[start]
        while i < end:
            text = tokens[i].text
            if text in ("{", "}", ";", "else", "do"):
                i += 1
            elif text in ("if", "while", "for", "switch"):
                close = self.pairs[i + 1]
                if text in ("if", "while") and i not in unseen:
                    self.add("negate", i + 2, close - 1, "!(%s)" % self.text(i + 2, close - 1))
                i = close + 1
            elif text in ("case", "default") or (tokens[i].kind == "name" and tokens[i + 1].text == ":"):
                while tokens[i].text != ":":
                    i += 1
                i += 1
            elif self.is_macro(i):
                i = self.pairs[i + 1] + 1
            else:
                last = self.end_of(i)
                self.statement(i, last, is_bool, unseen)
                i = last + 1

    def is_macro(self, i):
        """Whether what begins at i is a macro that brings its own semicolons."""
        if self.tokens[i].kind != "name" or self.tokens[i + 1].text != "(":
            return False
        after = self.tokens[self.pairs[i + 1] + 1]
        return after.kind == "name" or after.text == "}"

    def end_of(self, i):
        """The index of the semicolon that ends the statement at i."""
        while self.tokens[i].text != ";":
            i = self.pairs[i] if self.tokens[i].text in CLOSES else i
            i += 1
        return i

    def statement(self, first, last, is_bool, unseen):
        tokens = self.tokens
        text = tokens[first].text
        if text == "return":
            if is_bool and last > first + 1:
                what = self.text(first + 1, last - 1)
                flipped = {"true": "false", "false": "true"}.get(what, "!(%s)" % what)
                self.add("return", first + 1, last - 1, flipped)
        elif text in KEYWORDS:
            pass
        elif self.is_declaration(first):
            for i in range(first, last):
                if tokens[i].text == "=":
                    break
                if tokens[i].text == "[":
                    unseen.update(range(i, self.pairs[i]))
        elif first not in unseen and self.acts(first, last):
            self.add("remove", first, last, ";")

    def is_declaration(self, first):
        one, two, three = self.tokens[first:first + 3]
        return one.kind == "name" and (two.kind == "name" or (two.text == "*" and (three.kind == "name" or
                                                                                  three.text == "*")))

    def acts(self, first, last):
        """Whether the statement assigns or calls something; `(void)x` does not."""
        calls = any(self.tokens[i].kind == "name" and self.tokens[i + 1].text == "(" for i in range(first, last))
        return calls or any(self.tokens[i].text in ASSIGNS for i in range(first, last))

    def expressions(self, start, unseen):
        tokens = self.tokens
        for i in range(start, self.pairs[start]):
            token = tokens[i]
            if i in unseen:
                continue
            if token.kind == "sign" and token.text in SWAPS and (token.text not in "+-" or self.is_binary(i)):
                for new in SWAPS[token.text]:
                    self.add("swap", i, i, new)
            match = INTEGER.fullmatch(token.text) if token.kind == "number" else None
            if match:
                value = int(match.group(1), 0)
                for near in {value + 1, max(value - 1, 0)} - {value}:
                    self.add("number", i, i, "%d%s" % (near, match.group(2)))

    def is_binary(self, i):
        before = self.tokens[i - 1]
        return before.kind == "number" or before.text in (")", "]") or (before.kind == "name" and
                                                                       before.text not in KEYWORDS)


def mutants_of(path, source):
    return Finder(path, source).mutants()


SAMPLE = r'''
#define LIMIT(x) ((x) < 1 && (x) + 1)
static const int table[2] = {1 + 1, 2};
struct part { int x; };
/* a < b && c */
void part_check(const struct part *p)
{
    note(p, 1);
}
static bool fits(const struct part *p, int len)
{
    uint8_t room[4];
    EACH_MEMBER(CHECK)
    QURING_ASSERT(len >= 0);
    trace_fits(p, len + 1);
    (void)room;
    if (p->x - len < -3) { // x + 1
        return false;
    }
    switch (len) {
    case 7:
        note(p, "a + b", sizeof(int) + 0);
        break;
    default:
        (void)drop(p);
    }
    for (int i = 0; i < len; i++) {
        *p->at = len;
        EACH_MEMBER(TAKE)
    }
    return p->x != 9 || len;
}
'''
EXPECTED = """
    - + | 3 2 | 3 4 | < <= | < >= | p->x - len < -3 !(p->x - len < -3) | false true
    0 1 | note(p, "a + b", sizeof(int) + 0); ; | + - | (void)drop(p); ;
    ++ -- | 0 1 | < <= | < >= | *p->at = len; ; | != == | 9 8 | 9 10 | || && | p->x != 9 || len !(p->x != 9 || len)
"""


def selftest():
    found = sorted("%s %s" % (mutant.old, mutant.new) for mutant in mutants_of("sample.c", SAMPLE))
    wanted = sorted(re.sub(r"\s+", " ", one).strip() for line in EXPECTED.strip().splitlines()
                    for one in line.replace("|| ", "\1").replace(" | ", "\0").replace("\1", "|| ").split("\0"))
    for mutant in mutants_of("sample.c", SAMPLE):
        assert mutant.apply(SAMPLE).replace(mutant.after, mutant.before, 1) == SAMPLE, mutant.name
    assert found == wanted, "missing: %s\nnot wanted: %s" % ([one for one in wanted if one not in found],
                                                           [one for one in found if one not in wanted])
    print("%d mutants of the sample" % len(found))


def main():
    if sys.argv[1:] == ["selftest"]:
        selftest()
        return 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            for mutant in mutants_of(path, file.read()):
                print(mutant.name)
                print(mutant.diff(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
