# The networks of jobs, proved with packets: what each mode can reach, and what it can't. Everything
# happens in network namespaces that the test makes (netlib.bash).
load netlib

setup() {
    net_new || return 1
    printf 'job_metrics:\n  default_sample_rate: 500ms\n' >>"$I/config/joblet-config.yml"
    instance_start
}
teardown() { net_end; }

job_address() { field "$1" address; }

@test "bridge: the outside by NAT, other jobs by name; not the host, nor a metadata service" {
    hears "INTERNET 203.0.113.2" bridge 198.51.100.7 80
    id=$(start_running --network=bridge --name=db sh -c "$listen")
    addr=$(job_address "$id")
    [[ $addr == 172.20.0.* ]]
    for name in "job_$id" "job_${id:0:8}" db "$addr"; do
        hears "service of db" bridge "$name" 7000
    done
    [ "$(says bridge 203.0.113.2 8080)" = nothing ]
    serve host 172.20.0.1 8080 GATEWAY
    [ "$(says bridge 172.20.0.1 8080)" = nothing ]
    [ "$(says bridge 169.254.169.254 80)" = nothing ]
    # the host reaches a service in a job by its address
    until_true 20 prints "service of db" in_host busybox nc -w 2 "$addr" 7000
    # the world does not, even if it knows the way
    in_world ip route add 172.20.0.0/16 via 203.0.113.2
    run in_world busybox nc -w 2 "$addr" 7000 </dev/null
    [[ $output != *service* ]]
    rnx job status "$id" | grep -q "Address: *$addr"
    # the reply to a job that is gone is no name any more
    rnx job stop "$id"
    run run_job --network=bridge cat /etc/hosts
    [[ $output != *" db"* ]]
}

@test "isolated: several at once reach the outside, and nothing else reaches them or is reached" {
    a=$(start_running --network=isolated sh -c "$listen")
    b=$(start_running --network=isolated sh -c "$listen")
    c=$(start_running --network=bridge sh -c "$listen")
    [ "$(job_address "$a")" != "$(job_address "$b")" ]
    hears "INTERNET 203.0.113.2" isolated 198.51.100.7 80
    for addr in $(job_address "$a") $(job_address "$c"); do
        [ "$(says isolated "$addr" 7000)" = nothing ]
    done
    [ "$(says bridge "$(job_address "$a")" 7000)" = nothing ]
    [ "$(says isolated 203.0.113.2 8080)" = nothing ]
    [ "$(says isolated 169.254.169.254 80)" = nothing ]
    run in_host busybox nc -w 2 "$(job_address "$a")" 7000 </dev/null
    [[ $output != *service* ]]
    in_world ip route add 10.255.0.0/16 via 203.0.113.2
    run in_world busybox nc -w 2 "$(job_address "$a")" 7000 </dev/null
    [[ $output != *service* ]]
}

@test "a network of one's own: made, used, apart from the others, removed when nobody uses it" {
    run rnx network create lab --cidr=10.100.0.0/24
    [ "$status" -eq 0 ]
    [[ $output == *"Bridge: joblet-lab"* ]]
    [ "$(rnx network list --json | jq -c '.networks[] | select(.name == "lab")')" = \
        '{"name":"lab","cidr":"10.100.0.0/24","bridge":"joblet-lab","builtin":false,"job_count":0}' ]
    rnx network list | grep -q '^bridge *172.20.0.0/16 *joblet0 (built-in)$'
    id=$(start_running --network=lab --name=srv sh -c "$listen")
    [[ $(job_address "$id") == 10.100.0.* ]]
    hears "service of srv" lab srv 7000
    hears "INTERNET 203.0.113.2" lab 198.51.100.7 80
    [ "$(says bridge "$(job_address "$id")" 7000)" = nothing ]
    [ "$(says isolated "$(job_address "$id")" 7000)" = nothing ]
    run rnx network remove lab
    [ "$status" -ne 0 ]
    [[ $output == *"in use by 1 job"* ]]
    rnx job stop "$id"
    rnx network remove lab
    run in_host ip link show joblet-lab
    [ "$status" -ne 0 ]
    run rnx job run --network=lab true
    [[ $output == *"network not found: lab"* ]]
}

@test "networks that must not be are refused, and roles are kept" {
    ip -n "$HOSTNS" route add 10.50.0.0/16 via 203.0.113.1
    refused() { # CIDR or name, and what the refusal says
        run rnx network create "$1" --cidr="$2"
        [ "$status" -ne 0 ] && [[ $output == *"$3"* ]] || { echo "$1 $2: $output"; return 1; }
    }
    refused x 10.1.2.3/16 "do you mean 10.1.0.0/16"
    refused x 10.0.0.0/7 "/8 to /30"
    refused x 10.0.0.0/31 "/8 to /30"
    refused x 010.0.0.0/8 "no IPv4 network"
    refused x 172.20.4.0/24 "overlaps network 'bridge'"
    refused x 10.255.1.0/24 "overlaps network 'isolated'"
    refused x 10.50.1.0/24 "overlaps the host's route to 10.50.0.0/16"
    refused x 127.0.0.0/8 "loopback"
    refused a_b 10.1.0.0/16 "no name"
    refused bridge 10.1.0.0/16 reserved
    [ "$(rnx network list --json | jq '[.networks[] | select(.builtin | not)] | length')" = 0 ]
    py="nsenter --net=/run/netns/$HOSTNS $py" client '
from concurrent.futures import ThreadPoolExecutor
S = grpc.StatusCode
def create(name, cidr): return code_of(c.network.CreateNetwork, pb.CreateNetworkRequest(name=name, cidr=cidr), timeout=30)[0]
def remove(name): return code_of(c.network.RemoveNetwork, pb.RemoveNetworkRequest(name=name), timeout=30)[0]
def run(network): return code_of(c.job.RunJob, pb.RunJobRequest(command="true", network=network), timeout=30)[0]
with ThreadPoolExecutor(8) as pool: # at once: one makes it; nobody gets one that is not there yet
    made = [pool.submit(create, "lab", "10.1.0.0/29") for _ in range(4)]
    used = [pool.submit(run, "lab") for _ in range(4)]
    made = [f.result() for f in made]
    assert made.count(S.OK) == 1 and made.count(S.ALREADY_EXISTS) == 3, made
    assert all(f.result() in (S.OK, S.NOT_FOUND) for f in used), used
assert create("other", "10.1.0.0/24") == S.INVALID_ARGUMENT
assert create("", "10.1.1.0/24") == S.INVALID_ARGUMENT
assert create("bridge", "10.1.1.0/24") == S.INVALID_ARGUMENT
assert remove("") == remove("../x") == S.INVALID_ARGUMENT
assert remove("nowhere") == S.NOT_FOUND and remove("isolated") == S.INVALID_ARGUMENT
assert run("nowhere") == S.NOT_FOUND and run("host") == S.PERMISSION_DENIED
assert create("tiny", "10.1.1.0/30") == S.OK
one = c.run("sleep", "60", network="tiny")
assert run("tiny") == S.RESOURCE_EXHAUSTED
assert remove("tiny") == S.FAILED_PRECONDITION
c.job.StopJob(pb.StopJobRequest(uuid=one), timeout=30)
assert remove("tiny") == S.OK'
    run run_job --network=host true
    [[ $output == *"not allowed on this server"* ]]
}

@test "a restart and a kill -9 keep running jobs' networks and addresses, and leave nothing" {
    rnx network create keep --cidr=10.101.0.0/29
    a=$(start_running --network=bridge --name=a sh -c "$listen")
    b=$(start_running --network=keep --name=b sh -c "$listen")
    addr=$(job_address "$a")
    for signal in KILL TERM KILL; do
        old=$(joblet_pid)
        if [ $signal = KILL ]; then
            kill -KILL "$old"
        else
            keeper_stop
            instance_start
        fi
        until_true 20 eval '[ "$(joblet_pid)" != '"$old"' ] && rnx job list >/dev/null 2>&1'
        [ "$(job_address "$a")" = "$addr" ]
        hears "service of a" bridge a 7000
        hears "service of b" keep b 7000
        [ "$(says keep "$addr" 7000)" = nothing ]
        hears "INTERNET 203.0.113.2" keep 198.51.100.7 80
    done
    # every device is a job's or the pool's: as many as there are names and running jobs
    rnx job stop "$a"
    rnx job stop "$b"
    rnx network remove keep
}

# The network worker, and a process in which it makes a namespace.
worker() {
    local pid
    for pid in $(cat "/proc/$(joblet_pid)/task/$(joblet_pid)/children"); do
        [[ $(cat "/proc/$pid/comm") != joblet-network* ]] || echo "$pid"
    done
}
# One of its children, in $pid.
has_inside() { read -r pid _ <"/proc/$1/task/$1/children" || [ -n "$pid" ]; } # it ends without a newline
is_traced() { ! grep -q '^TracerPid:\s*0$' "/proc/$1/status"; }

@test "kill -9 while a namespace is made leaves no process behind" {
    run run_job --network=isolated true # a worker starts when there is work
    worker=$(worker)
    [ -n "$worker" ]
    strace -f -qq -o /dev/null -e trace=unshare -e inject=unshare:delay_enter=2000000 -p "$worker" 2>"$BATS_TEST_TMPDIR/strace" 3>&- 4>&- &
    tracer=$!
    until_true 5 is_traced "$worker" || { cat "$BATS_TEST_TMPDIR/strace"; false; }
    for i in 1 2 3; do job --network=isolated true; done
    until_true 5 has_inside "$worker" || { kill "$tracer"; rnx job list; instance_log; false; }
    kill -KILL "$(joblet_pid)"
    until_true 5 is_gone "$pid" || { kill -KILL "$pid" "$tracer"; false; }
    until_true 5 is_gone "$tracer"
}

@test "a job sends with its own address or not at all" {
    other=$(start_running --network=bridge --name=other sh -c "$listen")
    for net in bridge isolated; do
        id=$(start_running --network=$net sleep 600)
        addr=$(job_address "$id")
        pid=$(sed -n "s/.*job.running job=$id pid=//p" "$I/logs/joblet.log")
        inside() { nsenter -t "$pid" -n "$@"; }
        until_true 20 prints "INTERNET 203.0.113.2" inside busybox nc -w 2 198.51.100.7 80
        # as root of the namespace, which no job is
        inside ip addr add "${addr%.*}.77/16" dev eth0
        run inside busybox nc -w 2 -s "${addr%.*}.77" 198.51.100.7 80 </dev/null
        [[ $output != *INTERNET* ]]
        run inside busybox nc -w 2 -s "${addr%.*}.77" "$(job_address "$other")" 7000 </dev/null
        [[ $output != *service* ]]
        inside ip addr del "${addr%.*}.77/16" dev eth0
        until_true 20 prints "INTERNET 203.0.113.2" inside busybox nc -w 2 198.51.100.7 80
        # nothing but loopback has IPv6
        run inside ip -6 addr show dev eth0
        [ "$output" = "" ]
    done
}

# took FLAG receives|sends: how many ms a job with this limit needs for 4 MB.
took() {
    local job=$pull world=$push server
    [ "$2" = receives ] || { job=$push world=$pull; }
    nsenter --net="/run/netns/$WORLDNS" $py -c "import socket, time
s = socket.create_server(('198.51.100.7', 9000)).accept()[0]
$world" >"$I/world.out" 3>&- 4>&- &
    server=$!
    until_true 20 eval '[ -n "$(in_world busybox netstat -ltn | grep :9000)" ]'
    run_job --network=bridge "$1" $py -c "import socket, time
s = socket.create_connection(('198.51.100.7', 9000))
$job" >"$I/job.out" || { cat "$I/job.out" >&2; return 1; }
    wait $server
    cat "$I/job.out" "$I/world.out" # one of them says it
}
push='s.sendall(bytes(4_000_000))
s.recv(1)'
pull='n, began = 0, time.monotonic()
while n < 4_000_000:
    got = s.recv(65536)
    assert got, n
    n += len(got)
print(int(1000 * (time.monotonic() - began)))'

@test "rates: what a job receives and sends is held to them" {
    received=$(took --net-rx=1MB receives) sent=$(took --net-tx=1MB sends) quickly=$(took --net-rx=100MB receives)
    echo "4 MB: received in $received ms, sent in $sent ms, with a hundred times the rate received in $quickly ms"
    for ms in "$received" "$sent"; do
        [ "$ms" -gt 2000 ]
        [ "$ms" -lt 40000 ]
    done
    [ $((quickly * 2)) -lt "$received" ]
    run run_job --network=none --net-rx=1MB true
    [[ $output == *"with network 'none' it has none"* ]]
}

@test "host: where it is allowed, for maintainers and admins" {
    keeper_stop
    sed -i 's/^network:$/&\n  allow_host_network: true/' "$I/config/joblet-config.yml"
    instance_start
    hears "HOSTSERVICE 203.0.113.2" host 203.0.113.2 8080
    run run_job --network=host ls /sys/class/net
    [[ $output == *h0* ]]
    run as developer rnx job run --network=host true
    [ "$status" -ne 0 ]
    [[ $output == *"for the roles maintainer and admin"* ]]
}

@test "a full network says so" {
    rnx network create tiny --cidr=10.102.0.0/30
    id=$(start_running --network=tiny sleep 600)
    run run_job --network=tiny true
    [[ $output == *"no free address"* ]]
    rnx job stop "$id"
    until_true 10 run_job --network=tiny true
}

# A datagram to 198.51.100.7 opens the way back for those from there, and nobody else's.
speaks='import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 7000))
s.sendto(b"open", ("198.51.100.7", 7000)); print(s.recv(100).decode(), flush=True); time.sleep(float(sys.argv[1]))'
hears_all='import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 7000)); print("ready", flush=True)
while True: print("heard", s.recv(100).decode(), flush=True)'
log_has() { rnx job log --no-follow "$1" | grep -q "$2"; }

@test "what the outside answers to a job does not reach the next one with its address" {
    nsenter --net="/run/netns/$WORLDNS" $py -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("198.51.100.7", 7000)); who = s.recvfrom(100)[1]
s.settimeout(0.1)
while True:
    s.sendto(b"late", who)
    try: who = s.recvfrom(100)[1]
    except OSError: pass' >/dev/null 2>&1 </dev/null 3>&- 4>&- &
    SERVERS="$SERVERS $!"
    rnx network create tiny --cidr=10.104.0.0/30
    first=$(job --network=tiny $py -c "$speaks" 0)
    [ "$(ended "$first")" = "COMPLETED 0" ]
    log_has "$first" late
    second=$(start_running --network=tiny $py -c "$hears_all")
    [ "$(job_address "$second")" = 10.104.0.2 ]
    until_true 10 log_has "$second" ready
    sleep 0.5
    run log_has "$second" heard
    [ "$status" -ne 0 ]
    rnx job stop "$second"
    # nor when it ended while the daemon was away
    first=$(start_running --network=tiny $py -c "$speaks" 600)
    until_true 10 log_has "$first" late
    pid=$(sed -n "s/.*job.running job=$first pid=//p" "$I/logs/joblet.log")
    keeper_stop
    kill -KILL "$pid"
    until_true 5 is_gone "$pid"
    instance_start # what came meanwhile waits on the bridge for a station with the address
    second=$(start_running --network=tiny $py -c "$hears_all")
    until_true 10 log_has "$second" ready
    sleep 0.5
    run log_has "$second" heard
    [ "$status" -ne 0 ]
    rnx job stop "$second"
}

@test "a network made where one was removed shares no address with it" {
    rnx network create lab --cidr=10.77.0.0/26
    py="nsenter --net=/run/netns/$HOSTNS $py" client '
import re, signal, subprocess
from concurrent.futures import ThreadPoolExecutor
worker, pool = int(args[0]), ThreadPoolExecutor(36)
def run(*_): return c.run("sleep", "600", network="lab")
def run_all(n):
    ids = list(pool.map(run, range(n)))
    until = time.monotonic() + 200
    while any(c.status(id).status != "RUNNING" for id in ids):
        assert time.monotonic() < until, [c.status(id).status for id in ids]
        time.sleep(0.05)
    return ids
old = run_all(36)
os.kill(worker, signal.SIGSTOP) # their addresses are on their way back
try:
    list(pool.map(c.stop, old))
    removed = pool.submit(c.network.RemoveNetwork, pb.RemoveNetworkRequest(name="lab"), timeout=100)
    while any(n.name == "lab" for n in c.network.ListNetworks(pb.EmptyRequest(), timeout=100).networks):
        assert not removed.done() # but under way
finally:
    os.kill(worker, signal.SIGCONT)
removed.result()
c.network.CreateNetwork(pb.CreateNetworkRequest(name="lab", cidr="10.77.0.0/27"), timeout=100)
new = run_all(29) # as many as there are addresses
addresses = [c.status(id).address for id in new]
assert len(set(addresses)) == 29, sorted(addresses)
rules = subprocess.check_output(["nft", "list", "ruleset"], text=True)
device = lambda a: "%02x%02x%02x%02x\"" % tuple(map(int, a.split(".")))
assert all(device(a) in rules for a in addresses), (sorted(addresses), rules)
assert code_of(run)[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
list(pool.map(c.stop, new))
' "$(worker)"
}

@test "a network stays as long as the end of a job on it is not on disk" {
    rnx network create lab --cidr=10.77.0.0/24
    id=$(start_running --network=lab sleep 600)
    py="nsenter --net=/run/netns/$HOSTNS $py" client '
import sqlite3
def remove(): return code_of(c.network.RemoveNetwork, pb.RemoveNetworkRequest(name="lab"), timeout=100)
db = sqlite3.connect(I + "/state/joblet.db", isolation_level=None)
db.execute("BEGIN IMMEDIATE")
os.kill(int(args[1]), 9)
c.wait(args[0])
code, words = remove()
assert code == grpc.StatusCode.FAILED_PRECONDITION and "in use by 1 job" in words, (code, words)
db.execute("ROLLBACK")
until = time.monotonic() + 100
while remove()[0] != grpc.StatusCode.OK:
    assert time.monotonic() < until
    time.sleep(0.05)
' "$id" "$(job_pid "$id" sleep)"
}

# Many at once, most of them for whom the pool has nothing ready.
@test "a burst beyond the pool: each has an address of its own, and all end well" {
    ids=$(for _ in {1..16}; do job --network=bridge sh -c 'busybox nc -w 60 198.51.100.7 80 </dev/null'; done)
    for id in $ids; do
        [ "$(ended "$id")" = "COMPLETED 0" ]
        [ "$(rnx job log "$id")" = "INTERNET 203.0.113.2" ]
    done
    [ "$(for id in $ids; do job_address "$id"; done | sort -u | wc -l)" = 16 ]
    # what is left is the pool (six for the default network, else two): no job's namespace, device or name
    local pool=2
    [ "${JOBLET_TEST_NETWORK-}" != bridge ] || pool=6
    few() { [ "$(in_host ip -o link | grep -c ': jv')" -le $pool ] && [ "$(ls "$I/run/netns" | wc -l)" -le $((2 * pool)) ]; }
    until_true 10 few || { in_host ip -o link; ls "$I/run/netns"; false; }
    [ "$(in_host nft list set bridge "$(in_host nft list tables | sed -n 's/table bridge //p')" ports | grep -o '"jv' | wc -l)" -le $pool ]
}

@test "a firewall of the host that lets nothing pass is told, and ip_forward is kept at 1" {
    in_host nft 'table ip theirs { chain FORWARD { type filter hook forward priority 0; policy drop; }; }'
    keeper_stop # firewalls are looked at when networks are made ready
    instance_start
    [ "$(says bridge 198.51.100.7 80)" = nothing ]
    told() { [[ $(rnx network list) == *"bridge: the host's firewall (ip theirs, chain FORWARD) drops what is forwarded and does not name \"joblet0\""* ]]; }
    until_true 20 told || { rnx network list; false; }
    run in_host "$build/joblet" --check --prefix-dir "$I" --config "$I/config/joblet-config.yml"
    [[ $output == *"note  firewall "*"fix: nft insert rule ip theirs FORWARD iifname \"joblet0\" accept"* ]]
    grep -q network.firewall "$I/logs/joblet.log"
    in_host nft insert rule ip theirs FORWARD iifname joblet0 accept
    in_host nft insert rule ip theirs FORWARD oifname joblet0 accept
    keeper_stop
    instance_start
    hears "INTERNET 203.0.113.2" bridge 198.51.100.7 80
    [ "$(rnx network list --json | jq -r '.networks[] | select(.name == "bridge").problem')" = null ]
    in_host sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
    hears "INTERNET 203.0.113.2" bridge 198.51.100.7 80
    grep -q 'network.forward.*ip_forward=1' "$I/logs/joblet.log"
}

# until_said WORDS: a look follows jobs with a network, ten seconds after the last one.
until_said() {
    local deadline=$((SECONDS + 300))
    until [[ $(rnx network list) == *"$1"* ]]; do
        [ $SECONDS -lt $deadline ] || { rnx network list; tail -n 20 "$I/logs/joblet.log"; return 1; }
        says bridge 198.51.100.7 80 >/dev/null
        sleep 0.5
    done
}
until_free() {
    local deadline=$((SECONDS + 300))
    while rnx network list --json | jq -e 'any(.networks[]; .problem != null)' >/dev/null; do
        [ $SECONDS -lt $deadline ] || { rnx network list; return 1; }
        says bridge 198.51.100.7 80 >/dev/null
        sleep 0.5
    done
}

@test "a firewall that appears while joblet runs is told once, and that it has gone" {
    hears "INTERNET 203.0.113.2" bridge 198.51.100.7 80
    until_free
    before=$(grep -c 'WARN.*network.firewall' "$I/logs/joblet.log" || true)
    in_host nft 'table inet late { chain late { type filter hook forward priority 0; policy drop; }; }'
    until_said "bridge: the host's firewall (inet late, chain late) drops what is forwarded"
    in_host nft delete table inet late
    until_free
    grep -q "INFO.*network.firewall network 'bridge': the host's firewalls let it pass" "$I/logs/joblet.log"
    hears "INTERNET 203.0.113.2" bridge 198.51.100.7 80
    # a line for each network, and only one
    [ "$(grep 'WARN.*network.firewall' "$I/logs/joblet.log" | tail -n +$((before + 1)) | grep -c "'bridge'")" = 1 ]
}

@test "rules of iptables-legacy that let nothing pass are told, and what helps" {
    in_host iptables-legacy -P FORWARD DROP || skip "this kernel has no iptables-legacy"
    until_said "bridge: the host's firewall (iptables-legacy, chain FORWARD) drops what is forwarded and does not name joblet0"
    [ "$(says bridge 198.51.100.7 80)" = nothing ]
    run in_host "$build/joblet" --check --prefix-dir "$I" --config "$I/config/joblet-config.yml"
    [[ $output == *"note  firewall "*"fix: iptables-legacy -I FORWARD -i joblet0 -j ACCEPT, and the same with -o"* ]]
    in_host iptables-legacy -I FORWARD -i joblet0 -j ACCEPT
    in_host iptables-legacy -I FORWARD -o joblet0 -j ACCEPT
    in_host iptables-legacy -I FORWARD -i ji+ -j ACCEPT # those that are isolated
    until_free
    hears "INTERNET 203.0.113.2" bridge 198.51.100.7 80
}

@test "what a job sends and receives is in its metrics" {
    id=$(job --network=bridge sh -c 'while :; do busybox nc -w 2 198.51.100.7 80 </dev/null; sleep 0.1; done')
    metrics() { timeout 5 rnx job metrics "$id" --json; }
    received() { [ "$(metrics | jq -s 'map(.netRecvBytes) | max > 500')" = true ]; }
    until_true 30 received || { metrics; false; }
    [ "$(metrics | jq -s 'map(.netSentBytes) | max > 500')" = true ]
}
