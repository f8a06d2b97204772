#!/usr/bin/env bats
# Limits, as the job's own first instructions find them in the kernel; what can't be had is refused.

load lib.bash

setup_file() { instance_new --set joblet.defaultPidsLimit=100 && instance_start; }
teardown_file() { instance_end; }

# The job's groups, as it sees them: v2 in one directory, v1 in one a controller.
reader='cd /sys/fs/cgroup; for f in memory.max memory.swap.max memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes \
    cpu.max cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpuset.cpus.effective cpuset/cpuset.cpus pids.max pids/pids.max \
    io.max blkio/blkio.throttle.read_bps_device blkio/blkio.throttle.write_bps_device memory.oom.group memory/memory.kmem.tcp.limit_in_bytes; do
    [ ! -r $f ] || echo "$f: $(cat $f | tr "\n" " ")"; done; grep Cpus_allowed_list /proc/self/status'

# bats test_tags=smoke
@test "every limit is in force when the command begins" {
    run output --max-memory=64 --max-cpu=50 --cpu-cores=0 --max-iobps=1048576 sh -c "$reader"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"pids.max: 100 "* && $output == *"Cpus_allowed_list:	0" ]]
    if [[ $output == *"memory.max: "* ]]; then
        [[ $output == *"memory.max: 67108864 "*"memory.swap.max: 0 "*"cpu.max: 50000 100000 "*"cpuset.cpus.effective: 0 "* ]]
        [[ $output =~ "io.max: "[0-9]+:[0-9]+" rbps=1048576 wbps=1048576" && $output == *"memory.oom.group: 1 "* ]]
    else
        [[ $output == *"memory.limit_in_bytes: 67108864 "*"cfs_quota_us: 50000 "*"cfs_period_us: 100000 "*"cpuset.cpus: 0 "* ]]
        [[ $output =~ read_bps_device:" "[0-9]+:[0-9]+" 1048576 " && $output =~ write_bps_device:" "[0-9]+:[0-9]+" 1048576 " ]]
        [ ! -e /sys/fs/cgroup/memory/memory.kmem.tcp.limit_in_bytes ] || [[ $output == *"kmem.tcp.limit_in_bytes: 67108864 "* ]]
    fi
}

@test "without a word about limits the defaults hold, and no others" {
    run output sh -c "$reader"
    echo "$output"
    [[ $output == *"pids.max: 100 "* ]]
    [[ $output != *"cpu.max: 5"* && $output != *"memory.max: 6"* && $output != *"cfs_quota_us: 5"* ]]
}

# bats test_tags=smoke
@test "a job cannot raise its limits" {
    run output --max-memory=64 sh -c 'find /sys/fs/cgroup -type f -writable 2>/dev/null; find /sys/fs/cgroup -type f | while read f; do (echo max >"$f") 2>/dev/null && echo "wrote $f"; done; echo tried'
    [ "$output" = tried ]
}

@test "limits that cannot be had are refused, with the reason" {
    for limit in --cpu-cores=4095 --cpu-cores=0-9999 --max-memory=3 --max-cpu=10001; do
        run rnx job run "$limit" true
        echo "$output"
        [ "$status" -ne 0 ]
        [[ $output == *[a-z]*[0-9]* ]]
    done
}

# bats test_tags=smoke
@test "a job cannot take memory by empty files: each file system has so many and no more" {
    run output --tmp-size=1MB sh -c 'for d in /tmp /var/tmp /work; do n=0
        while true >"$d/f$n"; do n=$((n + 1)); [ $n -lt 5000 ] || break; done 2>/dev/null; echo "$d $n"; done; stat -f -c "/dev/shm %c" /dev/shm'
    echo "$output"
    [ "$status" -eq 0 ]
    for d in /tmp /var/tmp /work /dev/shm; do
        n=$(printf '%s\n' "$output" | sed -n "s|^$d ||p")
        [ "$n" -gt 500 ]
        [ "$n" -le "$([ $d = /dev/shm ] && echo 32768 || echo 1024)" ]
    done
}

# bats test_tags=smoke
@test "a job cannot take all terminals of all jobs" {
    run output python3 -c '
import os
n = 0
try:
    while n < 1000: os.openpty(); n += 1
except OSError: pass
print(n)'
    echo "$output"
    [ "$output" -ge 60 ]
    [ "$output" -le 64 ]
}

# bats test_tags=smoke
@test "a job does not see which files are behind the loop devices of others" {
    rnx volume create hidden-name --size=16MB --type=filesystem
    run output sh -c 'cat /sys/block/*/loop/backing_file /sys/devices/virtual/block/*/loop/backing_file 2>/dev/null; ls /sys/devices/virtual/block 2>/dev/null; echo end'
    rnx volume remove hidden-name
    echo "$output"
    [ "$output" = end ]
}
