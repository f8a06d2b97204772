# Common to tests/inject/*.bats: bundles with the probe in them, and the walk over them.
load ../cli/lib.bash

tools=${JOBLET_BUILD:-$(dirname "$runtime")}/tests/inject
work=

inject_file_setup() {
    [ "$(id -u)" = 0 ] || skip "needs root"
    [ -x "$tools/walk" ] || { echo "no walk in $tools: make inject-programs" >&2; return 1; }
    chmod o+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/{file,test,suite} "$BATS_FILE_TMPDIR" 2>/dev/null || true
}

inject_setup() {
    work=$BATS_TEST_TMPDIR
    id=i$$-$BATS_TEST_NUMBER # keyrings' names are the machine's
    parent=joblet-test-inject-$$-$BATS_TEST_NUMBER
    root=$work/state
    cgroup=/$parent/$id
    bundle=$work/bundle
    chmod o+x "$work"
    mkdir -m 700 "$root"
}

# What a walk that was interrupted has left.
inject_teardown() {
    local dir
    [ -n "${parent-}" ] || return 0
    rt delete --force "$id" >/dev/null 2>&1
    for dir in $(cgroup_mounts); do
        [ ! -d "$dir/$parent" ] || find "$dir/$parent" -depth -type d -exec rmdir {} \; 2>/dev/null
    done
    return 0
}

# probe_bundle FILTER ARG...: a bundle of the probe and nothing else; jq's FILTER as in tests/cli.
probe_bundle() {
    local filter=$1 ns hosts=
    shift
    mkdir -p "$bundle"/rootfs/{bin,dev,proc,sys,tmp,work,masked,readonly}
    [ -e "$bundle/rootfs/probe" ] || cp "$tools/probe" "$bundle/rootfs/probe"
    [ -e "$bundle/rootfs/bin/sh" ] || cp /bin/busybox "$bundle/rootfs/bin/sh"
    touch "$bundle/rootfs/masked/secret"
    for ns in cgroup ipc mnt net pid time user uts; do
        hosts+=" $(readlink "/proc/self/ns/$ns")"
    done
    bundle ".process.env += [\"HOST_NS=$hosts \"] | .linux.maskedPaths = [\"/masked\"]
        | .linux.readonlyPaths = [\"/readonly\"] | $filter" /probe "$@"
}

# walk ARG...: with what this test has; see walk.c.
walk() {
    "$tools/walk" --runtime "$runtime" --dir "$work" --parent "$parent" --id "$id" "$@" \
        </dev/null 3>&- 4>&-
}
