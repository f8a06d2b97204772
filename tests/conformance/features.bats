#!/usr/bin/env bats
# features.md and features-linux.md: what the runtime says of itself holds.

load lib.bash

setup_file() {
    file_setup
    sound=$(BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR BATS_TEST_NUMBER=0; job_setup; bundle . echo well; run_bundle 2>&1)
    export sound
    rm -rf "$BATS_FILE_TMPDIR"/{b,s}
    features=$BATS_FILE_TMPDIR/features.json
    export features
    rt_said=$("$runtime" features 2>&1) || true # one that has no such verb fails in each case
    echo "$rt_said" >"$features"
}

has_features() { json '.ociVersionMin | type == "string"' "$features"; }
# list PATH: the strings there.
list() { jq -r "($1 // [])[]" "$features"; }

@test "features/version-min" {
    has_features
    shows ".ociVersion = \"$(jq -r .ociVersionMin "$features")\"" well echo well
}

@test "features/version-max" {
    has_features
    bundle ".ociVersion = \"$(jq -r .ociVersionMax "$features")\"" echo well
    try
    equals "$output" well
    equals "$stderr" ""
}

@test "features/version-order" {
    has_features
    equals "$(jq -r '.ociVersionMin, .ociVersionMax' "$features" | sort -V | head -n 1)" "$(jq -r .ociVersionMin "$features")"
}

@test "features/properties-defined" {
    has_features
    equals "$(jq -r '(keys - ["ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux", "annotations", "potentiallyUnsafeConfigAnnotations"]),
        ((.linux // {}) | keys - ["namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux", "intelRdt", "memoryPolicy", "mountExtensions", "netDevices"]),
        ((.linux.cgroup // {}) | keys - ["v1", "v2", "systemd", "systemdUser", "rdma"]),
        ((.linux.seccomp // {}) | keys - ["enabled", "actions", "operators", "archs", "knownFlags", "supportedFlags"]),
        ((.linux.memoryPolicy // {}) | keys - ["modes", "flags"]), ((.linux.netDevices // {}) | keys - ["enabled"]),
        ((.linux.intelRdt // {}) | keys - ["enabled", "schemata", "monitoring"]), ((.linux.mountExtensions // {}) | keys - ["idmap"]) | .[]' \
        "$features")" ""
}

@test "features/compile-time" {
    has_features
    # the same without an environment, control groups, and another's network
    equals "$(env -i unshare -m -n sh -c 'umount -Rl /sys/fs/cgroup; exec "$0" features' "$runtime")" "$(cat "$features")"
}

@test "features/hooks" {
    has_features
    [ -n "$(list .hooks)" ]
    local kind
    for kind in $(list .hooks); do
        bundle "$hooks"' .hooks.'"$kind"' = [hook("touch " + if "'"$kind"'" == "startContainer" then "/work" else "\($tmp)/b/rootfs/work" end + "/'"$kind"'")]' true
        try
        [ -e "$bundle/rootfs/work/$kind" ] || { echo "$kind: $stderr"; return 1; }
    done
}

@test "features/mount-options" {
    has_features
    [ -n "$(list .mountOptions)" ]
    mkdir "$BATS_TEST_TMPDIR/source"
    local option lists
    # each by itself: those that need a bind, on one; idmaps have cases of their own; mand is gone from the kernel
    lists=$(list .mountOptions | grep -vxE 'idmap|ridmap|mand|nomand|remount|acl|noacl' | jq -Rn '[inputs]')
    bundle '.mounts += ['"$lists"' | to_entries[] | if .value | test("^r?(private|shared|slave|unbindable|bind)$|^r(no)?(suid|dev|exec|atime|diratime|relatime|strictatime|symfollow)$|^rr[ow]$|-(nofollow|symlink)$")
        then mount("/mnt/\(.key)"; "none"; $tmp + "/source"; ["rbind", .value] | unique)
        else mount("/mnt/\(.key)"; "tmpfs"; "tmpfs"; [.value, "size=64k"]) end]' sh -c 'grep -c " /mnt/" /proc/self/mountinfo'
    try
    ran 0
    equals "$output" "$(jq length <<<"$lists")"
}

@test "features/mount-options-none-of-a-file-system" {
    has_features
    [ -n "$(list .mountOptions)" ]
    equals "$(list .mountOptions | grep -E '^(mode|size|uid|gid|nr_inodes|ptmxmode|newinstance|lowerdir|hidepid|subset|data)(=|$)')" ""
}

@test "features/annotations" {
    has_features
    json '(.annotations // {}) | type == "object" and all(.[]; type == "string") and all(keys[]; . != "")' "$features"
}

@test "features/types" {
    has_features
    json '[.hooks, .mountOptions, .linux.namespaces, .linux.capabilities, .linux.seccomp.actions, .linux.seccomp.operators, .linux.seccomp.archs,
        .linux.seccomp.knownFlags, .linux.seccomp.supportedFlags] | all(.[]; . == null or (type == "array" and all(.[]; type == "string")))' "$features"
    json '[.linux.cgroup[]?, .linux.seccomp.enabled, .linux.apparmor.enabled, .linux.selinux.enabled, .linux.intelRdt.enabled]
        | all(.[]; . == null or type == "boolean")' "$features"
}

@test "features-linux/namespaces" {
    has_features
    [ -n "$(list .linux.namespaces)" ]
    local kind
    for kind in $(list .linux.namespaces); do
        shows 'if "'"$kind"'" == "user" then userns else ns("'"$kind"'") | .linux.namespaces += [{type: "'"$kind"'"}] end' well echo well
    done
}

@test "features-linux/capabilities" {
    has_features
    [ -n "$(list .linux.capabilities)" ]
    bundle ".process.capabilities |= map_values($(jq -c .linux.capabilities "$features"))" cat /proc/self/status
    try
    ran 0
    [[ ${stderr,,} != *unknown* ]]
    # all that the kernel gives us
    local -i ours=0x$(awk '$1 == "CapBnd:" { print $2 }' /proc/self/status)
    equals "$((0x$(field CapBnd)))" "$ours"
}

@test "features-linux/seccomp-actions" {
    has_features
    [ -n "$(list .linux.seccomp.actions)" ]
    local action
    for action in $(list .linux.seccomp.actions); do
        [ "$action" != SCMP_ACT_NOTIFY ] || continue # has cases of its own
        shows '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["vhangup"], action: "'"$action"'"}]}' well echo well
    done
}

@test "features-linux/seccomp-operators" {
    has_features
    [ -n "$(list .linux.seccomp.operators)" ]
    local op
    for op in $(list .linux.seccomp.operators); do
        shows '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["vhangup"], action: "SCMP_ACT_ERRNO",
            args: [{index: 0, value: 1, valueTwo: 1, op: "'"$op"'"}]}]}' well echo well
    done
}

@test "features-linux/seccomp-archs" {
    has_features
    [ -n "$(list .linux.seccomp.archs)" ]
    local arch
    for arch in $(list .linux.seccomp.archs); do
        bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["'"$arch"'"],
            syscalls: [{names: ["vhangup"], action: "SCMP_ACT_ERRNO"}]}' echo well
        try
        # A filter for both endians may be beyond the runtime's library; the name it must know.
        [ "$output" = well ] || [[ ${stderr,,} != *unknown* && ${stderr,,} != *invalid* && ${stderr,,} != *"not supported"* &&
            $arch =~ _(MIPS|MIPS64|MIPS64N32|PPC|PPC64|S390|S390X|PARISC|PARISC64|M68K|SHEB)$ ]] || { echo "$arch: $stderr"; return 1; }
    done
}

@test "features-linux/seccomp-supported-flags" {
    has_features
    [ -n "$(list .linux.seccomp.supportedFlags)" ]
    local flag
    for flag in $(list .linux.seccomp.supportedFlags); do
        [ "$flag" != SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV ] || continue # only together with NOTIFY
        shows '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", flags: ["'"$flag"'"], syscalls: [{names: ["vhangup"], action: "SCMP_ACT_ERRNO"}]}' \
            well echo well
    done
}

@test "features-linux/seccomp-known-flags" {
    has_features
    [ -n "$(list .linux.seccomp.knownFlags)" ]
    equals "$(comm -13 <(list .linux.seccomp.knownFlags | sort) <(list .linux.seccomp.supportedFlags | sort))" ""
}

@test "features-linux/memory-policy" {
    has_features
    [ -n "$(list .linux.memoryPolicy.modes)" ]
    local mode flag nodes
    for mode in $(list .linux.memoryPolicy.modes); do
        case $mode in MPOL_DEFAULT | MPOL_LOCAL) nodes= ;; *) nodes=', nodes: "0"' ;; esac
        bundle '.linux.memoryPolicy = {mode: "'"$mode"'"'"$nodes"'}' echo well
        try
        [ "$output" = well ] || [ "$mode" = MPOL_WEIGHTED_INTERLEAVE ] # which kernels before 6.9 do not have
    done
    for flag in $(list .linux.memoryPolicy.flags); do
        shows '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: ["'"$flag"'"]}' well echo well
    done
}

@test "features-linux/idmap" {
    has_features
    json '.linux.mountExtensions.idmap.enabled == true' "$features"
}
