#!/usr/bin/env bats
# The fault walk: kill -9 of joblet-run at each system call of a verb leaves what `delete --force`
# removes completely; a call that fails makes the verb fail with a word and leave nothing, or does
# no harm; so does the death of a process that the verb has made. See walk.c.
#
# WALK_ALL=1 takes every call everywhere (tests/inject/walk-all); else some walks skip calls.

load lib.bash

setup_file() { inject_file_setup; }
setup() { inject_setup; }
teardown() {
    [ -z "${holder-}" ] || kill -KILL "$holder"
    inject_teardown
}

every() { [ -n "${WALK_ALL-}" ] && echo 1 || echo "$1"; }

# Making a container: EVERY is for the walks over its processes; the verb's own calls are mostly the
# same in all of them.
walk_making() { # EVERY VERB [ARG...]
    walk --kill --every "$(every $((($1 + 2) / 3)))" "${@:2}"
    walk --kill --settle --every "$(every "$1")" "${@:2}"
    walk --kill --children --every "$(every "$1")" "${@:2}"
    walk --errno --every "$(every $((($1 + 1) / 2)))" "${@:2}"
    walk --errno --children --every "$(every "$1")" "${@:2}"
}

plain=.
limits='.linux.resources += {memory: {limit: 67108864}, pids: {limit: 50}, cpu: {shares: 512}}'
hooks='.hooks = (["prestart", "createRuntime", "createContainer", "startContainer", "poststart",
    "poststop"] | map({key: ., value: [{path: "/bin/sh", args: ["sh", "-c", "exit 0"]}]}) | from_entries)'
seccomp='.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [
    {names: ["swapon", "reboot"], action: "SCMP_ACT_ERRNO"}, {names: ["acct"], action: "SCMP_ACT_KILL"}]}'
devices='.linux.devices = [{path: "/dev/fuse", type: "c", major: 10, minor: 229, fileMode: 438}]
    | .linux.resources.devices += [{allow: true, type: "c", major: 10, minor: 229, access: "rw"}]'
mounts='.mounts += [mount("/work"; "bind"; $tmp + "/source"; ["rbind", "ro", "nosuid"]),
        mount("/mnt/one"; "tmpfs"; "tmpfs"; ["size=1m"]), mount("/cg"; "cgroup"; "cgroup"; ["ro"])]
    | .root.readonly = true | .linux.rootfsPropagation = "private"'

@test "create: killed and failing at each call" {
    probe_bundle "$plain" wait
    walk_making 1 create
}

@test "run: killed and failing at each call" {
    probe_bundle "$plain"
    walk_making 3 run
}

@test "run --detach: killed and failing at each call" {
    probe_bundle "$plain" wait
    walk_making 7 run-detached
}

@test "start: killed and failing at each call" {
    probe_bundle "$plain" wait
    walk_making 1 start
}

@test "exec: killed and failing at each call" {
    probe_bundle "$plain" wait
    walk_making 3 exec
}

@test "kill and delete: killed and failing at each call" {
    probe_bundle "$plain" wait
    walk --kill kill
    walk --errno kill
    walk --kill delete
    walk --errno delete
}

# What these verbs do to a container that runs, and what of it is undone when they fail.
@test "pause, resume and update: killed and failing at each call" {
    probe_bundle "$plain" wait
    local verb
    for verb in pause resume "update --pids-limit 40"; do
        walk --kill --every "$(every 3)" $verb
        walk --errno --every "$(every 2)" $verb
    done
}

@test "gc: killed and failing at each call; what lives stays" {
    probe_bundle "$plain" wait
    walk --kill gc --older-than 0s
    walk --errno gc --older-than 0s
    walk --kill gc-live --older-than 0s
    walk --errno gc-live --older-than 0s
}

@test "checkpoint, where CRIU fails: killed and failing at each call; the container runs on" {
    local how
    probe_bundle "$plain" wait
    for how in "--every $(every 2) --kill" "--every $(every 2) --errno" "--kill --children" "--errno --children"; do
        walk $how checkpoint --image-path "$BATS_FILE_TMPDIR/images"
    done
}

@test "restore, where CRIU fails: killed and failing at each call" {
    local how
    probe_bundle "$plain" wait
    mkdir "$BATS_TEST_TMPDIR/images"
    touch "$BATS_TEST_TMPDIR/images/inventory.img"
    for how in "--every $(every 2) --kill" "--every $(every 2) --errno" "--kill --children" "--errno --children"; do
        walk $how restore --image-path "$BATS_TEST_TMPDIR/images"
    done
}

@test "create with limits" {
    probe_bundle "$limits" wait
    walk_making 7 create
}

@test "create in a user namespace" {
    probe_bundle userns wait
    walk_making 5 create
}

@test "exec in a user namespace" {
    probe_bundle userns wait
    walk_making 7 exec
}

@test "create, start and delete with hooks" {
    probe_bundle "$hooks" wait
    walk_making 12 create
    walk_making 3 start
    walk --kill --every "$(every 3)" delete
}

@test "create with a seccomp profile and devices" {
    probe_bundle "$seccomp | $devices" wait
    walk_making 9 create
}

@test "create with more mounts on a read-only root" {
    mkdir "$work/source"
    probe_bundle "$mounts" wait
    walk_making 9 create
}

has_own_uts() { [ "$(readlink "/proc/$1/ns/uts")" != "$(readlink /proc/self/ns/uts)" ]; }

@test "create in namespaces of others" {
    unshare --net --ipc --uts sleep 1000 </dev/null >/dev/null 2>&1 3>&- 4>&- &
    holder=$!
    until_true has_own_uts "$holder"
    probe_bundle "del(.hostname) | .linux.namespaces |= map(
        if .type == \"network\" then .path = \"/proc/$holder/ns/net\"
        elif .type == \"ipc\" then .path = \"/proc/$holder/ns/ipc\"
        elif .type == \"uts\" then .path = \"/proc/$holder/ns/uts\" else . end)" wait
    walk_making 9 create
}

@test "create with a terminal" {
    probe_bundle '.process.terminal = true' wait
    "$py" "$BATS_TEST_DIRNAME/ttysink.py" "$work/console" "$work/out" </dev/null >/dev/null 3>&- 4>&- &
    holder=$!
    until_true [ -S "$work/console" ]
    walk_making 9 create --console-socket "$work/console"
}
