#!/usr/bin/env bash
# peers.bash joblet BUILD MEASURE | engines DIR BUILD - what peers.py measures beside one another: a
# joblet of its own (tests/e2e/lib.bash), or a machine in the machine with the engines that are
# installed (tests/engines). Says what it has, one thing a line, then "ready"; goes on until its
# standard input ends, and leaves nothing.
set -u
tests=$(cd "$(dirname "$0")/.." && pwd)
what=$1
shift

# tell NAME COMMAND...: "NAME up", or why the command that was to bring it up did not.
tell() {
    local name=$1 why
    shift
    if why=$("$@" 2>&1); then
        echo "$name up"
    else
        echo "$name ${why:-did not come up}" | tail -n 1
    fi
}
podman_up() { installed ip podman conmon; }
ctr_up() { installed ip containerd ctr && containerd_up; }
srun_up() { installed ip slurmctld slurmd munged srun && slurm_up && make_bundle "$dir/bundle" .; }

case $what in
joblet)
    export JOBLET_BUILD=$1
    . "$tests/e2e/lib.bash"
    trap 'instance_end >&2' EXIT
    instance_new --default-network none && instance_start || exit 1
    echo "config $RNX_CONFIG"
    ;;
engines)
    export JOBLET_RUN=$2/joblet-run
    . "$tests/engines/lib.bash"
    trap machine_down EXIT
    if installed ip >/dev/null; then # without it there is no machine
        machine_start "$1" || exit 1
        echo "machine $machine_pid"
    fi
    echo "group ${group-}"
    tell podman podman_up
    tell ctr ctr_up
    tell srun srun_up
    ;;
esac
echo ready
cat >/dev/null
