#!/usr/bin/env bats
# linux.netDevices: interfaces of the host's that become the container's.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() {
    job_setup
    not_runc "1.1 has none"
    dev=jv$(od -An -N3 -tx1 /dev/urandom | tr -d ' ')
    ip link add "$dev" type veth peer name "p$dev" || skip "no veth devices can be made here"
}
teardown() {
    job_teardown
    ip link delete "$dev" 2>/dev/null || ip link delete "p$dev" 2>/dev/null || true
}

# net_config [NAME]: of the one device, with the name that it gets.
net_config() { echo '.linux.netDevices = {"'"$dev"'": {'"${1:+name: \"$1\"}"'}}'; }
on_host() { ip link show "$1" >/dev/null 2>&1; }

# bats test_tags=smoke
@test "a device is moved, named, brought up, and keeps what it had" {
    ip address add 192.0.2.17/24 dev "$dev"
    ip address add 192.0.2.18/32 dev "$dev" valid_lft 1000 preferred_lft 1000
    ip address add 169.254.3.3/16 scope link dev "$dev"
    ip -6 address add 2001:db8::17/64 dev "$dev" nodad 2>/dev/null || true
    ip link set "$dev" mtu 1412 address 02:11:22:33:44:55
    bundle "$(net_config eth7)" sh -c 'ip -o addr show eth7; ip link show eth7'
    try
    equals "$status" 0
    contains "$output" "192.0.2.17/24"
    contains "$output" "02:11:22:33:44:55"
    contains "$output" "mtu 1412"
    contains "$output" ",UP"
    [[ $output != *192.0.2.18* && $output != *169.254.3.3* ]]
    [ ! -e /proc/sys/net/ipv6 ] || contains "$output" "2001:db8::17/64"
    ! on_host "$dev"
}

@test "without a name the device keeps its own" {
    bundle "$(net_config)" ls /sys/class/net
    try
    contains "$output" "$dev"
    contains "$output" lo
}

@test "a name that ends in %d gets a number that is free" {
    ip link set "$dev" up
    bundle "$(net_config 'net%d')" ls /sys/class/net
    try
    equals "$status" 0
    contains "$output" net0
    [[ $output != *"$dev"* && $output != *jl* ]]
}

@test "a name that is taken is refused unless it is a template, and the device is back" {
    mkfifo "$BATS_TEST_TMPDIR/ready"
    unshare --net sh -c 'ip link add eth0 type veth peer name eth1; echo >"$0"; exec sleep 1000' \
        "$BATS_TEST_TMPDIR/ready" </dev/null >/dev/null 2>&1 3>&- &
    pids+=($!)
    read -r _ <"$BATS_TEST_TMPDIR/ready"
    local join='ns("network") | .linux.namespaces += [{type: "network", path: "/proc/'"${pids[-1]}"'/ns/net"}] | '
    ip address add 192.0.2.17/24 dev "$dev"
    bundle "$join$(net_config eth0)" true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "linux.netDevices.$dev: the network namespace has a device 'eth0' already"
    on_host "$dev"
    contains "$(ip -o addr show "$dev")" 192.0.2.17/24
    bundle "$join$(net_config eth%d)" ls /sys/class/net
    try
    equals "$status" 0
    contains "$output" eth2
}

@test "a container that fails later gives its devices back as they were" {
    ip address add 192.0.2.17/24 dev "$dev"
    ip link set "$dev" up
    bundle "$(net_config eth7) | .hooks.createRuntime = [{path: \"/bin/false\"}]" true
    try
    [ "$status" -ne 0 ]
    on_host "$dev"
    contains "$(ip -o addr show "$dev")" 192.0.2.17/24
    contains "$(ip link show "$dev")" ",UP"
    nothing_left
    bundle "$(net_config eth7)" /no/such/program
    try
    [ "$status" -ne 0 ]
    on_host "$dev"
}

@test "a device that is not there is told, and the one before it comes back" {
    bundle "$(net_config) | .linux.netDevices.nosuchdev = {}" true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "linux.netDevices.nosuchdev: there is no network device 'nosuchdev' here"
    on_host "$dev"
}

@test "in a user namespace the device is the container's as well" {
    bundle "userns | $(net_config eth7)" ls /sys/class/net
    try
    equals "$status" 0
    contains "$output" eth7
}

@test "sysctls of the device are set after it came" {
    bundle "$(net_config eth7) | .linux.sysctl = {\"net.ipv4.conf.eth7.forwarding\": \"1\"}" \
        cat /proc/sys/net/ipv4/conf/eth7/forwarding
    try
    equals "$output" 1
}

@test "devices without a network namespace, or into the host's own, are refused" {
    bundle "ns(\"network\") | $(net_config)" true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "linux.netDevices: needs a network namespace"
    bundle "ns(\"network\") | .linux.namespaces += [{type: \"network\", path: \"/proc/self/ns/net\"}] | $(net_config)" true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "is the network namespace that they are in already"
    on_host "$dev"
}

@test "who has no rights over the host's network is told so" {
    bundle "$(net_config) | del(.linux.resources, .linux.cgroupsPath)" true
    _CONTAINERS_ROOTLESS_UID=1 run --separate-stderr unshare --user --map-root-user --mount "$runtime" --root "$root" run --bundle "$bundle" "$id" 3>&- 4>&-
    [ "$status" -ne 0 ]
    on_host "$dev"
    contains "$stderr" "linux.netDevices"
}
