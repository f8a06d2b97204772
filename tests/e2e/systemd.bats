#!/usr/bin/env bats
# joblet as a service of systemd on cgroup v2, its jobs' group a unit of its own (docs/adr/0009): run
# in the guest (tests/vm).

load lib.bash

has_systemd() { [ "$(cat /proc/1/comm)" = systemd ]; }

setup() { has_systemd || skip "systemd is not process 1 here"; }
setup_file() {
    has_systemd || return 0
    local group=joblet.slice/joblet-jobs.service
    instance_new --set "cgroup.baseDir=/sys/fs/cgroup/$group" || return 1
    export CGROUP=$group
    cat >/run/systemd/system/joblet-jobs.service <<'UNIT'
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
Slice=joblet.slice
Delegate=yes
UNIT
    cat >/run/systemd/system/joblet.service <<UNIT
[Unit]
Requires=joblet-jobs.service
After=joblet-jobs.service
[Service]
Type=notify
ExecStart=$build/joblet --prefix-dir $I --config $I/config/joblet-config.yml
Slice=joblet.slice
KillMode=process
UNIT
    systemctl daemon-reload && systemctl start joblet.service
}
teardown_file() {
    if [ -n "${I-}" ]; then
        systemctl stop joblet.service joblet-jobs.service
        rm /run/systemd/system/joblet{,-jobs}.service
        rm -rf "$I"
    fi
}

# bats test_tags=smoke
@test "limits are in the kernel, and in what is measured" {
    id=$(job --max-memory=64 --max-cpu=50 --cpu-cores=0 --max-iobps=1048576 sh -c 'cd /sys/fs/cgroup
        for f in memory.max memory.swap.max cpu.max cpuset.cpus.effective pids.max io.max; do echo "$f: $(cat $f)"; done
        grep Cpus_allowed_list /proc/self/status; i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done')
    run rnx job log "$id"
    echo "$output"
    [[ $output == *"memory.max: 67108864"*"memory.swap.max: 0"*"cpu.max: 50000 100000"*"cpuset.cpus.effective: 0"*"pids.max: 4096"* ]]
    [[ $output =~ io.max:" "[0-9]+:[0-9]+" rbps=1048576 wbps=1048576" && $output == *"Cpus_allowed_list:	0"* ]]
    [ "$(ended "$id")" = "COMPLETED 0" ]
    field "$id" result | jq -e '.cpu_user_usec + .cpu_system_usec > 0 and .memory_peak > 0'
    rnx job metrics "$id" --json | jq -se 'length >= 2 and (map(.memoryLimit // 0) | max) == 67108864 and (last | .cpuUserUsec + .cpuSystemUsec > 0)'
}

# bats test_tags=smoke
@test "a restart of the service leaves jobs and their limits alone" {
    id=$(job --max-memory=64 sh -c 'echo up; sleep 5; cat /sys/fs/cgroup/memory.max; exit 4')
    until_true 60 has_status "$id" RUNNING
    systemctl restart joblet.service
    [ "$(ended "$id")" = "FAILED 4" ]
    [ "$(rnx job log "$id")" = "up
67108864" ]
    until_true 20 no_cgroup "$id"
}
