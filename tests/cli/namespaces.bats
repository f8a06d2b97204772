#!/usr/bin/env bats
# Namespaces: new ones, those of others joined by path, and what is set inside of them.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

# A process with namespaces of its own, in $other: other_process UNSHARE-OPTION...
other_process() {
    mkfifo "$BATS_TEST_TMPDIR/ready"
    unshare "$@" sh -c 'echo >"$0"; exec sleep 1000' "$BATS_TEST_TMPDIR/ready" </dev/null >/dev/null 2>&1 3>&- &
    other=$!
    pids+=("$other")
    read -r _ <"$BATS_TEST_TMPDIR/ready"
}
other_ns() { readlink "/proc/$other/ns/$1"; }

differs() { # differs NAME FILTER
    [ -e "/proc/self/ns/$1" ] || skip "this kernel has no $1 namespaces"
    bundle "$2" readlink "/proc/self/ns/$1"
    try
    equals "$status" 0
    [[ $output == "$1:["* ]]
    [ "$output" != "$(readlink "/proc/self/ns/$1")" ]
}

# bats test_tags=smoke
@test "pid, mount, ipc, uts and network namespaces are new when they are asked for" {
    bundle . sh -c 'for ns in pid mnt ipc uts net; do readlink /proc/self/ns/$ns; done'
    try
    equals "$status" 0
    local ns
    for ns in pid mnt ipc uts net; do
        contains "$output" "$ns:["
        [[ $output != *"$(readlink /proc/self/ns/$ns)"* ]]
    done
}

@test "a user namespace is new when it is asked for" {
    differs user userns
}

@test "a cgroup namespace is new when it is asked for" {
    differs cgroup '.linux.namespaces += [{type: "cgroup"}]'
}

@test "a time namespace is new when it is asked for" {
    not_runc "1.1 has none"
    differs time '.linux.namespaces += [{type: "time"}]'
}

@test "namespaces that are not asked for are the host's" {
    bundle 'ns("network") | ns("ipc")' sh -c 'readlink /proc/self/ns/net; readlink /proc/self/ns/ipc'
    try
    equals "$output" "$(readlink /proc/self/ns/net /proc/self/ns/ipc)"
}

@test "the program is process 1 of its pid namespace and sees no other" {
    bundle . sh -c 'echo $$; cd /proc; echo [0-9]*'
    try
    equals "$output" $'1\n1'
}

@test "hostname is set in the container alone" {
    bundle '.hostname = "some-name"' hostname
    local before
    before=$(hostname)
    try
    equals "$output" some-name
    equals "$(hostname)" "$before"
}

@test "domainname is set in the container alone" {
    not_runc "1.1 has none"
    bundle '.domainname = "example.org"' cat /proc/sys/kernel/domainname
    try
    equals "$output" example.org
    [ "$(cat /proc/sys/kernel/domainname)" != example.org ]
}

@test "a hostname without a uts namespace is refused" {
    bundle 'ns("uts")' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "hostname"
}

@test "the loopback interface of a new network namespace is up and alone" {
    bundle . sh -c 'ip -o link | cut -d: -f2; ip -o addr show lo | grep -c 127.0.0.1; ping -c 1 -W 5 127.0.0.1 >/dev/null 2>&1 || ip link show lo'
    try
    equals "${lines[0]}" " lo"
    equals "${lines[1]}" 1
    [ -z "${lines[2]-}" ] || contains "${lines[2]}" "UP"
}

@test "a network namespace is joined by its path" {
    other_process -n
    bundle '.linux.namespaces |= map(if .type == "network" then .path = "/proc/'"$other"'/ns/net" else . end)' \
        readlink /proc/self/ns/net
    try
    equals "$output" "$(other_ns net)"
}

@test "ipc and uts namespaces are joined by their paths" {
    other_process -i -u
    bundle 'ns("ipc") | ns("uts") | del(.hostname) | .linux.namespaces += [
        {type: "ipc", path: "/proc/'"$other"'/ns/ipc"}, {type: "uts", path: "/proc/'"$other"'/ns/uts"}]' \
        sh -c 'readlink /proc/self/ns/ipc; readlink /proc/self/ns/uts'
    try
    equals "$output" "$(other_ns ipc; other_ns uts)"
}

@test "a pid namespace is joined by its path" {
    bundle . sleep 1000
    detach
    local ns
    ns=/proc/$(container_pid)/ns/pid
    first=$id id=$id-2
    cgroup=$cgroup-2
    bundle 'ns("pid") | .linux.namespaces += [{type: "pid", path: "'"$ns"'"}]' \
        sh -c 'readlink /proc/self/ns/pid; tr "\0" " " </proc/1/cmdline; [ $$ != 1 ]'
    try
    equals "$status" 0
    equals "$output" "$(readlink "$ns")"$'\n'"sleep 1000 "
    nothing_left
    rt delete --force "$first"
    cgroup=/$cgroup_parent/$first
}

other_userns() {
    other_process -U
    echo "0 100000 65536" >"/proc/$other/uid_map"
    echo "0 200000 65536" >"/proc/$other/gid_map"
    bundle "$1"' | .linux.namespaces += [{type: "user", path: "/proc/'"$other"'/ns/user"}]' \
        sh -c 'readlink /proc/self/ns/user; id -u; cat /proc/self/uid_map'
    try
    equals "$status" 0
    equals "${lines[0]}" "$(other_ns user)"
    equals "${lines[1]}" 0
    equals "$(xargs <<<"${lines[2]}")" "0 100000 65536"
}

@test "a user namespace is joined by its path" {
    not_runc "wants mappings as well"
    other_userns .
}

@test "a user namespace is joined by its path when mappings are given as well" {
    other_userns 'userns | ns("user")' # as CRI does
}

@test "a path to a namespace of another type is refused" {
    not_runc "leaves it to nsexec"
    bundle '.linux.namespaces |= map(if .type == "network" then .path = "/proc/1/ns/uts" else . end)' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "net"
    nothing_left
}

@test "a path to what is no namespace is refused by name" {
    not_runc "names it otherwise"
    bundle '.linux.namespaces |= map(if .type == "network" then .path = "/etc/passwd" else . end)' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" /etc/passwd
    nothing_left
}

@test "a namespace that is named twice is refused" {
    bundle '.linux.namespaces += [{type: "ipc"}]' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" ipc
}

@test "a namespace of an unknown type is refused by name" {
    bundle '.linux.namespaces += [{type: "mood"}]' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" mood
}

@test "without a mount namespace the root is a chroot and nothing is mounted" {
    bundle 'ns("mount") | del(.mounts) | .linux.maskedPaths = []' \
        sh -c 'echo /*; echo "in file" >/work/file; ls /dev'
    local before
    before=$(cat /proc/self/mountinfo)
    try
    equals "$status" 0
    equals "${lines[0]}" "/bin /dev /etc /mnt /proc /root /sys /tmp /work"
    contains "$output" null
    equals "$(cat "$bundle/rootfs/work/file")" "in file"
    equals "$(cat /proc/self/mountinfo)" "$before"
    nothing_left
}

@test "exec enters a container that has no mount namespace" {
    not_runc "leaves the root to the host's"
    bundle 'ns("mount") | del(.mounts)' sleep 1000
    detach
    contains "$(err)" "no more than a chroot"
    run --separate-stderr rt exec "$id" sh -c 'echo /*; echo $$'
    equals "${lines[0]}" "/bin /dev /etc /mnt /proc /root /sys /tmp /work"
    rt delete --force "$id"
    nothing_left
}

@test "what needs a mount is refused without a mount namespace" {
    not_runc "mounts it on the host"
    local filter
    for filter in . 'del(.mounts) | .linux.maskedPaths = ["/proc/kcore"]' 'del(.mounts) | .root.readonly = true' \
        'del(.mounts) | .process.terminal = true' 'del(.mounts) | userns'; do
        bundle "ns(\"mount\") | $filter" true
        try
        [ "$status" -ne 0 ]
        contains "$stderr" "needs a mount namespace in linux.namespaces"
    done
    nothing_left
}

# bats test_tags=smoke
@test "in a user namespace ids are mapped as asked for" {
    bundle userns sh -c 'id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map'
    try
    equals "$status" 0
    equals "$(xargs -n 5 <<<"$output" | xargs)" "0 0 0 100000 65536 0 200000 65536"
}

@test "the container's root is its mapped user on the host" {
    bundle userns sleep 1000
    detach
    equals "$(stat -c '%u %g' "/proc/$(container_pid)")" "100000 200000"
}

@test "a file made by a mapped user belongs to that user on the host" {
    bundle 'userns | .process.user = {uid: 7, gid: 8}' touch /tmp/file
    try
    equals "$status" 0
    equals "$(stat -c '%u %g' "$bundle/rootfs/tmp/file")" "100007 200008"
}

@test "several ranges of ids are mapped" {
    bundle 'userns | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 1},
        {containerID: 1000, hostID: 300000, size: 2}]' sh -c 'cat /proc/self/uid_map'
    try
    equals "$(xargs <<<"$output")" "0 100000 1 1000 300000 2"
}

@test "a user namespace without mappings is refused" {
    not_runc "lets the kernel say so"
    bundle '.linux.namespaces += [{type: "user"}]' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "uidMappings"
}

@test "mappings without a user namespace are refused" {
    not_runc "1.1 ignores them"
    bundle 'userns | ns("user")' true
    try
    [ "$status" -ne 0 ]
    contains "${stderr,,}" "user namespace"
}

@test "in a cgroup namespace the own group is the root" {
    bundle '.linux.namespaces += [{type: "cgroup"}]' cat /proc/self/cgroup
    try
    contains "$output" :/
    [ -z "$(grep -v ':/$' <<<"$output")" ]
}

@test "offsets of the clocks hold in a time namespace" {
    not_runc "1.1 has none"
    [ -e /proc/self/ns/time ] || skip "this kernel has no time namespaces"
    bundle '.linux.namespaces += [{type: "time"}]
        | .linux.timeOffsets = {boottime: {secs: 8640000}, monotonic: {secs: 7200, nanosecs: 5}}' \
        sh -c 'cut -d. -f1 /proc/uptime; cat /proc/self/timens_offsets'
    try
    [ "${lines[0]}" -ge $(($(cut -d. -f1 /proc/uptime) + 8630000)) ]
    equals "$(xargs <<<"${lines[*]:1}")" "monotonic 7200 5 boottime 8640000 0"
}

@test "offsets of the clocks without a time namespace are refused" {
    not_runc "1.1 has none"
    bundle '.linux.timeOffsets = {boottime: {secs: 1}}' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" timeOffsets
}

@test "the host's mounts do not change while a container runs" {
    local before
    before=$(cat /proc/self/mountinfo)
    bundle . sleep 1000
    detach
    equals "$(cat /proc/self/mountinfo)" "$before"
}

@test "a mount namespace that is joined keeps its mounts and its root" {
    not_runc "1.1 pivots there"
    unshare -m --propagation private sleep 1000 3>&- 4>&- &
    local other=$!
    pids+=($other)
    until_true other_mounts $other
    local before
    before=$(cat /proc/$other/mountinfo)
    bundle 'ns("mount") | .linux.namespaces += [{type: "mount", path: "/proc/'$other'/ns/mnt"}]' \
        sh -c 'echo well; ls /'
    try
    equals "${lines[0]}" well
    contains "$output" work
    no_new_mounts "$before" "$(cat /proc/$other/mountinfo)"
    [ "$(readlink "/proc/$other/root")" = / ]
    nothing_left
}
# Nothing new, and nothing lost; but whoever removes a directory of the host takes from all namespaces
# what was mounted there (rename(2), rmdir(2) since Linux 3.18).
no_new_mounts() { # BEFORE AFTER
    local point
    equals "$(comm -13 <(sort <<<"$1") <(sort <<<"$2"))" ""
    while read -r _ _ _ _ point _; do
        [ ! -e "$(printf %b "$point")" ] || { echo "lost: $point" >&2; return 1; }
    done < <(comm -23 <(sort <<<"$1") <(sort <<<"$2"))
}
other_mounts() {
    [ "$(cat "/proc/$1/comm")" = sleep ] && [ "$(readlink "/proc/$1/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]
}

@test "namespaces of the host's are joined before a new user namespace" {
    local kind type link
    for kind in ipc uts net cgroup mount; do
        rm -f "$BATS_TEST_TMPDIR/ready"
        other_process "--$kind"
        type=$kind link=$kind
        [ "$kind" != net ] || type=network
        [ "$kind" != mount ] || continue
        # sysfs belongs to the network namespace, which is not the container's here
        bundle 'userns | ns("'$type'") | del(.hostname) | .mounts |= map(select(.type != "sysfs"))
            | .linux.namespaces += [{type: "'$type'", path: "/proc/'"$other"'/ns/'$link'"}]' \
            sh -c "readlink /proc/self/ns/$link; cat /proc/self/uid_map"
        try
        equals "$status" 0
        equals "${lines[0]}" "$(other_ns "$link")"
        contains "${lines[1]}" 100000
    done
}

@test "all of another container's namespaces are joined, in whatever order" {
    bundle 'userns | .linux.namespaces += [{type: "cgroup"}]' sleep 1000
    detach
    local first=$id pid order
    pid=$(container_pid)
    id=x cgroup=/$cgroup_parent/x
    for order in '"user", "pid", "ipc", "uts", "network", "cgroup"' '"cgroup", "network", "uts", "ipc", "pid", "user"' \
        '"pid", "user"' '"network", "user"' '"pid"'; do
        bundle '["'"${order//[\" ]/}"'" | split(",")[]] as $o | .linux.namespaces |= map(select(.type as $t | $o | index($t) | not))
            | .linux.namespaces += ($o | map({type: ., path: ("/proc/'"$pid"'/ns/" + if . == "network" then "net" else . end)}))
            | del(.hostname) | .mounts |= map(select(.type != "sysfs" and .type != "proc"))' id -u
        try
        equals "$output$stderr" 0
    done
    id=$first
    rt delete --force "$id"
}
