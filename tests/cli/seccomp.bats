#!/usr/bin/env bats
# linux.seccomp beyond the basics in security.bats: notification, ENOSYS for newer calls, other
# architectures, what is refused.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() {
    job_setup
    socket=$BATS_TEST_TMPDIR/agent.sock
    said=$BATS_TEST_TMPDIR/agent
}
teardown() { job_teardown; }

# agent [ANSWER...]: somebody who answers notifications.
agent() {
    $py "$here/agent.py" "$socket" "$said" "$@" </dev/null >/dev/null 2>&1 3>&- &
    pids+=($!)
    until_true test -S "$socket"
}

# notify SYSCALLS [MORE]: a filter that asks the agent for these, allows all else.
notify() {
    echo '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", listenerPath: "'"$socket"'", listenerMetadata: "some\ndata",
        syscalls: [{names: '"$1"', action: "SCMP_ACT_NOTIFY"}]} | .annotations.color = "blue" '"${2-}"
}

# bats test_tags=smoke
@test "the agent gets the listener with the state, and answers the calls" {
    agent 18
    bundle "$(notify '["mkdir", "mkdirat"]')" sh -c 'mkdir /work/new; touch /work/file'
    try
    equals "$stderr" "mkdir: can't create directory '/work/new': Invalid cross-device link"
    [ -e "$bundle/rootfs/work/file" ]
    equals "$(wc -l <"$said.calls")" 1
    equals "$(jq -c '[.fds, .n_fds, .metadata, .closed, .state.id, .state.status, .state.annotations.color]' "$said.1")" \
        '[["seccompFd"],1,"some\ndata",true,"'"$id"'","creating","blue"]'
    jq -e '.pid > 1 and .pid == .state.pid and (.ociVersion | startswith("1.")) and .ociVersion == .state.ociVersion
        and .state.bundle == "'"$bundle"'"' "$said.1"
    [ ! -e "$said.2" ]
    nothing_left
}

@test "the agent may let a call continue" {
    agent continue 13
    bundle "$(notify '["mkdir", "mkdirat"]')" sh -c 'mkdir /work/one; mkdir /work/two'
    try
    contains "$stderr" "'/work/two': Permission denied"
    [ -d "$bundle/rootfs/work/one" ] && [ ! -e "$bundle/rootfs/work/two" ]
}

@test "notification with create and start, without noNewPrivileges, as an ordinary user" {
    agent 18
    bundle "$(notify '["mkdir", "mkdirat", "execve"]' '| .process.noNewPrivileges = false | .process.user = {uid: 1000, gid: 1000}')" \
        sh -c 'mkdir /tmp/new'
    create
    [ ! -e "$said.1" ] # no filter yet
    # execve is notified too, and gets EXDEV: start says so
    run rt start "$id"
    [ "$status" -ne 0 ]
    contains "$output" ross-device link
    equals "$(jq -r .state.status "$said.1")" created
}

@test "start passes the listener on" {
    agent 18
    bundle "$(notify '["mkdir", "mkdirat"]')" sh -c 'mkdir /work/new 2>/dev/null || echo refused'
    create
    rt start "$id"
    until_true said refused
    equals "$(jq -c '[.state.status, .state.id]' "$said.1")" '["created","'"$id"'"]'
}

@test "exec gives its process a listener of its own" {
    agent 18
    bundle "$(notify '["mkdir", "mkdirat"]')" sleep 60
    detach
    run --separate-stderr rt exec "$id" mkdir /work/new
    equals "$status" 1
    contains "$stderr" ross-device link
    equals "$(jq -c '[.state.status, .pid != .state.pid, .state.pid]' "$said.2")" \
        '["running",true,'"$(container_pid)"']'
}

@test "the container does not have the listener, nor the runtime's sockets" {
    agent
    bundle "$(notify '["mkdir"]')" ls -l /proc/self/fd
    try
    [[ $output != *seccomp* && $output != *anon_inode* && $output != *socket* ]]
}

@test "without an agent nothing runs and nothing is left" {
    bundle "$(notify '["mkdir"]')" touch /work/ran
    try
    equals "$status" 1
    contains "$stderr" linux.seccomp.listenerPath
    contains "$stderr" "$socket"
    [ ! -e "$bundle/rootfs/work/ran" ]
    nothing_left
    create
    run rt start "$id"
    [ "$status" -ne 0 ]
    contains "$output" linux.seccomp.listenerPath
    [ ! -e "$bundle/rootfs/work/ran" ]
}

@test "listenerPath without notification is ignored" {
    bundle "$(notify '["mkdir"]') | .linux.seccomp.syscalls[0].action = \"SCMP_ACT_ERRNO\"" echo well
    try
    equals "$output" well
}

@test "a system call newer than the profile is ENOSYS, an older one the default" {
    command -v gcc >/dev/null || skip "compiles the program that asks; nothing is built in the guest"
    # chmod in busybox is fchmodat; what it does not name is refused, up to openat2 (437)
    bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 95, syscalls: [{action: "SCMP_ACT_ALLOW",
        names: ["read", "write", "writev", "open", "openat", "openat2", "close", "stat", "lstat", "fstat", "newfstatat", "mmap",
            "munmap", "mprotect", "brk", "execve", "exit", "exit_group", "arch_prctl", "set_tid_address", "set_robust_list",
            "rseq", "prlimit64", "getrandom", "readlink", "readlinkat", "getuid", "geteuid", "getgid", "getegid", "getpid",
            "prctl", "fcntl", "dup", "dup2", "ioctl", "rt_sigaction", "rt_sigprocmask", "sigaltstack", "futex", "uname",
            "capset", "capget", "mremap", "lseek", "access", "faccessat"]}]}' /bin/newer
    gcc -static -O1 -o "$bundle/rootfs/bin/newer" -x c - <<'C'
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
static int try(long nr) { return syscall(nr, -1, 0, 0, 0, 0) < 0 ? errno : 0; }
int main(void)
{
    printf("%d %d %d %d\n", try(435), try(439), try(469), try(161)); /* clone3, faccessat2, file_setattr, chroot */
    return 0;
}
C
    try
    equals "$output" "95 38 38 95" # EOPNOTSUPP, ENOSYS
}

@test "programs of an architecture that is not in the profile are killed" {
    [ "$(uname -m)" = x86_64 ] || skip "asks for 32-bit system calls of x86"
    command -v gcc >/dev/null || skip "compiles the program that asks; nothing is built in the guest"
    gcc -static -O1 -o "$BATS_TEST_TMPDIR/int80" -x c - <<'C'
#include <stdio.h>
int main(void)
{
    int pid;
    __asm__ volatile("int $0x80" : "=a"(pid) : "0"(20) : "memory"); /* getpid of i386 */
    printf("%d\n", pid);
    return 0;
}
C
    bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]}' /bin/int80
    cp "$BATS_TEST_TMPDIR/int80" "$bundle/rootfs/bin/"
    try
    equals "$status" 159 # SIGSYS
    bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86"]}' /bin/int80
    try
    [[ $output == 1 || $output == -38 ]] # a kernel without IA32 emulation has no such call
}

# refused FILTER PART...: the profile is refused, with these in the sentence.
refused() {
    bundle ".linux.seccomp = {defaultAction: \"SCMP_ACT_ALLOW\"} | .linux.seccomp += $1" true
    shift
    try
    equals "$status" 1
    for part in "$@"; do
        contains "$stderr" "$part"
    done
}

@test "bad profiles are refused by JSON path" {
    not_runc "says it otherwise"
    refused '{architectures: ["SCMP_ARCH_X86", "SCMP_ARCH_VAX"]}' 'linux.seccomp.architectures[1]' SCMP_ARCH_VAX
    refused '{flags: ["SECCOMP_FILTER_FLAG_FLY"]}' 'linux.seccomp.flags[0]' SECCOMP_FILTER_FLAG_FLY
    refused '{defaultAction: "SCMP_ACT_NOTIFY"}' linux.seccomp.defaultAction
    refused '{defaultErrnoRet: 5}' linux.seccomp.defaultErrnoRet SCMP_ACT_ALLOW
    refused '{defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 5000}' linux.seccomp.defaultErrnoRet 4095
    refused '{syscalls: [{names: ["read"], action: "SCMP_ACT_ALLOW", errnoRet: 0}]}' 'linux.seccomp.syscalls[0].errnoRet'
    refused '{syscalls: [{names: ["read"], action: "SCMP_ACT_TRACE", errnoRet: 65536}]}' 'linux.seccomp.syscalls[0].errnoRet' 65535
    refused '{syscalls: [{names: [], action: "SCMP_ACT_ERRNO"}]}' 'linux.seccomp.syscalls[0].names'
    refused '{syscalls: [{names: ["read"], action: "SCMP_ACT_ERRNO", args: [{index: 6, value: 1, op: "SCMP_CMP_EQ"}]}]}' \
        'linux.seccomp.syscalls[0].args[0].index'
    refused '{syscalls: [{names: ["read"], action: "SCMP_ACT_ERRNO", args: [{index: 0, value: 1, op: "SCMP_CMP_LIKE"}]}]}' \
        'linux.seccomp.syscalls[0].args[0].op' SCMP_CMP_LIKE
    refused '{syscalls: [{names: ["mkdir"], action: "SCMP_ACT_NOTIFY"}]}' linux.seccomp.listenerPath
    refused '{listenerPath: "x", syscalls: [{names: ["mkdir"], action: "SCMP_ACT_NOTIFY"}]}' linux.seccomp.listenerPath
    refused '{listenerMetadata: "x"}' linux.seccomp.listenerMetadata
    refused '{listenerPath: "/x", syscalls: [{names: ["sendmsg"], action: "SCMP_ACT_NOTIFY"}]}' linux.seccomp "'sendmsg'"
    refused '{listenerPath: "/x", syscalls: [{names: ["mkdir"], action: "SCMP_ACT_NOTIFY"}, {names: ["recvmsg"], action: "SCMP_ACT_ERRNO"}]}' \
        linux.seccomp "'recvmsg'"
}

@test "a program that grows beyond what the kernel takes is refused" {
    not_runc "says it otherwise"
    refused '{syscalls: [range(2000) | {names: ["read"], action: "SCMP_ACT_ERRNO", args: [{index: 0, value: ., op: "SCMP_CMP_EQ"}]}]}' 4096
}

@test "unknown system calls are one warning" {
    not_runc "is silent"
    bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [
        {names: ["frobnicate", "read"], action: "SCMP_ACT_ALLOW"}, {names: ["frob2"], action: "SCMP_ACT_ERRNO"}]}' echo well
    try
    equals "$output" well
    equals "$(grep -c warning <<<"$stderr")" 1
    contains "$stderr" "'frobnicate', 'frob2'"
}

@test "a flag that does nothing is a warning" {
    not_runc "is silent"
    bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"]}' echo well
    try
    equals "$output" well
    contains "$stderr" 'warning: linux.seccomp.flags[0]'
}

@test "a notified call can be killed while it waits, with the flag for it" {
    agent 18
    bundle "$(notify '["mkdir"]') | .linux.seccomp.flags = [\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\", \"SECCOMP_FILTER_FLAG_TSYNC\"]" \
        mkdir /work/new
    try
    contains "$stderr" ross-device link
}
