#!/usr/bin/env bats
# bundle.md, glossary.md, and config.md but its mounts, process and hooks.

load lib.bash

# bats test_tags=smoke
@test "bundle/config-json" {
    shows . well echo well
    mkdir "$bundle/sub"
    mv "$bundle/config.json" "$bundle/sub/config.json"
    try
    was_refused "no config.json"
    mv "$bundle/sub/config.json" "$bundle/Config.json"
    try
    was_refused "Config.json"
}

@test "glossary/json-utf8" {
    shows '.process.env += ["A=\u00e9\u4e2d"]' $'\303\251\344\270\255' sh -c 'echo $A'
    bundle '.annotations = {a: "PLACE"}' touch /work/ran
    sed -i $'s/PLACE/\351/' "$bundle/config.json"
    try
    was_refused latin1
}

@test "glossary/json-duplicate-names" {
    bundle . touch /work/ran
    sed -i 's/"hostname": /"hostname": "other", "hostname": /' "$bundle/config.json"
    try
    was_refused "hostname twice"
}

@test "glossary/json-order" {
    bundle . echo well
    jq '[to_entries[]] | reverse | from_entries' "$bundle/config.json" >"$bundle/new"
    mv "$bundle/new" "$bundle/config.json"
    try
    equals "$output" well
}

@test "config/oci-version" {
    refused 'del(.ociVersion)' '.ociVersion = "one"' '.ociVersion = "1.0"' '.ociVersion = 1'
}

@test "config/oci-version-compatible" {
    local version
    for version in 1.0.0 1.0.2-dev 1.1.0 1.2.1; do shows '.ociVersion = "'$version'"' well echo well; done
}

@test "config/root/path" {
    shows '.root.path = $tmp + "/b/rootfs"' well echo well
    mv "$bundle/rootfs" "$bundle/other"
    bundle '.root.path = "other"' echo well
    try
    equals "$output" well
}

@test "config/root/required" {
    refused 'del(.root)' 'del(.root.path)'
}

@test "config/root/exists" {
    refused '.root.path = "nowhere"'
    touch "$bundle/file"
    refused '.root.path = "file"'
}

@test "config/root/readonly" {
    shows '.root.readonly = true' no sh -c 'touch /work/x 2>/dev/null && echo yes || echo no'
    shows '.root.readonly = false' yes sh -c 'touch /work/x 2>/dev/null && echo yes || echo no'
    shows 'del(.root.readonly)' yes sh -c 'touch /work/x 2>/dev/null && echo yes || echo no'
}

@test "config/hostname" {
    shows '.hostname = "conform"' conform hostname
}

@test "config/domainname" {
    shows '.domainname = "conform.test"' conform.test cat /proc/sys/kernel/domainname
}

@test "config/annotations/map" {
    created '.annotations = {"org.example.a": "1", "org.example.empty": ""}'
    rt state "$id" | json '.annotations == {"org.example.a": "1", "org.example.empty": ""}'
    rt delete --force "$id"
    refused '.annotations = ["a"]' '.annotations = "a"'
}

@test "config/annotations/key-empty" {
    refused '.annotations = {"": "x"}'
}

@test "config/annotations/value-string" {
    refused '.annotations = {a: 1}' '.annotations = {a: {b: "c"}}'
}

@test "config/annotations/unknown" {
    shows '.annotations = {"org.opencontainers.none": "1", "com.example.none": "x"}' well echo well
}

@test "config/extensibility" {
    shows '.future = {a: [1, null]} | .linux.more = "x" | .process.other = 1.5e3 | .mounts[0].third = {}
        | .linux.resources.next = {limit: -7} | .linux.namespaces[0].b = []' well echo well
}

@test "config/valid-values/types" {
    refused '.process = []' '.process.args = "sh"' '.process.user.uid = "root"' '.process.user.uid = -1' '.mounts = {}' \
        '.linux.namespaces = "pid"' '.root.readonly = "yes"' '.process.user.gid = 4294967296'
}

@test "config/valid-values/names" {
    refused '.linux.rootfsPropagation = "sideways"' '.linux.namespaces += [{type: "moon"}]' \
        '.mounts += [mount("/mnt"; "nosuchfs"; "x"; [])]' '.linux.seccomp = {defaultAction: "SCMP_ACT_SMILE"}' \
        '.linux.devices = [{path: "/dev/x", type: "z", major: 1, minor: 3}]'
}
