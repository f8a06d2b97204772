#!/usr/bin/env bats
# config-linux.md but control groups and seccomp; runtime-linux.md.

load lib.bash

@test "config-linux/default-filesystems" {
    bundle . true
    (cd "$BATS_TEST_TMPDIR" && rt spec)
    jq --arg rootfs "$bundle/rootfs" '.process.args = ["sh", "-c", "for d in /proc /sys /dev/pts /dev/shm; do stat -f -c %T $d; done"]
        | .root.path = $rootfs | .process.terminal = false | .linux.cgroupsPath = "'"$cgroup"'"' "$BATS_TEST_TMPDIR/config.json" >"$bundle/config.json"
    try
    ran 0
    equals "$(sed s/UNKNOWN/devpts/ <<<"$output" | xargs)" "proc sysfs devpts tmpfs"
}

# other KIND OPTION: a process of the host with a namespace of its own, in $other.
other() {
    mkfifo "$BATS_TEST_TMPDIR/ready"
    unshare "$@" sh -c 'echo >"$0"; exec sleep 1000' "$BATS_TEST_TMPDIR/ready" </dev/null >/dev/null 2>&1 3>&- &
    other=$!
    pids+=("$other")
    read -r _ <"$BATS_TEST_TMPDIR/ready"
}

# new KIND FILE FILTER: the container's differs from the host's.
new() {
    [ -e "/proc/self/ns/$2" ] || skip "this kernel has no $1 namespaces"
    bundle "$3" readlink "/proc/self/ns/$2"
    try
    ran 0
    contains "$output" "$2:["
    [ "$output" != "$(readlink "/proc/self/ns/$2")" ]
}

@test "config-linux/namespaces/pid" { new pid pid .; }
@test "config-linux/namespaces/network" { new network net .; }
@test "config-linux/namespaces/mount" { new mount mnt .; }
@test "config-linux/namespaces/ipc" { new ipc ipc .; }
@test "config-linux/namespaces/uts" { new uts uts .; }
@test "config-linux/namespaces/user" { new user user userns; }
@test "config-linux/namespaces/cgroup" { new cgroup cgroup '.linux.namespaces += [{type: "cgroup"}]'; }
@test "config-linux/namespaces/time" { new time time '.linux.namespaces += [{type: "time"}]'; }

# bats test_tags=smoke
@test "config-linux/namespaces/path" {
    other --net --ipc --uts
    bundle '.linux.namespaces |= map(if .type | IN("network", "ipc", "uts") then
            .path = "/proc/'"$other"'/ns/" + ({network: "net"}[.type] // .type) else . end) | del(.hostname)' \
        sh -c 'for n in net ipc uts; do readlink /proc/self/ns/$n; done'
    try
    equals "$output" "$(for n in net ipc uts; do readlink "/proc/$other/ns/$n"; done)"
}

@test "config-linux/namespaces/path-absolute" {
    other --net
    bundle . true
    ln -s "/proc/$other/ns/net" "$bundle/net"
    cd "$bundle"
    refused 'ns("network") | .linux.namespaces += [{type: "network", path: "net"}]' \
        'ns("network") | .linux.namespaces += [{type: "network", path: "../b/net"}]'
}

@test "config-linux/namespaces/path-of-other-type" {
    other --net --ipc
    refused 'ns("ipc") | .linux.namespaces += [{type: "ipc", path: "/proc/'"$other"'/ns/net"}]' \
        'ns("network") | .linux.namespaces += [{type: "network", path: "/etc/passwd"}]' \
        'ns("network") | .linux.namespaces += [{type: "network", path: "/proc/'"$other"'/ns/nothing"}]'
}

@test "config-linux/namespaces/inherit" {
    shows 'ns("network") | ns("ipc") | ns("uts") | del(.hostname)' "$(readlink /proc/self/ns/net /proc/self/ns/ipc /proc/self/ns/uts | xargs)" \
        sh -c 'echo $(readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; readlink /proc/self/ns/uts)'
}

@test "config-linux/namespaces/duplicate" {
    refused '.linux.namespaces += [{type: "ipc"}]' '.linux.namespaces += [{type: "network", path: "/proc/self/ns/net"}]'
}

@test "config-linux/namespaces/type-required" {
    refused '.linux.namespaces += [{}]' '.linux.namespaces += [{path: "/proc/self/ns/net"}]'
}

@test "config-linux/user-mappings/values" {
    bundle 'userns | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 10}, {containerID: 50, hostID: 300000, size: 7}]' \
        sh -c 'tr -s " " </proc/self/uid_map; tr -s " " </proc/self/gid_map'
    try
    ran 0
    equals "$output" $' 0 100000 10\n 50 300000 7\n 0 200000 65536'
}

@test "config-linux/user-mappings/ownership" {
    bundle userns stat -c "%u %g" /etc/passwd
    local before
    before=$(cd "$bundle/rootfs" && find . -printf '%p %U %G\n' | sort)
    try
    ran 0
    equals "$output" "65534 65534"
    equals "$(cd "$bundle/rootfs" && find . -printf '%p %U %G\n' | sort)" "$before"
}

@test "config-linux/user-mappings/required" {
    refused 'userns | del(.linux.uidMappings[0].size)' 'userns | del(.linux.uidMappings[0].hostID)' \
        'userns | del(.linux.gidMappings[0].containerID)'
}

@test "config-linux/time-offsets" {
    [ -e /proc/self/ns/time ] || skip "this kernel has no time namespaces"
    bundle '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {monotonic: {secs: 864000}, boottime: {secs: 8640000, nanosecs: 5}}' \
        sh -c 'tr -s " " </proc/self/timens_offsets; cut -d. -f1 /proc/uptime'
    try
    ran 0
    contains "$output" "monotonic 864000 0"
    contains "$output" "boottime 8640000 5"
    [ "$(tail -n 1 <<<"$output")" -gt 8640000 ]
    refused '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {realtime: {secs: 1}}'
}

@test "config-linux/devices/available" {
    shows '.linux.devices = [{path: "/dev/one", type: "c", major: 1, minor: 5, fileMode: 432, uid: 7, gid: 8},
            {path: "/work/two", type: "b", major: 7, minor: 200}, {path: "/dev/three", type: "u", major: 1, minor: 3},
            {path: "/dev/four", type: "p"}]' \
        $'character special file 1:5 660 7 8\nblock special file 7:c8\ncharacter special file 1:3\nfifo' \
        sh -c 'stat -c "%F %t:%T %a %u %g" /dev/one; stat -c "%F %t:%T" /work/two /dev/three; stat -c %F /dev/four'
}

@test "config-linux/devices/path-anywhere" {
    shows '.linux.devices = [{path: "/work/deep/null", type: "c", major: 1, minor: 3}]' 1:3 stat -c %t:%T /work/deep/null
}

@test "config-linux/devices/exists" {
    bundle . true
    echo text >"$bundle/rootfs/work/file"
    mknod "$bundle/rootfs/work/zero" c 1 5
    refused '.linux.devices = [{path: "/work/file", type: "c", major: 1, minor: 3}]' \
        '.linux.devices = [{path: "/work/zero", type: "c", major: 1, minor: 3}]' \
        '.linux.devices = [{path: "/work/zero", type: "b", major: 1, minor: 5}]'
    equals "$(cat "$bundle/rootfs/work/file")" text
    shows '.linux.devices = [{path: "/work/zero", type: "c", major: 1, minor: 5}]' well echo well
}

@test "config-linux/devices/required" {
    refused '.linux.devices = [{path: "/dev/x", major: 1, minor: 3}]' '.linux.devices = [{type: "c", major: 1, minor: 3}]' \
        '.linux.devices = [{path: "/dev/x", type: "c", minor: 3}]' '.linux.devices = [{path: "/dev/x", type: "b", major: 7}]'
}

# default PATH MAJOR:MINOR
default() { shows 'del(.linux.devices)' "character special file $2 666" stat -c "%F %t:%T %a" "$1"; }
@test "config-linux/default-devices/null" { default /dev/null 1:3; }
@test "config-linux/default-devices/zero" { default /dev/zero 1:5; }
@test "config-linux/default-devices/full" { default /dev/full 1:7; }
@test "config-linux/default-devices/random" { default /dev/random 1:8; }
@test "config-linux/default-devices/urandom" { default /dev/urandom 1:9; }
@test "config-linux/default-devices/tty" { default /dev/tty 5:0; }
@test "config-linux/default-devices/console" {
    bundle '.process.terminal = true' sh -c 'stat -c "%t" /dev/console; echo by-console >/dev/console'
    run $py "$here/ontty.py" 33x77 "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$(tr -d '\r' <<<"$output" | xargs)" "88 by-console"
    shows . none sh -c '[ -e /dev/console ] && echo there || echo none'
}
@test "config-linux/default-devices/ptmx" {
    shows . "5:2" stat -L -c "%t:%T" /dev/ptmx
    shows . same sh -c '[ /dev/ptmx -ef /dev/pts/ptmx ] && echo same'
}

# in_net SETUP [AFTER]: run in a network namespace of its own, prepared by SETUP and looked at by AFTER.
in_net() {
    run --separate-stderr unshare -n sh -c "$1"'; "$0" --root "$1" run --bundle "$2" "$3"; s=$?; '"${2-:}"'; exit $s' \
        "$runtime" "$root" "$bundle" "$id"
}
veth='ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 mtu 1300 address 02:00:00:00:00:07;
    ip addr add 192.0.2.5/24 dev v0; ip -6 addr add 2001:db8::5/64 dev v0 nodad; ip link set v0 up'

# bats test_tags=smoke
@test "config-linux/net-devices/moved" {
    bundle '.linux.netDevices = {v0: {}}' ip -o link
    in_net "$veth" 'ip -o link show v0 >&2'
    ran 0
    contains "$output" " v0@"
    contains "$stderr" 'Device "v0" does not exist'
}

@test "config-linux/net-devices/name" {
    bundle '.linux.netDevices = {v0: {name: "eth7"}}' ip -o link
    in_net "$veth"
    ran 0
    contains "$output" " eth7@"
}

@test "config-linux/net-devices/possible" {
    bundle '.linux.netDevices = {nothing0: {}}' touch /work/ran
    in_net "$veth"
    was_refused "no such device"
    bundle '.linux.netDevices = {lo: {name: "v9"}}' touch /work/ran # the kernel moves no lo
    in_net "$veth"
    was_refused "lo"
}

@test "config-linux/net-devices/name-taken" {
    bundle '.linux.netDevices = {v0: {name: "lo"}}' touch /work/ran
    in_net "$veth" 'ip -o link show v0 >&2'
    was_refused "lo is taken"
    contains "$stderr" " v0@"
}

@test "config-linux/net-devices/name-template" {
    bundle '.linux.netDevices = {v0: {name: "job%d"}, v1: {name: "job%d"}}' ip -o link
    in_net "$veth"
    ran 0
    contains "$output" " job0@"
    contains "$output" " job1@"
}

@test "config-linux/net-devices/addresses" {
    bundle '.linux.netDevices = {v0: {}, v1: {}}' ip addr show v0
    in_net "$veth"
    ran 0
    contains "$output" "192.0.2.5/24"
    contains "$output" "2001:db8::5/64"
}

@test "config-linux/net-devices/attributes" {
    bundle '.linux.netDevices = {v0: {}}' ip link show v0
    in_net "$veth"
    ran 0
    contains "$output" "mtu 1300"
    contains "$output" 02:00:00:00:00:07
}

@test "config-linux/net-devices/up" {
    bundle '.linux.netDevices = {v1: {}}' ip link show v1 # which is down
    in_net "$veth"
    ran 0
    [[ $output == *,UP* || $output == *"<UP"* ]]
}

@test "config-linux/net-devices/not-moved-back" {
    other --net
    bundle 'ns("network") | .linux.namespaces += [{type: "network", path: "/proc/'"$other"'/ns/net"}]
        | .linux.netDevices = {v0: {name: "left0"}}' true
    in_net "$veth" 'ip -o link show v0 >&2; nsenter -t '"$other"' -n ip -o link'
    ran 0
    contains "$output" " left0@"
    contains "$stderr" 'Device "v0" does not exist'
}

# The program's policy, as the kernel names it for its stack.
numa='awk "/stack/ { print \$2 }" /proc/self/numa_maps'
memory_policy() { shows '.linux.memoryPolicy = {mode: "'"$1"'"'"${2+, nodes: \"$2\"}${3+, flags: [\"$3\"]}"'}' "$4" sh -c "$numa"; }

@test "config-linux/memory-policy/modes" {
    [ -e /proc/self/numa_maps ] || skip "this kernel has no NUMA"
    shows '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0"}' bind:0 sh -c "$numa"
    shows '.linux.memoryPolicy = {mode: "MPOL_INTERLEAVE", nodes: "0"}' interleave:0 sh -c "$numa"
    shows '.linux.memoryPolicy = {mode: "MPOL_PREFERRED", nodes: "0"}' prefer:0 sh -c "$numa"
    shows '.linux.memoryPolicy = {mode: "MPOL_LOCAL"}' local sh -c "$numa"
    shows '.linux.memoryPolicy = {mode: "MPOL_DEFAULT"}' default sh -c "$numa"
    bundle '.linux.memoryPolicy = {mode: "MPOL_PREFERRED_MANY", nodes: "0"}' sh -c "$numa"
    try
    ran 0
    contains "$output" prefer
}

@test "config-linux/memory-policy/flags" {
    [ -e /proc/self/numa_maps ] || skip "this kernel has no NUMA"
    shows '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"]}' bind=static:0 sh -c "$numa"
    shows '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_RELATIVE_NODES"]}' bind=relative:0 sh -c "$numa"
}

@test "config-linux/memory-policy/invalid" {
    refused '.linux.memoryPolicy = {nodes: "0"}' '.linux.memoryPolicy = {mode: "MPOL_MOON"}' '.linux.memoryPolicy = {mode: "MPOL_BIND"}' \
        '.linux.memoryPolicy = {mode: "MPOL_DEFAULT", nodes: "0"}' '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0-"}' \
        '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_MOON"]}'
}

@test "config-linux/intel-rdt/no-resctrl" {
    ! grep -q ' resctrl ' /proc/self/mountinfo || skip "resctrl is mounted"
    refused '.linux.intelRdt = {closID: "conform"}' '.linux.intelRdt = {l3CacheSchema: "L3:0=f"}'
}

@test "config-linux/intel-rdt/values" {
    refused '.linux.intelRdt = {memBwSchema: "L3:0=70"}' '.linux.intelRdt = {memBwSchema: "MB:0=70\nL3:0=f"}' \
        '.linux.intelRdt = {schemata: ["MB:0=70\nL3:0=f"]}'
}

@test "config-linux/sysctl" {
    shows '.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9999"}' $'1\n9999' \
        cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax
}

# propagation VALUE: what mountinfo has of the root's.
propagation() {
    bundle '.linux.rootfsPropagation = "'"$1"'"' awk '$5 == "/" { print "," $7 "," $8 "," }' /proc/self/mountinfo
    try
    ran 0
}
@test "config-linux/rootfs-propagation/shared" { propagation shared; contains "$output" shared:; }
@test "config-linux/rootfs-propagation/slave" {
    # The host's file system that the rootfs is in is shared, as systemd has it.
    host_tree
    mount --make-rshared "$tree"
    bundle . true
    mkdir "$tree/r"
    mount --bind "$bundle/rootfs" "$tree/r"
    bundle '.linux.rootfsPropagation = "slave" | .root.path = $tmp + "/tree/r"' awk '$5 == "/" { print "," $7 "," $8 "," }' /proc/self/mountinfo
    try
    ran 0
    contains "$output" master:
    [[ $output != *shared:* ]]
}
@test "config-linux/rootfs-propagation/private" {
    propagation private
    contains "$output" ,-,
    [[ $output != *:* ]]
}
@test "config-linux/rootfs-propagation/unbindable" { propagation unbindable; contains "$output" unbindable; }

@test "config-linux/masked-paths" {
    bundle '.linux.maskedPaths = ["/etc/passwd", "/root", "/proc/kcore", "/no/such"]' \
        sh -c 'wc -c </etc/passwd; ls -A /root; head -c 10 /proc/kcore | wc -c'
    touch "$bundle/rootfs/root/secret"
    try
    ran 0
    equals "$output" $'0\n0'
}

@test "config-linux/masked-paths-absolute" {
    refused '.linux.maskedPaths = ["etc/passwd"]'
}

@test "config-linux/readonly-paths" {
    shows '.linux.readonlyPaths = ["/etc", "/proc/sys", "/no/such"]' "no no yes" \
        sh -c 'for f in /etc/x /proc/sys/net/ipv4/ip_forward /work/x; do (echo 1 >$f) 2>/dev/null && printf yes || printf no; printf " "; done | sed "s/ $//"'
}

@test "config-linux/readonly-paths-absolute" {
    refused '.linux.readonlyPaths = ["etc"]'
}

@test "config-linux/personality" {
    shows '.linux.personality = {domain: "LINUX32"}' i686 uname -m
    shows '.linux.personality = {domain: "LINUX"}' "$(uname -m)" uname -m
    refused '.linux.personality = {domain: "MOON"}' '.linux.personality = {}' '.linux.personality = {domain: "LINUX", flags: ["X"]}'
}

# bats test_tags=smoke
@test "runtime-linux/file-descriptors" {
    bundle . sh -c 'ls /proc/1/fd; :'
    try 7<"$bundle" 9<"$BATS_TEST_FILENAME"
    equals "$(xargs <<<"$output")" "0 1 2"
}

# link NAME TARGET
link() { shows . "$2" readlink "$1"; }
@test "runtime-linux/symlinks/fd" { link /dev/fd /proc/self/fd; }
@test "runtime-linux/symlinks/stdin" { link /dev/stdin /proc/self/fd/0; }
@test "runtime-linux/symlinks/stdout" { link /dev/stdout /proc/self/fd/1; }
@test "runtime-linux/symlinks/stderr" { link /dev/stderr /proc/self/fd/2; }
