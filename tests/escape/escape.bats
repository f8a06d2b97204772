#!/usr/bin/env bats
# A job of the real daemon tries to get out, and gets the very refusals of refusals.txt. That the
# attempts can succeed at all is shown at the end, in a bundle without the walls.

load lib.bash

setup_file() {
    [ -x "$attempt" ] || { echo "no $attempt: make escape-programs" >&2; return 1; }
    instance_new && instance_start --keep-bundles || return 1
    host_state >"$I/run/host"
    sleep 3600 3>&- &
    echo $! >"$I/run/victim"
    $py -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind("\0" + sys.argv[1]); s.listen()
time.sleep(3600)' "escape-${I##*/}" 3>&- &
    echo $! >"$I/run/listener"
    job --upload="$attempt" /work/attempt "$(cat "$I/run/victim")" "escape-${I##*/}" "$I" >"$I/run/id"
    rnx job log "$(cat "$I/run/id")" >"$I/run/said"
}

teardown_file() {
    for f in victim listener; do [ ! -e "$I/run/$f" ] || kill "$(cat "$I/run/$f")"; done
    instance_end
}

# bats test_tags=smoke
@test "every way out that attempt knows is closed, and the host is as it was" {
    cat "$I/run/said"
    [ "$(ended "$(cat "$I/run/id")")" = "COMPLETED 0" ]
    as_refused <"$I/run/said"
    [ "$(grep -c '^write below.*: nothing$' "$I/run/said")" = 5 ]
    [ "$(grep ' mount: ' "$I/run/said" | sort -u)" = "setuid mount: /
writable mount: /dev
writable mount: /dev/mqueue
writable mount: /dev/pts
writable mount: /dev/shm
writable mount: /proc
writable mount: /tmp
writable mount: /var/tmp
writable mount: /work" ]
    kill -0 "$(cat "$I/run/victim")"
    diff "$I/run/host" <(host_state)
}

# The same program where there is no wall: root with all capabilities in the host's pid and network
# namespaces, without seccomp and masks, everything writable. Each answer must be another one, or
# the attempt proves nothing. `same` may be the same: this kernel has no such thing, or no wall
# makes the difference.
@test "the same attempts in a bundle without walls are answered otherwise" {
    same=" setns clone3 bpf call_x32 modify_ldt io_uring socket_tipc socketpair_tipc lower_files shadow new_privs realtime mm_map more_files tiocsti device_nodes descriptors init_mem init_exe dev_tty oom_score uid_map "
    bundle=$(find "$I/jobs/$(cat "$I/run/id")" -maxdepth 2 -name config.json -printf '%h\n')
    cp -a "$bundle" "$BATS_TEST_TMPDIR/weak"
    cp -a "$(jq -r .root.path "$bundle/config.json")" "$BATS_TEST_TMPDIR/weak/rootfs"
    jq --arg dir "$I" --arg group "/$CGROUP/weak" --arg pid "$(cat "$I/run/victim")" --arg socket "escape-${I##*/}" --arg tool "$attempt" '
        ["CAP_\("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_ADMIN NET_RAW IPC_LOCK SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD SYSLOG PERFMON BPF" | split(" ")[])"] as $caps |
        .process |= (.user = {uid: 0, gid: 0} | .noNewPrivileges = false | del(.rlimits, .oomScoreAdj) | .cwd = "/" |
            .args = ["/weak-attempt", $pid, $socket, $dir] |
            .capabilities = {bounding: $caps, effective: $caps, permitted: $caps, inheritable: $caps, ambient: $caps}) |
        .root = {path: "rootfs", readonly: false} |
        .mounts |= (map(del(.uidMappings, .gidMappings) | .options -= ["ro", "nosuid", "nodev"]) + [{destination: $dir, type: "bind", source: $dir, options: ["bind"]}]) |
        .linux |= (del(.seccomp, .maskedPaths, .readonlyPaths, .uidMappings, .gidMappings) |
            .namespaces |= map(select(.type | IN("user", "network", "pid", "cgroup") | not)) |
            .cgroupsPath = $group | .resources = {devices: [{allow: true, access: "rwm"}]})' \
        "$bundle/config.json" >"$BATS_TEST_TMPDIR/weak/config.json"
    cp "$attempt" "$BATS_TEST_TMPDIR/weak/rootfs/weak-attempt"
    "$build/joblet-run" --root "$BATS_TEST_TMPDIR/state" run --bundle "$BATS_TEST_TMPDIR/weak" "weak-$$" >"$BATS_TEST_TMPDIR/got" </dev/null 3>&- || echo "weak: ended with $?"
    cat "$BATS_TEST_TMPDIR/got"
    proven=0
    while read -r name answer; do
        if [[ $answer != "$(sed -n "s/^$name //p" "$BATS_TEST_TMPDIR/got")" ]]; then
            proven=$((proven + 1))
        elif [[ $same != *" ${name%:} "* && $answer != ENOENT ]]; then
            echo "answered the same: $name $answer"
            false
        fi
    done < <(grep -E '^[a-z_0-9]+: ' "$I/run/said")
    echo "$proven attempts are stopped by the walls alone"
    [ "$proven" -gt 80 ]
}

# libseccomp makes of the same list what joblet-run makes of it.
as_tight_under() { # RUNTIME USERNS
    keep=$I
    instance_new --default-network none --set "isolation.userns=$2" && instance_start --keep-bundles
    id=$(job --upload="$attempt" true)
    ended "$id"
    bundle=$(find "$I/jobs/$id" -maxdepth 2 -name config.json -printf '%h\n')
    # not jq: it would round the masks of the filter
    $py -c 'import json, sys
c = json.load(open(sys.argv[1])); args = c["process"]["args"]
args[args.index("--") + 1:] = sys.argv[2:]
json.dump(c, open(sys.argv[1], "w"))' "$bundle/config.json" /work/attempt "$(cat "$keep/run/victim")" "escape-${keep##*/}" "$keep"
    "$1" --root "$BATS_TEST_TMPDIR/state" run --bundle "$bundle" "escape-$$" >"$BATS_TEST_TMPDIR/said" </dev/null 3>&- || echo "$1: ended with $?"
    cat "$BATS_TEST_TMPDIR/said"
    instance_end || true
    I=$keep CGROUP=joblet-test-e2e-${keep##*.} RNX_CONFIG=$keep/config/rnx-config.yml
    as_refused <"$BATS_TEST_TMPDIR/said"
}

# runc 1.1.5 can't give idmapped mounts
@test "the same bundle is as tight under runc, without a user namespace" {
    command -v runc >/dev/null || skip "runc is not installed"
    as_tight_under runc false
}

# bats test_tags=smoke
@test "the same bundle is as tight under crun" {
    command -v crun >/dev/null || skip "crun is not installed"
    [ ! -d /sys/fs/cgroup/unified ] || skip "crun refuses cgroups of a hybrid host"
    as_tight_under crun true
}
