#!/usr/bin/env bats
# What the program may do: capabilities, seccomp, limits of the process, users, and what a hostile
# image may try.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

# status_field NAME: of /proc/self/status as the container printed it in $output.
status_field() { awk -v n="$1:" '$1 == n { print $2 }' <<<"$output"; }
no_new_privs='.process.noNewPrivileges = true'
any_privs='.process.noNewPrivileges = false'
user='.process.user = {uid: 1000, gid: 1000}'

# bats test_tags=smoke
@test "root has the capabilities of the bounding set and no other" {
    bundle '.process.capabilities |= map_values(["CAP_CHOWN", "CAP_KILL"])' cat /proc/self/status
    try
    local set
    for set in CapBnd CapPrm CapEff; do equals "$(status_field $set)" 0000000000000021; done
    equals "$(status_field CapInh)" 0000000000000000
    equals "$(status_field CapAmb)" 0000000000000000
}

@test "an ordinary user has no capability that is not ambient" {
    bundle "$user" cat /proc/self/status
    try
    equals "$(status_field CapEff)" 0000000000000000
    equals "$(status_field CapPrm)" 0000000000000000
    equals "$(status_field CapBnd)" 0000000020000420
}

@test "an ordinary user has the ambient capabilities" {
    bundle "$user"' | .process.capabilities += {ambient: ["CAP_NET_BIND_SERVICE"], inheritable: ["CAP_NET_BIND_SERVICE"]}' \
        cat /proc/self/status
    try
    equals "$(status_field CapAmb)" 0000000000000400
    equals "$(status_field CapEff)" 0000000000000400
}

@test "empty capability sets are none" {
    bundle '.process.capabilities = {}' cat /proc/self/status
    try
    local set
    for set in CapInh CapPrm CapEff CapBnd CapAmb; do equals "$(status_field $set)" 0000000000000000; done
}

@test "no word about capabilities is none" {
    bundle 'del(.process.capabilities)' cat /proc/self/status
    try
    equals "$(status_field CapEff)" 0000000000000000
    equals "$(status_field CapBnd)" 0000000000000000
}

@test "an unknown capability is a warning" {
    bundle '.process.capabilities.bounding += ["CAP_FLY"]' echo well
    try
    equals "$status" 0
    equals "$output" well
    contains "$stderr" CAP_FLY
}

@test "a capability that joblet-run does not have is a warning" {
    not_runc "fails"
    local -i had=$((0x$(awk '$1 == "CapBnd:" { print $2 }' /proc/self/status)))
    [ $((had >> 24 & 1)) = 0 ] || skip "CAP_SYS_RESOURCE is here"
    bundle '.process.capabilities |= map_values(. + ["CAP_SYS_RESOURCE"])' echo well
    try
    equals "$output" well
    contains "$stderr" CAP_SYS_RESOURCE
}

@test "noNewPrivileges is set or not, as asked for" {
    bundle "$no_new_privs" cat /proc/self/status
    try
    equals "$(status_field NoNewPrivs)" 1
    bundle "$any_privs" cat /proc/self/status
    try
    equals "$(status_field NoNewPrivs)" 0
}

# seccomp SYSCALLS ACTION [MORE]: a filter that allows all else.
seccomp() {
    echo '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: '"$1"', action: "'"$2"'" '"${3-}"'}]}'
}

# bats test_tags=smoke
@test "seccomp makes a system call fail with the number that was asked for" {
    bundle "$(seccomp '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO ', errnoRet: 18')" sh -c 'mkdir /work/new; touch /work/file'
    try
    equals "$stderr" "mkdir: can't create directory '/work/new': Invalid cross-device link"
    [ -e "$bundle/rootfs/work/file" ]
}

@test "seccomp's error is EPERM when no number is given" {
    bundle "$(seccomp '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO)" mkdir /work/new
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "Operation not permitted"
}

@test "seccomp kills for a system call" {
    bundle "$(seccomp '["mkdir", "mkdirat"]' SCMP_ACT_KILL_PROCESS)" sh -c 'mkdir /work/new; echo $?'
    try
    contains "$output" 159 # 128 + SIGSYS
}

@test "seccomp looks at arguments" {
    bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [
        {names: ["chmod"], action: "SCMP_ACT_ERRNO", args: [{index: 1, value: 511, op: "SCMP_CMP_EQ"}]},
        {names: ["fchmodat"], action: "SCMP_ACT_ERRNO", args: [{index: 2, value: 511, op: "SCMP_CMP_EQ"}]}]}' \
        sh -c 'chmod 755 /work && echo one; chmod 777 /work || echo two'
    try
    equals "$output" $'one\ntwo'
}

@test "seccomp can deny by default and allow by name" {
    # what a static busybox and a runtime about to exec it need, less mkdir
    bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 95, syscalls: [{action: "SCMP_ACT_ALLOW",
        names: ["read", "write", "writev", "open", "openat", "close", "stat", "lstat", "fstat", "newfstatat", "statx", "mmap", "munmap",
            "mprotect", "mremap", "brk", "execve", "exit", "exit_group", "arch_prctl", "set_tid_address", "set_robust_list", "rseq",
            "prlimit64", "getrandom", "readlink", "readlinkat", "getuid", "geteuid", "getgid", "getegid", "getpid", "gettid", "getppid",
            "prctl", "fcntl", "dup", "dup2", "dup3", "ioctl", "lseek", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
            "umask", "futex", "uname", "capset", "capget", "seccomp", "getdents64", "madvise", "sched_getaffinity", "tgkill", "close_range",
            "setuid", "setgid", "setgroups", "setresuid", "setresgid", "chdir", "fchdir", "getcwd", "nanosleep", "epoll_pwait",
            "sched_yield", "faccessat", "faccessat2", "access", "poll", "ppoll", "sendto", "sendmsg", "recvmsg", "fstatfs", "statfs"]}]}' \
        mkdir /work/new
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "Operation not supported"
}

@test "seccomp holds for an ordinary user without noNewPrivileges" {
    bundle "$(seccomp '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO) | $user | $any_privs" sh -c 'cat /proc/self/status; mkdir /tmp/new'
    try
    equals "$(status_field Seccomp)" 2
    equals "$(status_field CapEff)" 0000000000000000
    contains "$stderr" "Operation not permitted"
}

@test "seccomp passes over system calls that it does not know" {
    bundle "$(seccomp '["mkdir", "mkdirat", "no_such_call"]' SCMP_ACT_ERRNO)" mkdir /work/new
    try
    contains "$stderr" "Operation not permitted"
}

@test "flags of seccomp are passed on, and unknown ones refused" {
    not_runc "1.1 knows few"
    bundle "$(seccomp '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO)"' | .linux.seccomp.flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]' \
        cat /proc/self/status
    try
    equals "$(status_field Seccomp)" 2
    bundle "$(seccomp '["mkdir", "mkdirat"]' SCMP_ACT_ERRNO)"' | .linux.seccomp.flags = ["SECCOMP_FILTER_FLAG_FLY"]' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" SECCOMP_FILTER_FLAG_FLY
}

@test "an unknown action of seccomp is refused by name" {
    bundle "$(seccomp '["mkdir"]' SCMP_ACT_SMILE)" true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" SCMP_ACT_SMILE
}

@test "limits of the process are set, soft and hard" {
    bundle '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}, {type: "RLIMIT_CORE", soft: 0, hard: 0}]' \
        sh -c 'ulimit -Sn; ulimit -Hn; ulimit -Hc'
    try
    equals "$output" $'100\n200\n0'
}

@test "limits of the process are set in a user namespace" {
    bundle 'userns | .process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}]' sh -c 'ulimit -Sn; ulimit -Hn'
    try
    equals "$output" $'100\n200'
}

@test "oomScoreAdj is set" {
    bundle '.process.oomScoreAdj = 500' cat /proc/self/oom_score_adj
    try
    equals "$output" 500
}

@test "oomScoreAdj is set in a user namespace" {
    bundle 'userns | .process.oomScoreAdj = 500' cat /proc/self/oom_score_adj
    try
    equals "$output" 500
}

@test "sysctl are set in namespaces of the container's own" {
    bundle '.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9999"}' \
        sh -c 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax'
    local before
    before=$(cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax)
    try
    equals "$output" $'1\n9999'
    equals "$(cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax)" "$before"
}

@test "sysctl of the host's network are refused" {
    bundle 'ns("network") | .linux.sysctl = {"net.ipv4.ip_forward": "1"}' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" net.ipv4.ip_forward
}

@test "sysctl of the host's network by its path are refused" {
    bundle 'ns("network") | .linux.namespaces += [{type: "network", path: "/proc/'$$'/ns/net"}]
        | .linux.sysctl = {"net.ipv4.ip_local_reserved_ports": "7"}' true
    local before
    before=$(cat /proc/sys/net/ipv4/ip_local_reserved_ports)
    try
    local after
    after=$(cat /proc/sys/net/ipv4/ip_local_reserved_ports)
    echo "$before" >/proc/sys/net/ipv4/ip_local_reserved_ports
    equals "$after" "$before"
    [ "$status" -ne 0 ]
}

@test "sysctl that belong to no namespace are refused" {
    bundle '.linux.sysctl = {"kernel.panic": "7"}' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" kernel.panic
}

@test "a sysctl that leads out of its folder is refused" {
    not_runc "trusts its caller"
    local name
    for name in net/../kernel/panic net.../.kernel/panic net//x; do
        bundle '.linux.sysctl = {"'"$name"'": "7"}' true
        try
        [ "$status" -ne 0 ]
    done
}

@test "user, group and further groups are as asked for" {
    bundle '.process.user = {uid: 1000, gid: 2000, additionalGids: [5, 3000]}' sh -c 'id -u; id -g; id -G'
    try
    equals "$output" $'1000\n2000\n2000 5 3000'
}

@test "the caller's further groups are dropped" {
    bundle . id -G
    run --separate-stderr /usr/bin/setpriv --groups 4,6 "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$output" 0
}

@test "the umask is as asked for, and 0022 otherwise" {
    bundle '.process.user.umask = 63' sh -c umask
    try
    equals "$output" 0077
    bundle . sh -c umask
    umask 0 # not the caller's
    try
    equals "$output" 0022
}

@test "the program's signals are neither ignored nor blocked, whatever the caller's are" {
    bundle . grep -E '^Sig(Blk|Ign)' /proc/self/status
    run --separate-stderr bash -c 'trap "" USR1 PIPE; exec "$@"' - "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$(status_field SigIgn)" 0000000000000000
    equals "$(status_field SigBlk)" 0000000000000000
}

@test "an image whose /etc/passwd is a pipe does not hang anybody" {
    bundle . echo ran
    rm "$bundle/rootfs/etc/passwd"
    mkfifo "$bundle/rootfs/etc/passwd"
    not_runc "waits for a writer"
    run timeout 100 "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$output" ran
}

@test "masked and read-only paths through symlinks change nothing of the host" {
    mkdir -p "$BATS_TEST_TMPDIR/host"
    bundle '.linux.maskedPaths = ["/etc/link"] | .linux.readonlyPaths = ["/etc/link2"]' echo ran
    ln -s "$BATS_TEST_TMPDIR/host" "$bundle/rootfs/etc/link"
    ln -s "../../../../../../../../$BATS_TEST_TMPDIR/host" "$bundle/rootfs/etc/link2"
    try
    touch "$BATS_TEST_TMPDIR/host/file" # still to be written, still to be seen
    equals "$(ls "$BATS_TEST_TMPDIR/host")" file
    [ "$output" = ran ] || [ "$status" -ne 0 ]
    nothing_left
}

@test "a device that the list does not allow cannot be opened" {
    bundle '.linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 99}]' sh -c 'cat /dev/x'
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "Operation not permitted"
}

@test "a device that the list does not allow cannot be opened under root's podman" {
    bundle '.linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 99}]' sh -c 'cat /dev/x'
    _CONTAINERS_ROOTLESS_UID='' try # it sets that to nothing for root
    [ "$status" -ne 0 ]
    contains "$stderr" "Operation not permitted"
}

@test "a device that the list allows can be opened" {
    bundle '.linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 99}]
        | .linux.resources.devices += [{allow: true, type: "c", major: 1, minor: 99, access: "rw"}]' sh -c 'cat /dev/x'
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "No such device or address" # there is none, but it was asked
}

@test "a device made inside cannot be opened either" {
    bundle '.process.capabilities |= map_values(. + ["CAP_MKNOD"])' sh -c 'mknod /work/x c 1 99 && cat /work/x'
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "Operation not permitted"
}

@test "an image whose /dev/null or /etc/passwd is a FIFO does not stop the start" {
    not_runc "hangs"
    bundle 'userns | .mounts |= map(select(.destination | startswith("/dev") | not)) | del(.process.env)' echo well
    mkfifo "$bundle/rootfs/dev/null"
    rm "$bundle/rootfs/etc/passwd"
    mkfifo "$bundle/rootfs/etc/passwd"
    chmod 777 "$bundle/rootfs/dev"
    run --separate-stderr timeout -k 1 100 "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$stderr" ""
    equals "$output" well
    equals "$status" 0
    nothing_left
}

@test "a directory or symlink in the place of a device is refused by name" {
    not_runc "says it otherwise"
    bundle 'userns | .mounts |= map(select(.destination | startswith("/dev") | not))' echo well
    chmod 777 "$bundle/rootfs/dev"
    ln -s /etc/passwd "$bundle/rootfs/dev/null"
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "'null' of the rootfs is a symlink"
    rm "$bundle/rootfs/dev/null"
    mkdir "$bundle/rootfs/dev/null"
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "'null' of the rootfs is a directory"
    nothing_left
}

@test "a mount's destination may go through symlinks of the image and stays inside" {
    mkdir -p "$BATS_TEST_TMPDIR/source" "$BATS_TEST_TMPDIR/host"
    echo inside >"$BATS_TEST_TMPDIR/source/file"
    bundle '.mounts += [mount("/link/m"; "bind"; $tmp + "/source"; ["bind"]),
                        mount("/up/m"; "bind"; $tmp + "/source"; ["bind"])]' cat /work/m/file /work/m/file
    ln -s /work "$bundle/rootfs/link"
    ln -s ../../../../../../work "$bundle/rootfs/up"
    try
    equals "$output" $'inside\ninside'
    equals "$(ls -A "$BATS_TEST_TMPDIR/host")" ""
    nothing_left
}

