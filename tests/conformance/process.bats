#!/usr/bin/env bats
# config.md: process.

load lib.bash

@test "config/process/terminal" {
    bundle '.process.terminal = true' sh -c 'tty; tty <&1; tty <&2'
    run $py "$here/ontty.py" 33x77 "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$(tr -d '\r' <<<"$output" | xargs)" "/dev/pts/0 /dev/pts/0 /dev/pts/0"
    shows '.process.terminal = false' "not a tty" sh -c 'tty </dev/null || :'
}

@test "config/process/console-size" {
    bundle '.process.terminal = true | .process.consoleSize = {height: 21, width: 43}' stty size
    $py "$here/console.py" "$BATS_TEST_TMPDIR/sock" "$BATS_TEST_TMPDIR/said" </dev/null >/dev/null 2>&1 3>&- &
    pids+=($!)
    until_true test -S "$BATS_TEST_TMPDIR/sock"
    detach --console-socket "$BATS_TEST_TMPDIR/sock"
    until_true grep -qs "21 43" "$BATS_TEST_TMPDIR/said"
}

@test "config/process/console-size-ignored" {
    shows '.process.terminal = false | .process.consoleSize = {height: 21, width: 43}' well echo well
    shows 'del(.process.terminal) | .process.consoleSize = {height: 0, width: 0}' well echo well
}

@test "config/process/cwd" {
    shows '.process.cwd = "/etc"' /etc pwd
}

@test "config/process/cwd-absolute" {
    refused '.process.cwd = "work"' '.process.cwd = "./"' '.process.cwd = ""' 'del(.process.cwd)'
}

@test "config/process/env" {
    shows '.process.env = ["A=1 2", "PATH=/bin", "B="]' $'A=1 2\nB=\nPATH=/bin' sh -c 'env | grep -E "^(A|B|PATH)=" | sort'
}

@test "config/process/args" {
    shows . "a b  *" printf %s\\n "a b  *"
    refused '.process.args = []' 'del(.process.args)'
}

@test "config/process/args-execvp" {
    bundle . true
    printf '#!/bin/sh\necho second\n' >"$bundle/rootfs/work/prog"
    chmod 755 "$bundle/rootfs/work/prog"
    mkdir "$bundle/rootfs/work/first"
    touch "$bundle/rootfs/work/first/prog" # not to be executed: the search goes on
    shows '.process.env = ["PATH=/work/first:/work:/bin"]' second prog
    shows '.process.cwd = "/work"' second ./prog
    refused '.process.args = ["prog"] | .process.env = ["PATH=/bin"]'
}

# bats test_tags=smoke
@test "config/process/rlimits/values" {
    bundle '.process.rlimits = ([["AS", 4294967296], ["CORE", 0], ["CPU", 60], ["DATA", 4294967296], ["FSIZE", 1048576], ["LOCKS", 70],
            ["MEMLOCK", 65536], ["MSGQUEUE", 8192], ["NICE", 0], ["NOFILE", 100], ["NPROC", 5000], ["RSS", 1073741824], ["RTPRIO", 0],
            ["RTTIME", 200000], ["SIGPENDING", 500], ["STACK", 4194304]]
        | map({type: "RLIMIT_\(.[0])", soft: (.[1] / 2 | floor), hard: .[1]}))' cat /proc/self/limits
    try
    ran 0
    local want
    while read -r want; do
        contains "$(tr -s ' ' <<<"$output")" "$want"
    done <<'LIST'
Max address space 2147483648 4294967296 bytes
Max core file size 0 0 bytes
Max cpu time 30 60 seconds
Max data size 2147483648 4294967296 bytes
Max file size 524288 1048576 bytes
Max file locks 35 70 locks
Max locked memory 32768 65536 bytes
Max msgqueue size 4096 8192 bytes
Max nice priority 0 0
Max open files 50 100 files
Max processes 2500 5000 processes
Max resident set 536870912 1073741824 bytes
Max realtime priority 0 0
Max realtime timeout 100000 200000 us
Max pending signals 250 500 signals
Max stack size 2097152 4194304 bytes
LIST
}

@test "config/process/rlimits/soft" {
    shows '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 77, hard: 99}]' 77 sh -c 'ulimit -Sn'
}

@test "config/process/rlimits/hard" {
    shows '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 77, hard: 99}]' 99 sh -c 'ulimit -Hn'
}

@test "config/process/rlimits/unknown" {
    refused '.process.rlimits = [{type: "RLIMIT_MOON", soft: 1, hard: 2}]' '.process.rlimits = [{type: "nofile", soft: 1, hard: 2}]'
}

@test "config/process/rlimits/duplicate" {
    refused '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 10, hard: 20}, {type: "RLIMIT_NOFILE", soft: 10, hard: 20}]' \
        '.process.rlimits = [{type: "RLIMIT_CORE", soft: 0, hard: 0}, {type: "RLIMIT_NOFILE", soft: 10, hard: 20},
            {type: "RLIMIT_CORE", soft: 1, hard: 1}]'
}

@test "config/process/capabilities/sets" {
    bundle '.process.user = {uid: 1000, gid: 1000} | .process.capabilities = {bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
        permitted: ["CAP_CHOWN", "CAP_KILL"], inheritable: ["CAP_CHOWN", "CAP_KILL"], effective: ["CAP_CHOWN", "CAP_KILL"],
        ambient: ["CAP_KILL"]}' cat /proc/self/status
    try
    equals "$(field CapBnd)" 00000000000000a1
    equals "$(field CapInh)" 0000000000000021
    equals "$(field CapPrm)" 0000000000000020 # what exec leaves of them: the ambient ones
    equals "$(field CapEff)" 0000000000000020
    equals "$(field CapAmb)" 0000000000000020
}

@test "config/process/capabilities/unknown" {
    bundle '.process.capabilities |= map_values(. + ["CAP_FLY"])' echo well
    try
    ran 0
    equals "$output" well
    contains "$stderr" CAP_FLY
}

# without CAPABILITY: the runtime has not got it.
without() { run --separate-stderr setpriv --bounding-set="-$1" "$runtime" --root "$root" run --bundle "$bundle" "$id"; }

@test "config/process/capabilities/not-granted" {
    bundle '.process.capabilities |= map_values(. + ["CAP_SYS_BOOT"])' echo well
    without sys_boot
    ran 0
    equals "$output" well
}

@test "config/process/capabilities/not-granted-warning" {
    bundle '.process.capabilities |= map_values(. + ["CAP_SYS_BOOT"])' echo well
    without sys_boot
    equals "$output" well
    contains "$stderr" CAP_SYS_BOOT
}

@test "config/process/no-new-privileges" {
    bundle '.process.noNewPrivileges = true' cat /proc/self/status
    try
    equals "$(field NoNewPrivs)" 1
    bundle '.process.noNewPrivileges = false' cat /proc/self/status
    try
    equals "$(field NoNewPrivs)" 0
}

# scored NUMBER: the runtime with that oom_score_adj.
scored() {
    run --separate-stderr sh -c 'echo '"$1"' >/proc/self/oom_score_adj; exec "$@"' - "$runtime" --root "$root" run --bundle "$bundle" "$id"
}

@test "config/process/oom-score-adj/set" {
    shows '.process.oomScoreAdj = 321' 321 cat /proc/self/oom_score_adj
    bundle '.process.oomScoreAdj = 500' cat /proc/self/oom_score_adj
    scored 400
    equals "$output" 500
}

@test "config/process/oom-score-adj/unset" {
    bundle 'del(.process.oomScoreAdj)' cat /proc/self/oom_score_adj
    scored 234
    equals "$output" 234
}

# fields 19, 40 and 41 of stat: nice, real-time priority, policy
sched='s=$(cat /proc/self/stat); set -- ${s##*) }; echo "${17} ${38} ${39}"'

@test "config/process/scheduler/policy" {
    shows '.process.scheduler = {policy: "SCHED_BATCH", nice: 5}' "5 0 3" sh -c "$sched"
    shows '.process.scheduler = {policy: "SCHED_IDLE"}' "0 0 5" sh -c "$sched"
    refused '.process.scheduler = {policy: "SCHED_LUNAR"}' '.process.scheduler = {nice: 1}'
}

@test "config/process/scheduler/nice" {
    bundle '.process.scheduler = {policy: "SCHED_OTHER"}' sh -c "$sched"
    run --separate-stderr nice -n 7 "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$output" "0 0 0"
    shows '.process.scheduler = {policy: "SCHED_OTHER", nice: 3}' "3 0 0" sh -c "$sched"
}

@test "config/process/scheduler/priority" {
    [ "$(cgroup_mode)" = v2 ] || skip "with real-time groups of cgroup v1 a new group has no real-time budget"
    shows '.process.scheduler = {policy: "SCHED_FIFO", priority: 7}' "0 7 1" sh -c "$sched"
    shows '.process.scheduler = {policy: "SCHED_RR", priority: 2, flags: ["SCHED_FLAG_RESET_ON_FORK"]}' "0 2 2" cut -d" " -f19,40,41 /proc/self/stat
}

@test "config/process/scheduler/deadline" {
    shows '.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 1000000, deadline: 20000000, period: 20000000}' 6 cut -d" " -f41 /proc/self/stat
    refused '.process.scheduler = {policy: "SCHED_DEADLINE", deadline: 20000000}' # a runtime of 0
}

@test "config/process/io-priority" {
    shows '.process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 6}' "best-effort: prio 6" ionice
    shows '.process.ioPriority = {class: "IOPRIO_CLASS_RT", priority: 0}' "realtime: prio 0" ionice
    refused '.process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 8}' '.process.ioPriority = {class: "IOPRIO_CLASS_MOON", priority: 0}'
}

@test "config/process/exec-cpu-affinity" {
    [ "$(nproc)" -gt 1 ] || skip "one processor here"
    running '.process.execCPUAffinity = {initial: "0-1", final: "1"}'
    grep Cpus_allowed_list "/proc/$(container_pid)/status" >"$BATS_TEST_TMPDIR/init"
    run --separate-stderr rt exec "$id" grep Cpus_allowed_list /proc/self/status
    equals "$(xargs <<<"$output")" "Cpus_allowed_list: 1"
    contains "$(cat "$BATS_TEST_TMPDIR/init")" 0-1 # not init's
}

@test "config/process/user" {
    shows '.process.user = {uid: 1000, gid: 2000, additionalGids: [5, 3000]}' "1000 2000 2000 5 3000" \
        sh -c 'echo $(id -u) $(id -g) $(id -G)'
    shows 'userns | .process.user = {uid: 10, gid: 20}' "10 20" sh -c 'echo $(id -u) $(id -g)'
}

@test "config/process/user/umask" {
    shows '.process.user.umask = 63' 0077 sh -c umask
}

# bats test_tags=deviation
@test "config/process/user/umask-unset" {
    bundle 'del(.process.user.umask)' sh -c umask
    umask 0007
    try
    umask 0022
    equals "$output" 0007
}

@test "config/process/required" {
    refused '.process.rlimits = [{soft: 1, hard: 2}]' \
        '.process.rlimits = [{type: "RLIMIT_CORE", hard: 2}]' '.process.rlimits = [{type: "RLIMIT_CORE", soft: 2}]' \
        '.process.ioPriority = {priority: 0}'
}
