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
    instance_start
    rnx network create lab --cidr=10.100.0.0/24
}
teardown_file() { net_end; }

@test "a network that is refused leaves alone who has its addresses" {
    rnx network list | grep "^bridge: 172.20.0.0/16 of network 'bridge' overlaps the host's route to 172.20.9.0/24"
    serve host 172.20.9.2 2222 LAN
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
