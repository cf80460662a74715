#!/usr/bin/env python3
"""Looks into built objects with nm, and with objdump.

    symbols.py core ARCHIVE...          the core imports a few C functions and the crypto libraries'
    symbols.py engine SO HEADER...      the engine exports what the headers declare, all of it and
                                        nothing else, and holds no code that is for tests only
    symbols.py fetches SO               what asks memory for cache lines ahead of time is in use: a
                                        compiler that sees all of the program may take it for useless
    symbols.py selftest                 planted violations are found
"""
import re
import subprocess
import sys

# Pure functions of memory, the way out for assertions, and what the compiler itself calls.
C_IMPORTS = re.compile(
    r"(mem(cpy|move|set|cmp|chr)|str(n?cmp|n?len|r?chr|c?spn)|abort|f?printf|fputs|fputc|fwrite|stderr)$"
    r"|__(mem(cpy|move|set)|fprintf)_chk$|__stack_chk_fail$|_GLOBAL_OFFSET_TABLE_$|explicit_bzero$"
    r"|__(u?div|u?mod)(di|ti)3$|__popcountdi2$|__cpu_(model|features2|indicator_init)$")
PRINTING = re.compile(r"abort|f?printf|fputs|fputc|fwrite|stderr|__fprintf_chk")
PRINTING_ARCHIVE = "libcheck."
# BoringSSL by the prefixes of its modules (RAND_ is missing: randomness is an argument of the core).
CRYPTO_IMPORTS = re.compile(
    r"(AES|ASN1|BIO|BN|CBB|CBS|CRYPTO|EC|ECDSA|ED25519|ERR|EVP|HKDF|HMAC|OBJ|OPENSSL|PEM|PKCS8|RSA"
    r"|SHA\d+|SSL|TLS|X25519|X509|X509V3|sk|GENERAL_NAMES?)_[A-Za-z0-9_]+$|(HKDF|HMAC|SHA\d+|i2d|d2i)")
IPSEC_MB_IMPORTS = re.compile(r"(imb|IMB|aes_keyexp|init_mb_mgr|alloc_mb_mgr|free_mb_mgr)_?\w*$")
# Making a throw-away certificate draws its own randomness; no connection depends on it.
ARCHIVE_IMPORTS = {"libself_signed.": "RAND_bytes"}
TESTS_ONLY = re.compile(r"quic_crypto_shim|quic_tls_script|quic_script_")
EXPORTED = re.compile(r"\bQURING_EXPORT\b(.*?);", re.S)


def nm(*args):
    return subprocess.run(("nm",) + args, check=True, stdout=subprocess.PIPE,
                          universal_newlines=True).stdout


def names_of(listing):
    """(defined, undefined) names of nm's listing."""
    defined, undefined = set(), set()
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[0] in "Uw":
            undefined.add(fields[1])
        elif len(fields) == 3:
            defined.add(fields[2])
    return defined, undefined


def core_violations(listings):
    """`listings` maps an archive's path to nm's output for it."""
    found = []
    defined = set()
    for listing in listings.values():
        defined |= names_of(listing)[0]
    for path, listing in sorted(listings.items()):
        for name in sorted(names_of(listing)[1] - defined):
            allowed = (C_IMPORTS.match(name) or CRYPTO_IMPORTS.match(name)
                       or IPSEC_MB_IMPORTS.match(name))
            for archive, extra in ARCHIVE_IMPORTS.items():
                allowed = allowed or (archive in path and name == extra)
            if PRINTING.fullmatch(name) and PRINTING_ARCHIVE not in path:
                allowed = False
            if not allowed:
                found.append("%s imports %s" % (path, name))
        for name in sorted(names_of(listing)[0]):
            if TESTS_ONLY.match(name):
                found.append("%s defines %s, which is for tests only" % (path, name))
    return found


def declared_functions(text):
    """Names of the functions a header's text marks QURING_EXPORT."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r"^\s*#.*$", " ", text, flags=re.M)
    names = set()
    for match in EXPORTED.finditer(text):
        name = re.search(r"\b(quring_\w+)\s*\(", match[1])
        if name:
            names.add(name[1])
    return names


def engine_violations(exports, symbols, headers):
    found = []
    # a small letter is a local symbol that only a relocation names: nobody can bind to it
    exported = names_of("\n".join(line for line in exports.splitlines()
                                  if not re.search(r" [a-z] ", line)))[0]
    declared = set()
    for text in headers:
        declared |= declared_functions(text)
    found += ["exports %s, which no header declares" % name for name in sorted(exported - declared)]
    found += ["lacks %s, which a header declares" % name for name in sorted(declared - exported)]
    if not declared:
        found.append("no header declares anything")
    found += ["holds %s, which is for tests only" % name
              for name in sorted(names_of(symbols)[0]) if TESTS_ONLY.match(name)]
    return found


def fetch_violations(code):
    """`code` is objdump's: each of our functions that does nothing but ask for cache lines has a caller."""
    found = []
    function = None
    fetching, called = set(), set()
    for line in code.splitlines():
        start = re.match(r"[0-9a-f]+ <([^>]+)>:", line)
        if start:
            function = start[1]
        elif re.search(r"\tprefetch", line):
            fetching.add(function)
        target = re.search(r"\b(?:call|jmp)q?\s.*<([^>@+]+)(?:@plt)?>", line)
        if target and target[1] != function:
            called.add(target[1])
    if not fetching:
        found.append("nothing is fetched")
    found += ["nothing calls %s" % name for name in sorted(fetching - called)
              if re.match(r"quic_(conn|endpoint)_fetch", name)]
    return found


def core(paths):
    if not paths:
        return ["no archive given"]
    return core_violations({path: nm(path) for path in paths})


def engine(shared_object, header_paths):
    headers = []
    for path in header_paths:
        with open(path, encoding="utf-8") as file:
            headers.append(file.read())
    return engine_violations(nm("-D", "--defined-only", shared_object), nm(shared_object), headers)


def fetches(shared_object):
    return fetch_violations(subprocess.run(
        ("objdump", "-d", "--no-show-raw-insn", shared_object), check=True, stdout=subprocess.PIPE,
        universal_newlines=True).stdout)


def selftest():
    wrong = []

    def expect(what, found, count):
        if len(found) != count:
            wrong.append("%s: %d expected, got %s" % (what, count, found))

    fine = "a.o:\n0000 T quic_a\n     U quic_b\n     U memcpy\n     U SSL_new\n     U imb_x\n"
    other = "b.o:\n0000 T quic_b\n"
    expect("clean core", core_violations({"liba.a": fine, "libb.a": other}), 0)
    expect("own import left open", core_violations({"liba.a": fine}), 1)
    for name in ("malloc", "clock_gettime", "RAND_bytes", "pthread_self", "getenv", "write",
                 "fprintf", "abort", "__errno_location", "mi_malloc"):
        expect(name, core_violations({"liba.a": "     U %s\n" % name}), 1)
    expect("check prints", core_violations({"libcheck.a": "  U fprintf\n  U abort\n"}), 0)
    expect("shim in core", core_violations({"liba.a": "0 T quic_crypto_shim_new\n"}), 1)
    header = "/* QURING_EXPORT old */\nQURING_EXPORT QURING_NODISCARD int\nquring_a(int x);\n"
    expect("clean engine", engine_violations("0 T quring_a\n", "0 t quic_x\n", [header]), 0)
    expect("stray export", engine_violations("0 T quring_a\n0 T quic_x\n", "", [header]), 1)
    expect("local in dynsym",
           engine_violations("0 T quring_a\n0 b quic_x\n", "", [header]), 0)
    expect("lost export", engine_violations("", "", [header]), 1)
    expect("script in engine",
           engine_violations("0 T quring_a\n", "0 t quic_tls_script_new\n", [header]), 1)
    fetch = "01 <quic_conn_fetch>:\n  1:\tprefetcht0 (%rdi)\n  2:\tjmp    1 <quic_conn_fetch>\n"
    other = "05 <quic_packet_begin>:\n  5:\tprefetcht0 (%rdi)\n"
    expect("no fetches", fetch_violations("01 <a>:\n  1:\tret\n"), 1)
    expect("fetches without a caller", fetch_violations(fetch + other), 1)
    for call in ("call   1 <quic_conn_fetch>", "jmp    1 <quic_conn_fetch@plt>"):
        expect(call, fetch_violations(fetch + other + "09 <a>:\n  9:\t" + call + "\n"), 0)
    return wrong


def main(argv):
    if len(argv) >= 3 and argv[1] == "core":
        found = core(argv[2:])
    elif len(argv) >= 4 and argv[1] == "engine":
        found = engine(argv[2], argv[3:])
    elif len(argv) == 3 and argv[1] == "fetches":
        found = fetches(argv[2])
    elif argv[1:] == ["selftest"]:
        found = selftest()
    else:
        print(__doc__)
        return 2
    for line in found:
        print(line)
    print("%d found" % len(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
