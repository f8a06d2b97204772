#!/usr/bin/env bats
# What a job tries with its network: the host, its services on every address, metadata services, other
# networks, IPv6, others' addresses; and what somebody would try who had become root of the job's
# network namespace. The instance runs in a network namespace that the test makes.

load ../e2e/netlib

setup_file() {
    net_new && instance_start || return 1
    serve host 0.0.0.0 8081 HOSTSERVICE
    serve host :: 8082 HOSTSIX
    serve world 100.100.100.200 80 METADATA
    rnx network create other --cidr=10.103.0.0/24
    hear host "$I/run/host.heard" 8081
    hear world "$I/run/world.heard" 9999
    until_true 10 is_heard in_world 203.0.113.2 8081 "$I/run/host.heard"
    until_true 10 is_heard in_host 198.51.100.7 9999 "$I/run/world.heard"
}
teardown_file() { net_end; }
teardown() { [ -z "${listener-}" ] || kill "$listener" 2>/dev/null || true; }

# is_heard FROM ADDRESS PORT FILE: that "control" is sent there.
is_heard() {
    "$1" $py -c 'import socket, sys
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"control", (sys.argv[1], int(sys.argv[2])))' "$2" "$3"
    grep -q ' control$' "$4"
}
# hear host|world FILE PORT: writes down who sends datagrams to the port, and answers.
hear() {
    local ns=$HOSTNS
    [ "$1" = host ] || ns=$WORLDNS
    nsenter --net="/run/netns/$ns" $py -u -c '
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(("::", int(sys.argv[1])))
while True:
    what, who = s.recvfrom(1000)
    print(who[0], what.decode()); s.sendto(b"HEARD", who)' "$3" >"$2" 2>&1 </dev/null 3>&- 4>&- &
    SERVERS="${SERVERS-} $!"
}

said() { sed -n "s/^$1: //p" "$BATS_TEST_TMPDIR/said"; }

# tried NETWORK GATEWAY: a job there that tries it all; everything but the outside is refused.
tried() {
    id=$(job --network="$1" --net-tx=1MB --upload="$here/../escape/net_attempt.py" $py net_attempt.py 203.0.113.2 "$2" 10.103.0.1 8081)
    [ "$(ended "$id")" = "COMPLETED 0" ] || { rnx job log "$id"; return 1; }
    rnx job log "$id" | tee "$BATS_TEST_TMPDIR/said"
    run ! grep -E 'HOST|METADATA|HEARD|SIX' "$BATS_TEST_TMPDIR/said"
    for name in tcp_host tcp_gateway tcp_other_network tcp_metadata tcp_metadata_alibaba udp_host udp_gateway udp_metadata; do
        [ "$(said $name)" = nothing ] || { echo "$name"; return 1; }
    done
    for name in tcp_loopback tcp_any; do [ "$(said $name)" = ECONNREFUSED ]; done
    for name in transparent mark raw raw_header add_address remove_rate change_link set_address set_down; do
        [[ $(said $name) =~ ^(EPERM|EACCES)$ ]] || { echo "$name"; return 1; }
    done
    for name in forwarding six_on; do [[ $(said $name) =~ ^(EROFS|EACCES|EPERM|ENOENT)$ ]] || { echo "$name"; return 1; }; done
    for name in packet netfilter raw_six; do [[ $(said $name) =~ ^(EPERM|ENOSYS|EAFNOSUPPORT|EPROTONOSUPPORT)$ ]] || { echo "$name"; return 1; }; done
    [ "$(said outside)" = "INTERNET 203.0.113.2" ]
    # what the kernel let the job send has not arrived either
    run ! grep -v ' control$' "$I/run/host.heard"
    run ! grep -v ' control$' "$I/run/world.heard"
}

# To see it fail: `accept` in place of the last `drop` of to_host (netrules.c).
@test "a job on the bridge network reaches no service of the host, no metadata and no other network" {
    tried bridge 172.20.0.1
    # the services are there: from outside the host's namespace they answer
    [ "$(in_world busybox nc -w 2 203.0.113.2 8081 </dev/null)" = "HOSTSERVICE 203.0.113.1" ]
}

@test "an isolated job reaches no more" {
    tried isolated "$(run_job --network=isolated sh -c 'sed -n "s/^eth0\t00000000\t\([0-9A-F]*\).*/\1/p" /proc/net/route' | sed 's/\(..\)\(..\)\(..\)\(..\)/0x\4 0x\3 0x\2 0x\1/' | xargs printf '%d.%d.%d.%d')"
}

@test "a job's name stands for no name of the outside, of loopback or of another job" {
    victim=$(start_running --network=bridge --name=victim sleep 600)
    for name in pypi.org LocalHost "job_$victim" "JOB_${victim:0:8}" VICTIM; do
        job --network=bridge --name="$name" sleep 600 >>"$BATS_TEST_TMPDIR/ids"
    done
    ids=$(cat "$BATS_TEST_TMPDIR/ids")
    for id in $ids; do until_true 20 is_running "$id"; done
    run run_job --network=bridge cat /etc/hosts
    echo "$output"
    [ "$(grep -ci 'pypi' <<<"$output")" = 0 ]
    [ "$(grep -ci ' localhost' <<<"$output")" = 2 ]
    [ "$(grep -c "job_$victim" <<<"$output")" = 1 ]
    [ "$(grep -ci "job_${victim:0:8}\b" <<<"$output")" = 1 ]
    [ "$(grep -ci ' victim' <<<"$output")" = 0 ] # two have it
    for id in $victim $ids; do rnx job stop "$id"; done
}

# as root of the namespace of the job $id, which no job is
inside() { nsenter -t "$pid" -n "$@"; }
enter() {
    id=$(start_running --network="$1" sleep 600)
    addr=$(field "$id" address)
    pid=$(sed -n "s/.*job.running job=$id pid=//p" "$I/logs/joblet.log")
}

# frames TARGET VICTIM: sends Ethernet frames from the job's device: ARP that claims TARGET, forged
# hardware addresses, IPv6, LLDP; before and after them what the job may send, ARP for itself.
frames() {
    inside $py -c '
import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth0", 0))
mine = s.getsockname()[4]; ip = socket.inet_aton; target, victim = sys.argv[1:3]
own = sys.argv[3]
arp = lambda sender, who, to: struct.pack("!HHBBH", 1, 0x800, 6, 4, 2) + sender + ip(who) + bytes(6) + ip(to)
honest = lambda word: s.send(b"\xff" * 6 + mine + b"\x08\x06" + arp(mine, own, victim) + word)
honest(b"before")
for n in range(3):
    s.send(b"\xff" * 6 + mine + b"\x08\x06" + arp(mine, target, victim))          # "the gateway is here"
    s.send(b"\xff" * 6 + mine + b"\x08\x06" + arp(b"\x02\x66" * 3, target, victim))
    s.send(b"\xff" * 6 + b"\x02\x66" * 3 + b"\x08\x06" + arp(b"\x02\x66" * 3, target, victim))
    s.send(b"\xff" * 6 + b"\x02\x66" * 3 + b"\x08\x00" + bytes(46))               # a station that is not
    s.send(b"\x33\x33\x00\x00\x00\x01" + mine + b"\x86\xdd" + b"\x60" + bytes(59)) # IPv6
    s.send(b"\xff" * 6 + mine + b"\x88\xcc" + b"LLDP" * 12)
honest(b"after")
' "$@" "$addr"
}

# neighbours.bats says what is shared otherwise.
@test "a job on a network owns its user namespace as any other" {
    for net in none bridge; do
        enter $net
        $py -c 'import fcntl, sys
fd = open(f"/proc/{sys.argv[1]}/ns/user")
uids = open(f"/proc/{sys.argv[1]}/uid_map").read().split()
owner = int.from_bytes(fcntl.ioctl(fd, 0xB704, bytes(4)), sys.byteorder)
print(owner, uids)
sys.exit(not int(uids[1]) >= 0x70000000 or owner != int(uids[1]))' "$pid"
        rnx job stop "$id"
    done
}

@test "forged ARP, hardware addresses and protocols reach neither the host nor a neighbour" {
    other=$(start_running --network=bridge --name=other sh -c "$listen")
    otherpid=$(sed -n "s/.*job.running job=$other pid=//p" "$I/logs/joblet.log")
    enter bridge
    # the neighbour knows its gateway; what the forger says changes nothing
    nsenter -t "$otherpid" -n busybox nc -w 2 198.51.100.7 80 </dev/null
    heard=$BATS_TEST_TMPDIR/heard
    nsenter -t "$otherpid" -n $py -u -c '
import socket, sys
mac, ip, false = bytes.fromhex(sys.argv[1].replace(":", "")), socket.inet_aton(sys.argv[2]), b"\x02\x66" * 3
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind(("eth0", 3))
print("ready")
while True:
    f = s.recv(2000)
    who, kind = f[6:12], f[12:14]
    if who == false or kind in (b"\x86\xdd", b"\x88\xcc") or kind == b"\x08\x06" and f[22:32] != mac + ip and f[22:28] in (false, mac): print(f.hex())
    elif who == mac and kind == b"\x08\x06" and f[42:].isalpha(): print(f[42:].decode())
' "$(inside ip -j link show eth0 | jq -r '.[0].address')" "$addr" >"$heard" 2>&1 3>&- &
    listener=$!
    until_true 10 grep -q ready "$heard"
    frames 172.20.0.1 "$(field "$other" address)"
    frames "$(field "$other" address)" 172.20.0.1
    until_true 10 eval '[ "$(grep -c after "$heard")" = 2 ]' || { cat "$heard"; false; }
    [ "$(nsenter -t "$otherpid" -n busybox nc -w 2 198.51.100.7 80 </dev/null)" = "INTERNET 203.0.113.2" ]
    diff - "$heard" <<<$'ready\nbefore\nafter\nbefore\nafter'
    nsenter -t "$otherpid" -n ip neigh show 172.20.0.1 | tee "$BATS_TEST_TMPDIR/neigh"
    [[ $(cat "$BATS_TEST_TMPDIR/neigh") != *"02:66"* ]]
    in_host ip neigh show dev joblet0 | tee "$BATS_TEST_TMPDIR/neigh"
    [[ $(cat "$BATS_TEST_TMPDIR/neigh") != *"02:66"* ]]
    [[ $(in_host bridge fdb show br joblet0) != *"02:66"* ]]
    rnx job stop "$id"
    rnx job stop "$other"
}

# The kernel has one table of neighbours for all namespaces: those that wait for an answer stay in it.
asks='import errno, socket, sys, time
plain, bound = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0"); bound.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
for s, to in (plain, sys.argv[1]), (bound, "10.9.9"):
    s.setblocking(False)
    for n in range(2, 250):
        try: s.sendto(b"x", (f"{to}.{n}", 9))
        except OSError as e: assert e.errno in (errno.EAGAIN, errno.ENOBUFS, errno.EHOSTUNREACH), e
print("asked", flush=True); time.sleep(600)'
asked() { rnx job log --no-follow "$1" | grep -q asked; }

@test "a job that sends to many addresses makes no neighbours, neither its own nor the host's" {
    for net in bridge other isolated; do
        id=$(start_running --network=$net $py -c "$asks" "$(case $net in other) echo 10.103.0 ;; *) echo 172.20.200 ;; esac)")
        pid=$(sed -n "s/.*job.running job=$id pid=//p" "$I/logs/joblet.log")
        until_true 10 asked "$id"
        inside ip -4 neigh show nud incomplete | tee "$BATS_TEST_TMPDIR/made"
        in_host ip -4 neigh show nud incomplete nud failed | grep -E '^(10[.]|172[.]20[.])' | tee -a "$BATS_TEST_TMPDIR/made"
        [ ! -s "$BATS_TEST_TMPDIR/made" ]
        [ "$(inside ip -4 neigh show nud permanent | wc -l)" = 1 ]
        rnx job stop "$id"
    done
}

@test "IPv6 is no way around, even where somebody turns it on" {
    [ -d /proc/sys/net/ipv6 ] || skip "this kernel has no IPv6"
    other=$(start_running --network=bridge --name=other sh -c "$listen")
    otherpid=$(sed -n "s/.*job.running job=$other pid=//p" "$I/logs/joblet.log")
    enter bridge
    on='echo 0 >/proc/sys/net/ipv6/conf/$0/disable_ipv6 && ip addr add $1/64 dev $0 nodad'
    in_host sh -c "$on" joblet0 fd00::1
    inside sh -c "$on" eth0 fd00::2
    nsenter -t "$otherpid" -n sh -c "$on" eth0 fd00::3
    six='import socket, sys
try: print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).recv(100).decode())
except OSError as e: print(e)'
    nsenter -t "$otherpid" -n $py -c 'import socket
s = socket.create_server(("fd00::3", 7001), family=socket.AF_INET6)
while True: c, _ = s.accept(); c.sendall(b"NEIGHBOUR"); c.close()' 3>&- &
    listener=$!
    until_true 5 eval 'nsenter -t "$otherpid" -n $py -c "$six" fd00::3 7001 | grep -q NEIGHBOUR'
    run inside $py -c "$six" fd00::1 8082
    [[ $output != *HOSTSIX* && $output == *[a-z]* ]]
    run inside $py -c "$six" fd00::3 7001
    [[ $output != *NEIGHBOUR* ]]
    link=$(in_host ip -6 -o addr show dev joblet0 scope link | awk '{sub("/.*", "", $4); print $4}')
    run inside $py -c "$six" "$link%eth0" 8082
    [[ $output != *HOSTSIX* ]]
    rnx job stop "$id"
    # nor for an isolated job
    enter isolated
    device=$(in_host ip -o link | sed -n 's/^[0-9]*: \(ji[^@:]*\).*/\1/p' | grep "$(printf '%02x%02x%02x%02x' ${addr//./ })")
    in_host sh -c "$on" "$device" fd01::1
    inside sh -c "$on" eth0 fd01::2
    run inside $py -c "$six" fd01::1 8082
    [[ $output != *HOSTSIX* ]]
    rnx job stop "$id"
    rnx job stop "$other"
}
