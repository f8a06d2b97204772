#!/usr/bin/env python3
"""Makes syscalls_data.h out of syscalls.tbl.

    syscalls.py [-o FILE] TABLE

One pool of names with a hash table over it, and one table of numbers for each family of machines,
of which the compiler takes its own.
"""
import argparse
import os
import sys

FAMILIES = [("defined(__x86_64__) && !defined(__ILP32__)", ["x86_64", "x86", "x32"]),
            ("defined(__i386__)", ["x86"]),
            ("defined(__aarch64__)", ["aarch64", "arm"]),
            ("defined(__arm__)", ["arm"]),
            ("defined(__riscv) && __riscv_xlen == 64", ["riscv64"]),
            ("defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__", ["ppc64le"]),
            ("defined(__s390x__)", ["s390x", "s390"])]
SLOTS = 1024
ARM_PRIVATE = 0xf0000  # __ARM_NR_BASE: kept as 0xf000 and up


def read(path):
    rows, archs = [], None
    with open(path, encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            words = line.split()
            if words and words[0] == "#name":
                archs = words[2:]
            if not words or words[0].startswith("#"):
                continue
            if archs is None or len(words) != 2 + len(archs):
                sys.exit(f"{path}:{number}: {len(words)} columns")
            rows.append((words[0], words[1], dict(zip(archs, words[2:]))))
    names = [r[0] for r in rows]
    if names != sorted(set(names)):
        sys.exit(f"{path}: names are not sorted, or there twice")
    return rows


def fnv(name):
    h = 0x811c9dc5
    for byte in name.encode():
        h = (h ^ byte) * 0x01000193 & 0xffffffff
    return h


def code(word):
    if word == "-":
        return 0xffff
    n = int(word)
    if not (n < 1000 or ARM_PRIVATE <= n < ARM_PRIVATE + 16):  # SC_NUMBERS, SC_PRIVATE_NUMBERS
        sys.exit(f"number {word} is too large")
    return n - ARM_PRIVATE + 0xf000 if n >= ARM_PRIVATE else n


def mux(word):
    return 0 if word == "-" else int(word[1:]) | {"s": 0, "i": 0x80}[word[0]]


def numbers(out, kind, name, values):
    out.append(f"static const {kind} {name}[] = {{")
    for i in range(0, len(values), 12):
        out.append("    " + " ".join(f"{v}," for v in values[i:i + 12]))
    out.append("};")


def generate(rows):
    out = ["/* Made by syscalls.py out of syscalls.tbl. */", f"#define SC_NAMES {len(rows)}",
           f"#define SC_SLOTS {SLOTS}", "static const char pool[] ="]
    at, slots = [], [0] * SLOTS
    end = 0
    for i, (name, _, _) in enumerate(rows):
        at.append(end)
        end += len(name) + 1
        out.append(f'    "{name}\\0"')
        slot = fnv(name) % SLOTS
        while slots[slot]:
            slot = (slot + 1) % SLOTS
        slots[slot] = i + 1
    out.append("    ;")
    numbers(out, "uint16_t", "name_at", at)
    numbers(out, "uint16_t", "slots", slots)
    numbers(out, "uint8_t", "mux_of", [mux(m) for _, m, _ in rows])
    for i, (condition, archs) in enumerate(FAMILIES):
        out.append(("#if " if i == 0 else "#elif ") + condition)
        numbers(out, "uint16_t", "nr_of", [code(n[a]) for _, _, n in rows for a in archs])
    out += ["#else", '#error "syscalls.tbl has no column for this machine"', "#endif", ""]
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", dest="out")
    parser.add_argument("table")
    args = parser.parse_args()
    text = generate(read(args.table))
    if not args.out:
        sys.stdout.write(text)
        return
    with open(args.out + ".new", "w", encoding="ascii") as f:
        f.write(text)
    os.replace(args.out + ".new", args.out)


if __name__ == "__main__":
    main()
