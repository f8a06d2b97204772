#!/usr/bin/env bats
# features, spec, plan, version, help: what joblet-run tells about itself.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

# bats test_tags=smoke
@test "features is JSON with versions, namespaces, capabilities, cgroup and seccomp" {
    run rt features
    equals "$status" 0
    [ -n "$output" ]
    jq -e '(.ociVersionMin | startswith("1.")) and (.ociVersionMax | startswith("1."))
        and (.linux.namespaces | contains(["cgroup", "ipc", "mount", "network", "pid", "user", "uts"]))
        and (.linux.capabilities | contains(["CAP_CHOWN", "CAP_SYS_ADMIN"]))
        and (.linux.cgroup | has("v1") and has("v2")) and .linux.seccomp.enabled
        and .linux.intelRdt == {"enabled": true, "schemata": true, "monitoring": true}
        and (.linux.seccomp.actions | contains(["SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW"]))
        and (.linux.seccomp.archs | length > 0)
        and (.hooks | contains(["createRuntime", "poststop"]))
        and (.mountOptions | contains(["bind", "nosuid", "rro"]))' <<<"$output"
}

@test "features names the annotations that change what the runtime does" {
    not_runc "1.1 has no such list"
    equals "$(rt features | jq -c .potentiallyUnsafeConfigAnnotations)" '["io.joblet.","org.systemd.property."]'
}

@test "features claims no more than is there" {
    not_runc "is another's"
    run rt features
    # architectures whose programs run here, and nothing that the kernel does not know
    jq -e '.linux.seccomp | (.archs | index("SCMP_ARCH_MIPS") == null) and .supportedFlags - .knownFlags == []
        and (.actions | length == 9) and (.operators | length == 7)' <<<"$output"
    equals "$(jq -c '[.linux.apparmor.enabled, .linux.selinux.enabled]' <<<"$output")" "[true,true]"
}

@test "every mode and flag of memoryPolicy in features is known" {
    not_runc "1.1 has none"
    local mode flag
    for mode in $(rt features | jq -r '.linux.memoryPolicy.modes[]'); do
        bundle '.linux.memoryPolicy = {mode: "'"$mode"'", nodes: (if "'"$mode"'" | test("DEFAULT|LOCAL") then "" else "0" end)}' true
        try
        [[ $status = 0 || $stderr == *set_mempolicy* ]]
    done
    for flag in $(rt features | jq -r '.linux.memoryPolicy.flags[]'); do
        bundle '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: ["'"$flag"'"]}' true
        try
        equals "$status" 0
    done
    [ -n "$mode" ] && [ -n "$flag" ]
}

@test "every mount option of features is taken" {
    not_runc "is another's"
    local options
    options=$(rt features | jq -c '.mountOptions - ["bind", "rbind", "remount", "idmap", "ridmap", "tmpcopyup",
        "mand", "shared", "rshared", "unbindable", "runbindable", "src-nofollow", "copy-symlink"]')
    [ "$(jq length <<<"$options")" -gt 20 ]
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; '"$options"' + ["rw", "exec"])]' echo well
    try
    equals "$stderr" ""
    equals "$output" well
}

# bats test_tags=smoke
@test "spec writes a config.json that runs" {
    mkdir -p "$bundle"
    cp -al "$image" "$bundle/rootfs"
    (cd "$bundle" && rt spec)
    jq '.process.terminal = false | .process.args = ["sh", "-c", "echo well; hostname; id -u; touch /x"]
        | .linux.cgroupsPath = "'"$cgroup"'"' "$bundle/config.json" >"$bundle/new"
    mv "$bundle/new" "$bundle/config.json"
    try
    equals "${lines[0]}" well
    equals "${lines[2]}" 0
    contains "$stderr" "Read-only file system"
    nothing_left
}

@test "spec --bundle writes there" {
    mkdir -p "$bundle"
    cd /
    rt spec --bundle "$bundle"
    jq -e '.ociVersion and .process.terminal and .root.readonly' "$bundle/config.json"
}

@test "spec does not overwrite" {
    mkdir -p "$bundle"
    echo mine >"$bundle/config.json"
    run rt spec --bundle "$bundle"
    [ "$status" -ne 0 ]
    contains "$output" exist
    equals "$(cat "$bundle/config.json")" mine
}

@test "spec --rootless writes a user namespace of one id" {
    mkdir -p "$bundle"
    rt spec --rootless --bundle "$bundle"
    jq -e '(.linux.namespaces | map(.type) | contains(["user"])) and .linux.uidMappings[0].size == 1' "$bundle/config.json"
}

@test "--version has the word version and the specification's" {
    run "$runtime" --version
    equals "$status" 0
    [[ ${lines[0]} =~ ^[a-z-]+\ version\ [0-9] ]]
    [[ $output =~ spec:\ 1\.[0-9]+\.[0-9] ]]
    contains "$output" commit
}

@test "--help names every verb" {
    run "$runtime" --help
    equals "$status" 0
    local verb
    for verb in create start state kill delete exec list run spec features events pause ps resume update; do contains "$output" "$verb"; done
}

@test "every verb has --help" {
    local verb
    for verb in create start state kill delete exec list run spec features; do
        run "$runtime" $verb --help
        equals "$status" 0
        contains "$output" "$verb"
    done
}

@test "plan shows the steps of a bundle and takes none" {
    not_runc "has none"
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; [])]' sh
    run rt plan --bundle "$bundle"
    equals "$status" 0
    contains "$output" "/mnt"
    contains "$output" "${cgroup#/}"
    contains "$output" "sh"
    nothing_left
}

@test "plan of what would be refused is refused" {
    not_runc "has none"
    bundle '.process.args = []' sh
    run rt plan --bundle "$bundle"
    [ "$status" -ne 0 ]
    contains "$output" process.args
}

@test "output that cannot be written is an error" {
    run bash -c '"$1" --root "$2" features >/dev/full' - "$runtime" "$root"
    [ "$status" -ne 0 ]
}

@test "bash completes verbs, options and ids of joblet-run" {
    not_runc "is another's"
    bundle . true
    create
    complete_it() { bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _joblet_run
        echo "${COMPREPLY[@]}"' - "$top/contrib/completions/joblet-run.bash" "$runtime" "$@"; }
    equals "$(complete_it --root "$root" pau)" pause
    contains "$(complete_it --root "$root" create --pid)" --pid-file
    equals "$(complete_it --root "$root" start c)" "$id"
}
