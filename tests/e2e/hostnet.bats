# What the networks of jobs must not take from the host: its LAN, its ports, its name servers. The host is
# on two LANs, one of which is in the addresses that `bridge` would have.
load netlib

setup_file() {
    net_new || return 1
    sed -i 's/^network:$/&\n  dns: ["10.60.0.53"]/' "$I/config/joblet-config.yml"
    for lan in 172.20.9 10.50.9; do
        ip -n "$HOSTNS" addr add $lan.2/24 dev h0
        ip -n "$WORLDNS" addr add $lan.1/24 dev w0
    done
    serve host 172.20.9.2 2222 LAN
    instance_start
    rnx network create lab --cidr=10.100.0.0/24
}
teardown_file() { net_end; }

@test "a network that is refused leaves alone who has its addresses" {
    rnx network list | grep "^bridge: 172.20.0.0/16 of network 'bridge' overlaps the host's route to 172.20.9.0/24"
    until_true 10 prints "LAN 172.20.9.1" in_world busybox nc -w 2 172.20.9.2 2222
    [ "$(says lab 198.51.100.7 80)" = "INTERNET 203.0.113.2" ]
    # nor for a moment
    in_host $py -u -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.50.9.2", 4445)); s.settimeout(20)
print("ready", flush=True); n = 0
while s.recv(100) != b"end": n += 1
print(n)' >"$I/heard" 3>&- 4>&- & local hears=$!
    until_true 10 grep -q ready "$I/heard"
    in_world $py -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.50.9.1", 4444))
for i in range(1000): s.sendto(b"x", ("10.50.9.2", 4445)); time.sleep(.002)
time.sleep(1)
for i in range(3): s.sendto(b"end", ("10.50.9.2", 4445))' 3>&- 4>&- & local speaks=$!
    for _ in 1 2 3 4 5 6; do
        run -1 rnx network create clash --cidr=10.50.0.0/16
        [[ $output == *"overlaps the host's route to 10.50.9.0/24"* ]]
    done
    wait $speaks; wait $hears
    [ "$(tail -n 1 "$I/heard")" = 1000 ]
}

@test "a client gets none of the Internet's addresses, and not those of a name server" {
    for cidr in 198.51.100.0/28 8.8.0.0/16 172.0.0.0/8; do
        run -1 rnx network create x --cidr=$cidr
        [[ $output == *"has addresses that are others'; a network's are within 10.0.0.0/8,"* ]]
    done
    run -1 rnx network create x --cidr=10.60.0.0/16
    [[ $output == *"10.60.0.0/16 of network 'x' holds the name server 10.60.0.53; choose another CIDR"* ]]
    [ "$(rnx network list --json | jq '[.networks[] | select(.builtin | not)] | length')" = 1 ]
}

@test "a job's connections leave from ports that the host does not use, and are 2000 at most" {
    in_world $py -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("198.51.100.7", 5300)); ports = set()
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 24) # SO_RCVBUFFORCE
open(sys.argv[1], "w").write("ready")
while True:
    d, who = s.recvfrom(100)
    if d == b"end": break
    ports.add(who[1])
open(sys.argv[1], "w").write("%d %s" % (len(ports), all(20000 <= p < 30000 for p in ports)))' "$I/ports" 3>&- 4>&- & local world=$!
    until_true 10 test -s "$I/ports"
    run_job --network=lab /usr/bin/python3 -c '
import socket
for p in range(30000, 33000):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", p)); s.sendto(b"q", ("198.51.100.7", 5300)); s.close()'
    in_world $py -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"end", ("198.51.100.7", 5300))'
    wait $world
    [ "$(cat "$I/ports")" = "2000 True" ]
}

@test "what is sent to a service of the host does not go to a job that had the same port (CVE-2021-3773)" {
    local hear='
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 51820)); s.settimeout(60)
if sys.argv[1] == "job": s.sendto(b"first", ("203.0.113.1", 51820))
print("ready", flush=True); print(sys.argv[1], "got", s.recv(100).decode(), flush=True)'
    in_host $py -c "$hear" host >"$I/service" 3>&- 4>&- & local service=$!
    id=$(start_running --network=lab /usr/bin/python3 -c "$hear" job)
    until_true 10 eval "rnx job log --no-follow $id | grep -q ready && grep -q ready $I/service"
    in_world $py -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("203.0.113.1", 51820)); s.sendto(b"secret", ("203.0.113.2", 51820))'
    until_true 10 grep -q "host got secret" "$I/service"
    wait $service
    rnx job stop "$id"
}

@test "ports that the host publishes by DNAT are its own: no job reaches them" {
    in_host nft 'table ip theirs { chain pre { type nat hook prerouting priority dstnat; fib daddr type local tcp dport 5432 dnat to 198.51.100.7:80; }; }'
    [ "$(says lab 203.0.113.2 5432)" = nothing ]
    [ "$(says isolated 203.0.113.2 5432)" = nothing ]
    [ "$(says isolated 198.51.100.7 80)" = "INTERNET 203.0.113.2" ]
    in_host nft delete table ip theirs
}

# What only root of the job's network namespace could send, and no job is: a second lock.
@test "link-local frames teach the bridge nothing and do not reach the host" {
    v=$(start_running --network=lab sleep 600)
    a=$(start_running --network=lab sleep 600)
    in_host $py -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 8081)); s.settimeout(60)
print("ready", flush=True); print("got", s.recv(100).decode())' >"$I/service" 3>&- 4>&- & local service=$!
    until_true 10 grep -q ready "$I/service"
    nsenter -t "$(job_pid "$a" sleep)" -n $py -c '
import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth0", 0)); mac = s.getsockname()[4]
victim = mac[:2] + socket.inet_aton(sys.argv[1])
def sum16(b): t = sum(struct.unpack("!10H", b)); t = (t >> 16) + (t & 0xffff); return ~(t + (t >> 16)) & 0xffff
u = struct.pack("!HHHH", 5353, 8081, 17, 0) + b"linklocal"
h = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(u), 1, 0, 64, 17, 0, socket.inet_aton("203.0.113.77"), socket.inet_aton("10.100.0.1"))
h = h[:10] + struct.pack("!H", sum16(h)) + h[12:]
for last in (0, 2, 3, 0xe):
    to = bytes.fromhex("0180c20000") + bytes([last])
    s.send(to + mac + b"\x08\x00" + (h + u).ljust(46, b"\0"))
    s.send(to + victim + b"\x88\xcc" + bytes(46))' "$(field "$v" address)"
    hex=$(printf %02x $(field "$v" address | tr . ' '))
    [ -z "$(in_host bridge fdb show br joblet-lab | grep "^02:4a:0a:64:00:${hex:6} " | grep -v "dev jv.....$hex ")" ]
    in_host $py -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"end", ("127.0.0.1", 8081))'
    wait $service
    [ "$(tail -n 1 "$I/service")" = "got end" ]
    rnx job stop "$v"; rnx job stop "$a"
}
