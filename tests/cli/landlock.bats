#!/usr/bin/env bats
# The annotation io.joblet.landlock: what the kernel lets the container's processes do under it.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() {
    job_setup
    not_runc "has no such annotation"
    # From version 1 on; a kernel that is older or has it off gives an error.
    abi=$("$py" -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, 0, 0, 1))')
}
teardown() { job_teardown; }

needs_abi() { [ "$abi" -ge "$1" ] || skip "Landlock of this kernel: version $abi, needs $1"; }

# limited RULES FILTER ARG...: a bundle under these rules.
limited() {
    local rules=$1 filter=$2
    shift 2
    bundle '.annotations["io.joblet.landlock"] = '"$(jq -n --arg r "$rules" '$r')"' | '"$filter" "$@"
}
in_it() { run --separate-stderr rt exec "$@"; }

# bats test_tags=smoke
@test "landlock: files outside of \"read\" cannot be read, in exec neither" {
    needs_abi 1
    limited '{"read": ["/bin", "/etc/group"]}' . sleep 1000
    detach
    in_it "$id" sh -c 'cat /etc/group >/dev/null && echo group; cat /etc/passwd; ls /etc; echo x >/tmp/new && echo wrote'
    equals "$output" $'group\nwrote'
    contains "$stderr" "/etc/passwd': Permission denied"
    contains "$stderr" "/etc': Permission denied"
}

# bats test_tags=smoke
@test "landlock: the first process is under the rules too, with and without noNewPrivileges" {
    needs_abi 1
    local nnp
    for nnp in true false; do
        limited '{"read": ["/bin"]}' ".process.noNewPrivileges = $nnp" sh -c 'cat /etc/passwd || grep NoNewPrivs /proc/self/status; grep CapEff: /proc/self/status'
        try
        contains "$stderr" "Permission denied"
        equals "$output" ""
        limited '{"read": ["/bin", "/proc"]}' ".process.noNewPrivileges = $nnp" sh -c 'cat /etc/passwd; grep -E "CapEff:|NoNewPrivs" /proc/self/status'
        try
        contains "$output" $'CapEff:\t0000000020000420'
        contains "$output" $'NoNewPrivs:\t'"$([ $nnp = true ] && echo 1 || echo 0)"
    done
}

@test "landlock: what is not in \"execute\" does not run, and the failure says why" {
    needs_abi 1
    limited '{"execute": ["/etc"]}' . true
    try
    equals "$status" 1
    contains "$stderr" "permission denied"
    contains "$stderr" "io.joblet.landlock"
    nothing_left
    limited '{"execute": ["/bin/busybox"]}' . sh -c 'cp /bin/busybox /tmp/mine; /tmp/mine true || echo refused'
    try
    equals "$output" refused
}

@test "landlock: nothing outside of \"write\" changes" {
    needs_abi 3
    limited '{"write": ["/tmp", "/dev"]}' . sh -c 'echo x >/tmp/a && mkdir /tmp/d && mv /tmp/a /tmp/d && echo well
        echo x >/work/a; mkdir /work/d; true >/etc/passwd; rm /etc/group; mv /tmp/d/a /work/a; test -s /etc/passwd && echo kept'
    try
    equals "$output" $'well\nkept'
    [ -z "$(ls "$bundle/rootfs/work")" ]
    [ -e "$bundle/rootfs/etc/group" ]
}

@test "landlock: a path is looked up inside the container, links too" {
    needs_abi 1
    bundle . true
    ln -s /etc "$bundle/rootfs/work/link"
    limited '{"read": ["/bin", "/work/link"]}' . cat /etc/passwd
    try
    equals "$status" 0
    limited '{"read": ["/not-there"]}' . true
    try
    equals "$status" 1
    contains "$stderr" "annotations.io.joblet.landlock: read: open '/not-there'"
    nothing_left
}

@test "landlock: TCP ports" {
    needs_abi 4
    limited '{"bindTcp": [8080], "connectTcp": []}' . sh -c 'nc -l -p 8081 </dev/null; echo $?
        nc 127.0.0.1 8080 </dev/null; echo $?; timeout 1 nc -l -p 8080 </dev/null; echo $?'
    try
    contains "$stderr" "bind: Permission denied"
    contains "$stderr" "Permission denied"
    equals "$(tail -n 1 <<<"$output")" 143
}

@test "landlock: a scope keeps signals inside" {
    needs_abi 6
    limited '{"scope": ["signal"]}' . sleep 1000
    detach
    in_it "$id" kill -CONT 1
    [ "$status" -ne 0 ]
    contains "$stderr" "not permitted"
    in_it "$id" sh -c 'sleep 100 & kill $! && echo own'
    equals "$output" own
}

@test "landlock: rules that are none are refused by name" {
    local rules
    for rules in '{' '{}' '{"reed": []}' '{"read": ["bin"]}' '{"bindTcp": [70000]}'; do
        limited "$rules" . true
        try
        equals "$status" 1
        contains "$stderr" "annotations.io.joblet.landlock"
    done
}

# bats test_tags=smoke
@test "landlock: a kernel that is too old for the rules is told, and nothing is left out" {
    [ "$abi" -lt 6 ] || skip "this kernel knows all of it: version $abi"
    limited '{"read": ["/"], "scope": ["signal"]}' . echo ran
    try
    equals "$status" 1
    equals "$output" ""
    contains "$stderr" "Landlock"
    nothing_left
}
