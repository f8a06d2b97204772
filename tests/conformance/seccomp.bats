#!/usr/bin/env bats
# config-linux.md: seccomp.

load lib.bash

# filter RULE [MORE]: all else is allowed.
filter() { echo '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: ['"$1"']'"${2-}"'}'; }
mkdirs='names: ["mkdir", "mkdirat"]'

@test "config-linux/seccomp/actions" {
    shows "$(filter "{$mkdirs, action: \"SCMP_ACT_ERRNO\"}")" "1 no" sh -c 'mkdir /work/a 2>/dev/null; echo "$? $([ -d /work/a ] && echo yes || echo no)"'
    shows "$(filter "{$mkdirs, action: \"SCMP_ACT_KILL_PROCESS\"}")" 159 sh -c 'mkdir /work/a; echo $?'
    shows "$(filter "{$mkdirs, action: \"SCMP_ACT_KILL\"}")" 159 sh -c 'mkdir /work/a; echo $?'
    shows "$(filter "{$mkdirs, action: \"SCMP_ACT_KILL_THREAD\"}")" 159 sh -c 'mkdir /work/a; echo $?'
    shows "$(filter "{$mkdirs, action: \"SCMP_ACT_TRAP\"}")" 159 sh -c 'mkdir /work/a; echo $?'
    shows "$(filter "{$mkdirs, action: \"SCMP_ACT_LOG\"}")" 0 sh -c 'mkdir /work/b; echo $?'
    shows "$(filter "{$mkdirs, action: \"SCMP_ACT_TRACE\"}")" 1 sh -c 'mkdir /work/a 2>/dev/null; echo $?'
    shows '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW"}' 2 awk '$1 == "Seccomp:" { print $2 }' /proc/self/status
}

@test "config-linux/seccomp/default-action-required" {
    refused '.linux.seccomp = {syscalls: []}' '.linux.seccomp = {defaultAction: ""}'
}

@test "config-linux/seccomp/errno" {
    bundle "$(filter "{$mkdirs, action: \"SCMP_ACT_ERRNO\", errnoRet: 18}")" mkdir /work/a
    try
    contains "$stderr" "Invalid cross-device link"
    bundle "$(filter "{$mkdirs, action: \"SCMP_ACT_ERRNO\"}")" mkdir /work/a
    try
    contains "$stderr" "Operation not permitted"
}

@test "config-linux/seccomp/default-errno" {
    # what is not allowed, in a list that allows all that mkdir needs but itself
    bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 95, syscalls: [{action: "SCMP_ACT_ALLOW",
        names: ["read", "write", "writev", "open", "openat", "close", "stat", "lstat", "fstat", "newfstatat", "statx", "mmap", "munmap",
            "mprotect", "mremap", "brk", "execve", "exit", "exit_group", "arch_prctl", "set_tid_address", "set_robust_list", "rseq",
            "prlimit64", "getrandom", "readlink", "readlinkat", "getuid", "geteuid", "getgid", "getegid", "getpid", "gettid", "getppid",
            "prctl", "fcntl", "dup", "dup2", "dup3", "ioctl", "lseek", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
            "umask", "futex", "uname", "capset", "capget", "seccomp", "getdents64", "madvise", "sched_getaffinity", "tgkill", "close_range",
            "setuid", "setgid", "setgroups", "setresuid", "setresgid", "chdir", "fchdir", "getcwd", "nanosleep", "epoll_pwait", "epoll_ctl",
            "sched_yield", "faccessat", "faccessat2", "access", "poll", "ppoll", "sendto", "sendmsg", "recvmsg", "fstatfs", "statfs"]}]}' \
        mkdir /work/a
    try
    contains "$stderr" "Operation not supported"
}

@test "config-linux/seccomp/errno-without-use" {
    refused "$(filter "{$mkdirs, action: \"SCMP_ACT_KILL\", errnoRet: 1}")" "$(filter "{$mkdirs, action: \"SCMP_ACT_ALLOW\", errnoRet: 1}")"
}

@test "config-linux/seccomp/default-errno-without-use" {
    refused '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", defaultErrnoRet: 1}'
}

@test "config-linux/seccomp/names-not-empty" {
    refused "$(filter '{names: [], action: "SCMP_ACT_ERRNO"}')" "$(filter '{action: "SCMP_ACT_ERRNO"}')"
}

@test "config-linux/seccomp/required" {
    refused "$(filter "{$mkdirs}")" "$(filter "{$mkdirs, action: \"SCMP_ACT_MOON\"}")" \
        "$(filter '{names: ["chmod"], action: "SCMP_ACT_ERRNO", args: [{index: 1, value: 1, op: "SCMP_CMP_MOON"}]}')" \
        "$(filter '{names: ["chmod"], action: "SCMP_ACT_ERRNO", args: [{index: 9, value: 1, op: "SCMP_CMP_EQ"}]}')" \
        "$(filter '{names: ["chmod"], action: "SCMP_ACT_ERRNO", args: [{value: 1, op: "SCMP_CMP_EQ"}]}')" \
        "$(filter '{names: ["chmod"], action: "SCMP_ACT_ERRNO", args: [{index: 1, op: "SCMP_CMP_EQ"}]}')"
}

# compared DENIED OP VALUE [VALUE-TWO]: of chmod's modes 1 2 3 4 (octal), those that the rule denies, and a dot.
compared() {
    local denied=$1
    shift
    bundle "$(filter '{names: ["chmod"], action: "SCMP_ACT_ERRNO", args: [{index: 1, op: "'"$1"'", value: '"$2"''"${3+, valueTwo: $3}"'}]},
        {names: ["fchmodat", "fchmodat2"], action: "SCMP_ACT_ERRNO", args: [{index: 2, op: "'"$1"'", value: '"$2"''"${3+, valueTwo: $3}"'}]}')" \
        sh -c 'for m in 1 2 3 4; do chmod $m /work 2>/dev/null || printf $m; done; echo .'
    try
    ran 0
    equals "$output" "$denied"
}
@test "config-linux/seccomp/operators" {
    compared 2. SCMP_CMP_EQ 2
    compared 134. SCMP_CMP_NE 2
    compared 1. SCMP_CMP_LT 2
    compared 12. SCMP_CMP_LE 2
    compared 234. SCMP_CMP_GE 2
    compared 34. SCMP_CMP_GT 2
    compared 23. SCMP_CMP_MASKED_EQ 2 2
}

@test "config-linux/seccomp/architectures" {
    shows "$(filter "{$mkdirs, action: \"SCMP_ACT_ERRNO\"}" ', architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]')" 1 \
        sh -c 'mkdir /work/a 2>/dev/null; echo $?'
    refused "$(filter "{$mkdirs, action: \"SCMP_ACT_ERRNO\"}" ', architectures: ["SCMP_ARCH_MOON"]')"
}

@test "config-linux/seccomp/flags" {
    shows "$(filter "{$mkdirs, action: \"SCMP_ACT_ERRNO\"}" ', flags: ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]')" \
        1 sh -c 'mkdir /work/a 2>/dev/null; echo $?'
    refused "$(filter "{$mkdirs, action: \"SCMP_ACT_ERRNO\"}" ', flags: ["SECCOMP_FILTER_FLAG_MOON"]')"
}

# --- SCMP_ACT_NOTIFY ---
# notified [MORE]: a container whose mkdir the agent answers with EXDEV.
notified() {
    bundle "$(filter "{$mkdirs, action: \"SCMP_ACT_NOTIFY\"}" ', listenerPath: ($tmp + "/agent")'"${1-}")"' | .annotations = {a: "b"}' \
        mkdir /work/a
    $py "$agent" "$BATS_TEST_TMPDIR/agent" "$BATS_TEST_TMPDIR/got" </dev/null >/dev/null 2>&1 3>&- &
    pids+=($!)
    until_true test -S "$BATS_TEST_TMPDIR/agent"
    run --separate-stderr timeout 100 "$runtime" --root "$root" run --bundle "$bundle" "$id"
}
# The agent writes it once its connection ends, which may be after the container's end.
has_got() { until_true test -s "$BATS_TEST_TMPDIR/got"; }
got() { has_got && jq -r "$1" "$BATS_TEST_TMPDIR/got"; }

# bats test_tags=smoke
@test "config-linux/seccomp/notify" {
    notified
    contains "$stderr" "Invalid cross-device link"
}

@test "config-linux/seccomp/notify-one-state" {
    notified
    has_got
    equals "$(wc -l <"$BATS_TEST_TMPDIR/got")" 1 # one connection, which was closed
        equals "$(got .text | jq -s length)" 1
}

@test "config-linux/seccomp/notify-descriptors" {
    notified
    equals "$(got '.fds[0]')" 1
    equals "$(got '.fds[1:] | add // 0')" 0 # in the first message alone
    equals "$(got .text | jq -c .fds)" '["seccompFd"]'
}

@test "config-linux/seccomp/notify-state" {
    notified ', listenerMetadata: "opaque"'
    got .text | json --arg id "$id" --arg bundle "$bundle" '.ociVersion and .pid > 0 and .metadata == "opaque"
        and .state.id == $id and .state.bundle == $bundle and .state.pid == .pid and .state.annotations == {a: "b"} and .state.ociVersion
        and (.state.status | IN("creating", "created", "running"))'
}

@test "config-linux/seccomp/notify-no-listener" {
    refused "$(filter "{$mkdirs, action: \"SCMP_ACT_NOTIFY\"}" ', listenerPath: ($tmp + "/nobody")')" \
        "$(filter "{$mkdirs, action: \"SCMP_ACT_NOTIFY\"}")"
}

@test "config-linux/seccomp/notify-datagram" {
    works
    $py -c 'import socket, sys, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); time.sleep(1000)' \
        "$BATS_TEST_TMPDIR/datagram" </dev/null >/dev/null 2>&1 3>&- &
    pids+=($!)
    until_true test -S "$BATS_TEST_TMPDIR/datagram"
    refused "$(filter "{$mkdirs, action: \"SCMP_ACT_NOTIFY\"}" ', listenerPath: ($tmp + "/datagram")')"
}

@test "config-linux/seccomp/listener-ignored" {
    shows "$(filter "{$mkdirs, action: \"SCMP_ACT_ERRNO\"}" ', listenerPath: "/nowhere/at/all"')" well echo well
}

@test "config-linux/seccomp/metadata-without-listener" {
    refused "$(filter "{$mkdirs, action: \"SCMP_ACT_ERRNO\"}" ', listenerMetadata: "opaque"')"
}
