#!/usr/bin/env python3
"""Makes oci_spec.h or oci_spec.c out of oci.schema.

    gen.py --header|--source [-o FILE] SCHEMA

The header holds one struct for each object of the schema and, for each document, its parse,
write and free. The source holds the tables that libocispec/engine.c reads. Which of the two is
made is an option, so that make has one rule a file and no race between them.
"""
import argparse
import os
import re
import sys

SCALARS = {"bool": "bool", "int32": "int32_t", "int64": "int64_t", "uint16": "uint16_t",
           "uint32": "uint32_t", "uint64": "uint64_t"}
KEYWORDS = {"auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
            "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register",
            "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch",
            "typedef", "union", "unsigned", "void", "volatile", "while", "bool"}
TYPE = re.compile(r"^(?P<open>[\[{]?)(?P<name>[a-z0-9_]+)(\((?P<words>[a-z_]+)\))?(?P<close>[\]}]?)"
                  r"(?P<need>!|=0|)$")


def die(place, text):
    sys.exit(f"{place}: {text}")


def snake(key):
    """cgroupsPath -> cgroups_path, throttleReadIOPSDevice -> throttle_read_iops_device"""
    s = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", key)
    s = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", s).lower()
    return s + "_" if s in KEYWORDS else s


class Field:
    def __init__(self, key, text, place):
        m = TYPE.match(text)
        if not m or m["open"] + m["close"] not in ("", "[]", "{}"):
            die(place, f"'{text}' is not a type")
        self.key, self.place = key, place
        self.member = snake(key)
        self.many, self.base, self.words = m["open"], m["name"], m["words"]
        self.required, self.default = m["need"] == "!", m["need"] == "=0"
        self.scalar = not self.many and self.base in SCALARS
        self.is_object = self.base != "string" and self.base not in SCALARS
        if self.words and (self.many or self.base != "string"):
            die(place, "only a single string can have a list of words")
        if self.many == "[" and self.base in SCALARS and self.base != "uint32":
            die(place, "arrays are of strings, uint32 or objects")
        if self.many == "{" and self.base in SCALARS:
            die(place, "maps are of strings or objects")

    def kind(self):
        if self.many == "[":
            return "OCI_OBJECTS" if self.is_object else f"OCI_{self.base.upper()}S"
        if self.many == "{":
            return "OCI_OBJECT_MAP" if self.is_object else "OCI_STRING_MAP"
        return "OCI_OBJECT" if self.is_object else f"OCI_{self.base.upper()}"

    def flag(self):
        """the member that tells presence or length; None when the pointer or a default does"""
        if self.many:
            return f"n_{self.member}"
        if self.scalar and not self.required and not self.default:
            return f"has_{self.member}"
        return None

    def declaration(self):
        c = f"struct oci_{self.base} " if self.is_object else "char "
        if self.many == "[":
            c = f"{c}**" if self.base not in SCALARS else f"{SCALARS[self.base]} *"
            return [f"{c}{self.member};", f"size_t n_{self.member};"]
        if self.many == "{":
            c = f"struct oci_{self.base}_entry *" if self.is_object else "struct oci_kv *"
            return [f"{c}{self.member};", f"size_t n_{self.member};"]
        if self.scalar:
            lines = [f"{SCALARS[self.base]} {self.member};"]
            return [f"bool {self.flag()};"] + lines if self.flag() else lines
        return [f"{c}*{self.member};"]


class Struct:
    def __init__(self, name, document):
        self.name, self.document, self.fields = name, document, []


class Schema:
    def __init__(self, path):
        self.structs, self.words = {}, {}
        open_struct, open_words = None, None
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                place = f"{path}:{number}"
                line = line.split("#")[0].rstrip()
                parts = line.split()
                if not parts:
                    continue
                if not line[0].isspace():
                    open_struct = open_words = None
                    if parts[0] in ("struct", "document") and len(parts) == 2:
                        if parts[1] in self.structs:
                            die(place, f"{parts[1]} is there twice")
                        open_struct = Struct(parts[1], parts[0] == "document")
                        self.structs[parts[1]] = open_struct
                    elif parts[0] == "words" and len(parts) > 2:
                        open_words = self.words[parts[1]] = [p.strip('"') for p in parts[2:]]
                    else:
                        die(place, f"'{line}' is neither document, struct nor words")
                elif open_words is not None:
                    open_words.extend(p.strip('"') for p in parts)
                elif open_struct is not None and len(parts) == 2:
                    if any(f.key == parts[0] for f in open_struct.fields):
                        die(place, f"{parts[0]} is there twice")
                    open_struct.fields.append(Field(parts[0], parts[1], place))
                else:
                    die(place, f"'{line.strip()}' is not 'key TYPE'")
        self.check()

    def check(self):
        for s in self.structs.values():
            if not 0 < len(s.fields) <= 64:
                sys.exit(f"struct {s.name} has {len(s.fields)} properties, 1 to 64 are possible")
            for f in s.fields:
                if f.is_object and f.base not in self.structs:
                    die(f.place, f"there is no struct {f.base}")
                if f.words and f.words not in self.words:
                    die(f.place, f"there are no words {f.words}")
        self.used = {f.base for s in self.structs.values() for f in s.fields if f.is_object}
        self.in_maps = {f.base for s in self.structs.values() for f in s.fields
                        if f.is_object and f.many == "{"}


DOCUMENT = """
static inline int oci_{n}_parse(const char *text, size_t len, const struct oci_parse_opts *opts,
                                struct oci_{n} **ret, struct jl_err *e)
{{
    void *p;
    int r = oci_type_parse(&oci_type_{n}, text, len, opts, &p, e);

    if (r == 0)
        *ret = p;
    return r;
}}

static inline int oci_{n}_write(const struct oci_{n} *x, struct jl_buf *out, struct jl_err *e)
{{
    return oci_type_write(&oci_type_{n}, x, OCI_INDENT, out, e);
}}

static inline int oci_{n}_write_compact(const struct oci_{n} *x, struct jl_buf *out,
                                        struct jl_err *e)
{{
    return oci_type_write(&oci_type_{n}, x, 0, out, e);
}}

static inline void oci_{n}_freep(struct oci_{n} **x)
{{
    oci_{n}_free(*x);
}}
"""


def header(schema):
    out = ["/* oci_spec.h - made by libocispec/gen.py out of oci.schema; include ocispec.h. */",
           "#pragma once", "",
           "/* a macro of gcc's, and a property of the specification */", "#undef linux", ""]
    for name in schema.structs:
        out.append(f"struct oci_{name};")
    for name in sorted(schema.in_maps):
        out += ["", f"struct oci_{name}_entry {{", "    char *key;",
                f"    struct oci_{name} *value;", "};"]
    for s in schema.structs.values():
        out += ["", f"struct oci_{s.name} {{"]
        for f in s.fields:
            out += ["    " + line for line in f.declaration()]
        out += ["};"]
    out.append("")
    for s in schema.structs.values():
        out.append(f"extern const struct oci_type oci_type_{s.name};")
    out.append("")
    out.append("/* Each frees a struct and all that hangs on it; NULL is fine. */")
    for s in schema.structs.values():
        out += [f"static inline void oci_{s.name}_free(struct oci_{s.name} *x)", "{",
                f"    oci_type_free(&oci_type_{s.name}, x);", "}"]
    for s in schema.structs.values():
        if s.document:
            out.append(DOCUMENT.format(n=s.name).rstrip("\n"))
    return out


def source(schema):
    out = ["/* oci_spec.c - made by libocispec/gen.py out of oci.schema. */",
           '#include "ocispec.h"', "", '#include "engine.h"', ""]
    for name, words in schema.words.items():
        listed = ", ".join(f'"{w}"' for w in words)
        out.append(f"static const char *const words_{name}[] = {{ {listed}, NULL }};")
    for s in schema.structs.values():
        out += ["", f"static const struct oci_field fields_{s.name}[] = {{"]
        for f in s.fields:
            here = f"struct oci_{s.name}"
            row = [f'.key = "{f.key}"', f".kind = {f.kind()}",
                   f".offset = offsetof({here}, {f.member})"]
            row.append(f".flag = offsetof({here}, {f.flag()})" if f.flag() else ".flag = OCI_NO_FLAG")
            if f.required:
                row.append(".required = true")
            if f.is_object:
                row.append(f".sub = &oci_type_{f.base}")
            if f.words:
                row.append(f".words = words_{f.words}")
            out.append("    { " + ", ".join(row) + " },")
        out += ["};"]
    for s in schema.structs.values():
        out += ["", f"const struct oci_type oci_type_{s.name} = {{",
                f'    .name = "{s.name}",', f"    .fields = fields_{s.name},",
                f"    .n_fields = {len(s.fields)},", f"    .size = sizeof(struct oci_{s.name}),",
                "};"]
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    which = p.add_mutually_exclusive_group(required=True)
    which.add_argument("--header", action="store_const", dest="make", const=header)
    which.add_argument("--source", action="store_const", dest="make", const=source)
    p.add_argument("-o", metavar="FILE", help="instead of standard output")
    p.add_argument("schema")
    args = p.parse_args()
    text = "\n".join(args.make(Schema(args.schema))) + "\n"
    if not args.o:
        sys.stdout.write(text)
        return
    # by rename: a make that was interrupted leaves no half file that looks made
    with open(args.o + ".tmp", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(args.o + ".tmp", args.o)


if __name__ == "__main__":
    main()
