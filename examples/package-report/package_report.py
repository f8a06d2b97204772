#!/usr/bin/env python3
"""Reports on a Debian package database (/var/lib/dpkg/status).

Usage: package_report.py STATUS_FILE

Prints the number of installed packages, the largest ones, the sections that take the most
space and the packages that most others depend on. Standard library only. Exit code 0; 2 when
the file can't be read or holds no installed package.
"""
import collections
import re
import sys


def stanzas(path):
    """Yields each paragraph of the file as a dictionary of its one-line fields."""
    fields = {}
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            line = line.rstrip("\n")
            if not line:
                if fields:
                    yield fields
                fields = {}
            elif not line[0].isspace() and ":" in line:
                key, value = line.split(":", 1)
                fields[key] = value.strip()
    if fields:
        yield fields


def dependencies(fields):
    """Names of the packages that one needs; of alternatives the first."""
    for key in ("Pre-Depends", "Depends"):
        for item in fields.get(key, "").split(","):
            match = re.match(r"\s*([a-z0-9][a-z0-9+.-]*)", item)
            if match:
                yield match.group(1)


def megabytes(kib):
    return f"{kib / 1024:8.1f} MB"


def main():
    if len(sys.argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        installed = [f for f in stanzas(sys.argv[1]) if "installed" in f.get("Status", "").split()]
    except OSError as error:
        print(f"package_report: {error}", file=sys.stderr)
        return 2
    if not installed:
        print(f"package_report: no installed package in {sys.argv[1]}", file=sys.stderr)
        return 2

    size = {f["Package"]: int(f.get("Installed-Size", "0") or 0) for f in installed}
    print(f"{len(size)} packages are installed, {megabytes(sum(size.values())).strip()} in all",
          flush=True)

    print("\nThe ten largest:")
    for name, kib in sorted(size.items(), key=lambda item: -item[1])[:10]:
        print(f"  {megabytes(kib)}  {name}", flush=True)

    sections = collections.Counter()
    for fields in installed:
        sections[fields.get("Section", "none")] += size[fields["Package"]]
    print("\nThe five sections that take the most space:")
    for name, kib in sections.most_common(5):
        print(f"  {megabytes(kib)}  {name}", flush=True)

    needed = collections.Counter(name for f in installed for name in set(dependencies(f)))
    print("\nThe five that most others depend on:")
    for name, count in needed.most_common(5):
        print(f"  {count:5d}  {name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
