#!/usr/bin/env bats
# The host as the server sees it: against what /proc and df say, and against what a job really does.

load lib.bash

setup_file() {
    instance_new
    printf "monitoring:\n  system_interval: 1s\n" >>"$I/config/joblet-config.yml"
    instance_start
}
teardown_file() { instance_end; }

# sample FILTER: the part of `monitor status --json`.
sample() { rnx monitor status --json | jq -r "$1"; }
is_true() { sample "$1" | grep -qx true; }

# bats test_tags=smoke
@test "monitor status --json: the host, its memory, its disks" {
    [ "$(sample .available)" = true ]
    [ "$(sample .hostInfo.hostname)" = "$(uname -n)" ]
    [ "$(sample .hostInfo.release)" = "$(uname -r)" ]
    [ "$(sample .cpuInfo.cores)" = "$(grep -c '^cpu[0-9]' /proc/stat)" ]
    [ "$(sample '.cpuInfo.perCoreUsage | length')" = "$(grep -c '^cpu[0-9]' /proc/stat)" ]
    [ "$(sample .memoryInfo.total)" = "$(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) * 1024))" ]
    [ "$(sample '.disksInfo.disks[] | select(.mountpoint == "/") | .size')" = "$(($(stat -f -c '%b * %S' /)))" ]
    [ "$(sample '.processesInfo.processes | length')" -le 10 ]
    [ "$(sample .processesInfo.totalProcesses)" -gt 1 ]
    [ "$(sample .serverVersion.component)" = joblet ]
    [ -n "$(sample .timestamp)" ]
}

@test "the shares of user, kernel, idle and waiting time are all of it" {
    is_true '.cpuInfo | (.user + .system + .idle + .iowait + .steal) | . > 0.98 and . < 1.02'
}

@test "the model of the cpus and their frequency, as /proc/cpuinfo has them" {
    grep -q '^cpu MHz' /proc/cpuinfo || skip "no frequency in this machine's /proc/cpuinfo"
    [ "$(sample .cpuInfo.model)" = "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)" ]
    least=$(sed -n 's/^cpu MHz[^:]*: *//p' /proc/cpuinfo | sort -n | head -n 1)
    is_true ".cpuInfo.frequency > 0.1 * $least and .cpuInfo.frequency < 10 * $least"
    rnx monitor status | grep -Eq '^  Frequency: +[0-9]+ MHz$'
}

# bats test_tags=smoke
@test "interfaces: kind, state, MTU, and the speed of those that have one" {
    as_the_kernel_says() {
        local name mtu status speed type n=0
        while IFS=$'\t' read -r name mtu status speed type; do
            [ -d "/sys/class/net/$name" ] || continue # gone since
            n=$((n + 1))
            [ "$mtu" = "$(cat "/sys/class/net/$name/mtu")" ] && [ "$status" = "$(cat "/sys/class/net/$name/operstate")" ] || return 1
            real=$(cat "/sys/class/net/$name/speed" 2>/dev/null) || real=0
            [ "$speed" = $((real > 0 ? real : 0)) ] || return 1
            [ ! -d "/sys/class/net/$name/bridge" ] || [ "$type" = bridge ] || return 1
            [ ! -d "/sys/class/net/$name/device" ] || [ "$type" = ethernet ] || return 1
        done < <(sample '.networkInfo.interfaces[] | [.name, .mtu, .status, .speed // 0, .type] | @tsv')
        [ $n -gt 0 ]
    }
    ip link add jltest0 type bridge && ip link set jltest0 mtu 1234 up
    if [ ! -e /sys/class/net/jltest0 ]; then
        ip link del jltest0
        skip "the /sys here is that of another network namespace (tests/vm has its own)"
    fi
    bridge_is_there() { is_true '.networkInfo.interfaces | any(.name == "jltest0" and .mtu == 1234 and .type == "bridge")'; }
    found=yes
    until_true 15 as_the_kernel_says || found=
    [ "$(ls /sys/class/net | wc -l)" -gt 10 ] || until_true 15 bridge_is_there || found= # only the ten that carry most are told
    ip link del jltest0
    [ -n "$found" ]
}

# bats test_tags=smoke
@test "what a volume's disk does, and its operations, while a job writes" {
    rnx volume create wheel --size=16MB
    id=$(job --volume=wheel sh -c 'while :; do dd if=/dev/zero of=/volumes/wheel/file bs=64k count=32 conv=fsync 2>/dev/null; done')
    until_true 20 is_true '.disksInfo.disks | any(.name == "wheel" and .writeBps > 0 and .iops > 0)'
    rnx job stop "$id"
    still() { is_true '.disksInfo.disks | any(.name == "wheel" and .writeBps == 0 and .iops == 0)'; }
    until_true 20 still
    rnx volume remove wheel
}

@test "a busy job is among the processes, by its name, with its CPU time and its memory, without its arguments" {
    # a name that would move the cursor, in a process that takes 100 MB and all it gets of a cpu
    id=$(job python3 -c '
import ctypes, time
ctypes.CDLL(None).prctl(15, b"evil\x1b[2J\xff", 0, 0, 0)
b = bytearray(100 << 20)
for i in range(0, len(b), 4096): b[i] = 1
while True: pass')
    # how much of a processor it gets is not ours to say
    shows_it() {
        sample . >"$BATS_TEST_TMPDIR/sample"
        jq -e '.cpuInfo.usage > 0.1 and ([.processesInfo.processes[] | select(.name | startswith("evil"))] |
            length == 1 and .[0].cpu > 1 and .[0].memoryBytes > 100000000 and .[0].threads == 1 and (.[0].name | test("^evil\\?\\[2J\\?$")) and
            (.[0].command | test("^/[^ ]*python3[^ ]*$")))' "$BATS_TEST_TMPDIR/sample"
    }
    until_true 20 shows_it
    shows_text() {
        rnx monitor status >"$BATS_TEST_TMPDIR/text"
        [ "$(grep -c $'\x1b' "$BATS_TEST_TMPDIR/text")" -eq 0 ] && grep -q 'evil' "$BATS_TEST_TMPDIR/text"
    }
    until_true 20 shows_text
    rnx job stop "$id"
}

@test "monitor status as text has its sections; monitor alone is the same" {
    rnx monitor status >"$BATS_TEST_TMPDIR/text"
    for word in '^System Status - 2' '^Available: yes' '^Host Information' '^Joblet Server' '^CPU' 'User:' 'System:' 'Idle:' 'I/O wait:' '^Memory' '^Disks' '^Processes' '^PID  *Name  *CPU%  *Mem%  *Memory  *Command'; do
        grep -q "$word" "$BATS_TEST_TMPDIR/text" || { echo "no $word"; cat "$BATS_TEST_TMPDIR/text"; false; }
    done
    rnx monitor | grep -q '^Host Information'
}

@test "monitor top shows the parts that are asked for" {
    rnx monitor top --filter=cpu,memory >"$BATS_TEST_TMPDIR/text"
    grep -q '^CPU: ' "$BATS_TEST_TMPDIR/text"
    grep -q '^Memory: ' "$BATS_TEST_TMPDIR/text"
    run ! grep -E '^(Disk|Net|PID)' "$BATS_TEST_TMPDIR/text"
    [ "$(rnx monitor top --filter=cpu --json | jq -r 'keys | join(",")')" = available,cpuInfo,hostInfo,serverVersion,timestamp ]
    run -2 rnx monitor top --filter=weather
    [[ $output == *"none of cpu, memory"* ]]
}

@test "monitor watch: a sample each interval until it is told to end" {
    local lines=$BATS_TEST_TMPDIR/lines text=$BATS_TEST_TMPDIR/text began=$SECONDS
    rnx monitor watch --interval=1 --json --filter=cpu >"$lines" 3>&- &
    watch=$!
    rnx monitor watch --interval=1 --compact >"$text" 3>&- &
    until_true 20 eval '[ "$(jq -r .timestamp "$lines" | sort -u | wc -l)" -ge 3 ]' # on a busy machine one may be shown twice
    until_true 20 grep -q '^Processes: ' "$text"
    kill -INT $watch $!
    until_true 20 is_gone $watch
    until_true 20 is_gone $!
    n=$(wc -l <"$lines")
    echo "$n samples"
    [ "$n" -le $((SECONDS - began + 2)) ]
    jq -e '.cpuInfo.usage >= 0 and .cpuInfo.usage <= 1 and (has("memoryInfo") | not)' "$lines"
}

@test "a stream over the API: parts, refusals, and that a viewer may" {
    ROLE=reader client '
r = c.monitoring.GetSystemStatus(pb.EmptyRequest(), timeout=10)
assert r.available and r.cpu.cores > 0 and len(r.networks) <= 10, r
assert len(r.processes.top_by_cpu) <= 10 and len(r.processes.top_by_memory) <= 10
assert r.server_version.version and r.server_version.platform.startswith("linux/")
s = c.monitoring.StreamSystemMetrics(pb.StreamMetricsRequest(interval_seconds=1, metric_types=["memory"]), timeout=30)
a, b = next(s), next(s)
assert a.memory.total_bytes > 0 and not a.HasField("cpu") and not a.disks and a.timestamp < b.timestamp
s.cancel()
code, words = code_of(c.monitoring.StreamSystemMetrics, pb.StreamMetricsRequest(metric_types=["weather"]), timeout=10)
assert code == grpc.StatusCode.INVALID_ARGUMENT and "weather" in words, (code, words)
code, words = code_of(c.monitoring.StreamSystemMetrics, pb.StreamMetricsRequest(interval_seconds=-1), timeout=10)
assert code == grpc.StatusCode.INVALID_ARGUMENT, (code, words)
'
}

@test "rnx version tells the server's" {
    rnx version | grep -E '^server [0-9]+\.[0-9]+'
    [ "$(rnx version --json | jq -r .server_version | cut -d' ' -f1)" = "$(rnx version --json | jq -r .version)" ]
}

@test "it is answered at once, however long the interval" {
    keeper_stop
    sed -i 's/system_interval: 1s/system_interval: 1h/' "$I/config/joblet-config.yml"
    instance_start
    until_true 20 is_true .available # not in an hour
    sample . >"$BATS_TEST_TMPDIR/first"
    sample . | diff - "$BATS_TEST_TMPDIR/first"
    keeper_stop
    sed -i 's/system_interval: 1h/system_interval: 1s/' "$I/config/joblet-config.yml"
    instance_start
}

# The process that looks.
watcher() {
    local pid
    for pid in $(cat "/proc/$(joblet_pid)/task/$(joblet_pid)/children"); do
        [ "$(cat "/proc/$pid/comm")" != joblet-monitor ] || echo "$pid"
    done
}

@test "the worker that looks may be killed: the next sample comes all the same" {
    pid=$(watcher)
    [ -n "$pid" ]
    kill -KILL "$pid"
    before=$(sample .timestamp)
    later() { [ "$(sample .timestamp)" != "$before" ] && is_true .available; }
    until_true 15 later
}

@test "with monitoring.enabled: false nothing is measured, and that is said" {
    keeper_stop
    sed -i 's/^monitoring:/monitoring:\n  enabled: false/' "$I/config/joblet-config.yml"
    instance_start
    [ "$(sample .available)" = false ]
    [ "$(sample .hostInfo.hostname)" = "$(uname -n)" ]
    [ "$(sample 'has("cpuInfo")')" = false ]
    run -1 rnx monitor watch
    [[ $output == *"monitoring.enabled is false"* ]]
    [ -z "$(watcher)" ]
}
