#!/usr/bin/env bats
# kill -9 of joblet and joblet-front under load, $KILLS times (20); the issue's figure is 500:
#   KILLS=500 JOBLET_BUILD=... bats tests/scale/kills.bats
# and with networks: JOBLET_TEST_NETWORK=bridge unshare -n sh -c "ip link set lo up; exec bats FILE"

load ../e2e/lib.bash

# What networks are made of, below the base of the instance.
network_things() { ip -o link | cut -d: -f2; nft list ruleset 2>/dev/null; }

setup_file() {
    here=$(cd "$BATS_TEST_DIRNAME/../e2e" && pwd)
    export THINGS=$BATS_FILE_TMPDIR/things
    network_things >"$THINGS"
    instance_new --set 'joblet.retention={max_jobs: 0, max_age: 0s}' --set joblet.maxConcurrentJobs=20 && instance_start
}
teardown_file() { instance_end; }

# While joblet is up its pool has names of its own; jobs have no mounts.
nothing_left() {
    [ -z "$(ls "$I/jobs" | grep -v '^\.')" ] && [ -z "$(ls -A "$I/jobs/.trash")" ] && [ -z "$(ls "$I/run/jobs")" ] &&
        [ -z "$(ls "$I/run/oci")" ] && [ -z "$(ls -A "$I/jobs/.staging" 2>/dev/null)" ] &&
        ! cgroup_dirs | grep -q /job- && no_shims && ! grep " $I/" /proc/self/mountinfo | grep -qv " $I/run/netns/"
}

# Processes of this instance, by program and command line: a worker's child is one, too.
processes() {
    local pid
    for pid in /proc/[0-9]*; do
        case $(readlink "$pid/exe" 2>/dev/null) in
        "$build"/*) ! tr '\0' ' ' 2>/dev/null <"$pid/cmdline" | grep -F "$I" || echo "$pid" ;;
        esac
    done
}

nothing_at_all() { [ -z "$(processes)" ] && ! grep -q " $I/" /proc/self/mountinfo && network_things | cmp -s - "$THINGS"; }

@test "every exit code and every log is exact, and nothing is left" {
    PYTHONPATH="$top/tests/e2e:$top/tests/scale" PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=NONE TMPDIR=$BATS_TEST_TMPDIR \
        $py "$top/tests/scale/kills.py" "$I" "${KILLS:-20}"
    until_true 30 nothing_left || { find "$I/jobs" "$I/run" | head -n 30; cgroup_dirs; cat /proc/self/mountinfo; false; }
    keeper_stop
    until_true 10 nothing_at_all || { processes; cat /proc/self/mountinfo; network_things; false; }
}
