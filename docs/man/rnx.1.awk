# rnx.1.awk PARTS rnx.1.in: rnx(1) from what `rnx help man` says and the prose around it. A line
# "@job run@" in the prose is replaced by the part of that name; each part must have its place.
NR == FNR {
    if (/^@@ /)
        parts[name = substr($0, 4)] = ""
    else
        parts[name] = parts[name] $0 "\n"
    next
}
/^@.*@$/ {
    name = substr($0, 2, length($0) - 2)
    if (!(name in parts)) {
        print "rnx.1.in: rnx has no part " name | "cat >&2"
        bad = 1
    }
    printf "%s", parts[name]
    placed[name] = 1
    next
}
{ print }
END {
    for (name in parts)
        if (!(name in placed)) {
            print "rnx.1.in: no place for " name | "cat >&2"
            bad = 1
        }
    exit bad
}
