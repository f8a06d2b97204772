# Common to tests/e2e/*.bats: a joblet of its own in a short temporary directory, with certificates,
# a free port and a cgroup of its own; a keeper that starts it again when it was killed, as systemd
# would; and an end that leaves nothing. Only processes that the instance started are ended.
#   JOBLET_BUILD         where joblet, joblet-front, joblet-shim, joblet-run and rnx were built
#   JOBLET_TEST_NETWORK  default network of instances; with `bridge` the whole of it belongs into a
#                        network namespace: unshare -n sh -c "ip link set lo up; bats FILE"

[ -z "${BATS_VERSION-}" ] || bats_require_minimum_version 1.5.0
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
build=${JOBLET_BUILD:-$top/build/test/gcc}
py=/usr/bin/python3
. "$top/tests/lib/until.bash"
export GRPC_ENABLE_FORK_SUPPORT=0 # python's gRPC 1.51 deadlocks in a fork beside a call that ends

free_port() {
    $py -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Directories of the instance's cgroup base in every hierarchy that has them, below first.
cgroup_dirs() {
    local mount
    awk '$3 ~ /^cgroup2?$/ {print $2}' /proc/mounts | while read -r mount; do
        [ ! -d "$mount/$CGROUP" ] || find "$mount/$CGROUP" -depth -type d
    done
}

# instance_new [certs_gen option...]: makes an instance; exports I (its directory), CGROUP, PORT.
instance_new() {
    [ "$(id -u)" -eq 0 ] || skip "needs root"
    [ -x "$build/joblet" ] || { echo "no joblet in $build: set JOBLET_BUILD" >&2; return 1; }
    I=$(mktemp -d "${TMPDIR:-/tmp}/jle.XXXXXX")
    PORT=$(free_port)
    CGROUP=joblet-test-e2e-${I##*.}
    export I PORT CGROUP
    chmod 0755 "$I"
    mkdir "$I/logs" "$I/run"
    "$top/contrib/certs_gen_embedded.sh" --prefix-dir "$I" --address 127.0.0.1 --port "$PORT" --fast \
        --default-network "${JOBLET_TEST_NETWORK:-none}" --cgroup-base "/sys/fs/cgroup/$CGROUP" "$@" >"$I/logs/certs" 2>&1 ||
        { cat "$I/logs/certs"; return 1; }
    export RNX_CONFIG=$I/config/rnx-config.yml PATH=$build:$PATH
}

# Starts joblet and starts it again whenever a signal ended it; ends it when told to.
instance_start() {
    cat >"$I/run/keep" <<'KEEP'
#!/bin/sh
trap 'kill -TERM "$child" 2>/dev/null; wait "$child"; echo $? >>"$2/run/exits"; exit' TERM
while :; do
    "$1/joblet" --prefix-dir "$2" --config "$2/config/joblet-config.yml" $3 >>"$2/logs/joblet.log" 2>&1 </dev/null &
    child=$!
    echo $child >"$2/run/pid.new" && mv "$2/run/pid.new" "$2/run/pid"
    wait "$child"
    status=$?
    echo $status >>"$2/run/exits"
    [ $status -gt 128 ] || exit
done
KEEP
    rm -f "$I/run/pid"
    setsid sh "$I/run/keep" "$build" "$I" "$*" >/dev/null 2>&1 </dev/null 3>&- 4>&- &
    echo $! >"$I/run/keeper"
    until_true 20 answers || { instance_log; return 1; }
}

answers() { rnx job list >/dev/null 2>&1 || { kill -0 "$(cat "$I/run/keeper")" 2>/dev/null || return 0; false; }; }
instance_log() { tail -n 60 "$I/logs/joblet.log" >&2; }
joblet_pid() { cat "$I/run/pid"; }

# The joblet-front that this joblet started.
front_pid() {
    local pid
    pid=$(joblet_pid) || return 1
    for pid in $(cat "/proc/$pid/task/$pid/children" 2>/dev/null); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != joblet-front ] || { echo "$pid"; return 0; }
    done
    return 1
}

# Whether a joblet-front runs that is not pid $1, as after a SIGHUP.
other_front() {
    local pid
    pid=$(front_pid) && [ "$pid" != "$1" ]
}

is_gone() { ! kill -0 "$1" 2>/dev/null; }

keeper_stop() {
    local keeper
    keeper=$(cat "$I/run/keeper" 2>/dev/null) || return 0
    kill -TERM "$keeper" 2>/dev/null
    until_true 20 is_gone "$keeper" || { kill -KILL "$(joblet_pid)" "$keeper" 2>/dev/null; echo "joblet did not end" >&2; }
    rm -f "$I/run/keeper"
}

# Ends jobs and daemon and removes all of it; 1 when something had to be ended by force.
instance_end() {
    local pid dir bad=0
    [ -n "${I-}" ] && [ -d "$I" ] || return 0
    timeout 20 rnx job list --json 2>/dev/null |
        jq -r '.[] | select(.status | IN("PENDING", "SCHEDULED", "INITIALIZING", "RUNNING", "STOPPING")) | .id' |
        timeout 60 xargs -r -n 1 -P 16 rnx job stop >/dev/null 2>&1
    keeper_stop
    for dir in $(cgroup_dirs); do
        for pid in $(cat "$dir/cgroup.procs" 2>/dev/null); do
            echo "left in $dir: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")" >&2
            kill -KILL "$pid" 2>/dev/null
            bad=1
        done
    done
    until_true 10 no_shims || { echo "shims are left" >&2; bad=1; }
    sleep 0.1
    for dir in $(cgroup_dirs); do rmdir "$dir" 2>/dev/null; done
    if grep -q " $I/" /proc/self/mountinfo; then
        echo "mounts are left:" >&2
        grep " $I/" /proc/self/mountinfo >&2
        awk -v d="$I/" 'index($5, d) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r dir; do umount -l "$dir"; done
        bad=1
    fi
    rm -rf --one-file-system "$I"
    return $bad
}

no_shims() {
    local pid
    for pid in /proc/[0-9]*; do
        case $(readlink "$pid/exe" 2>/dev/null) in
        "$build/joblet-shim"*) ! tr '\0' ' ' 2>/dev/null <"$pid/cmdline" | grep -qF "$I" || return 1 ;;
        esac
    done
}

# as ROLE COMMAND...: rnx with that role's certificate.
as() {
    local role=$1
    shift
    RNX_CONFIG=$I/config/rnx-config-$role.yml "$@"
}

# job ARGUMENT...: submits a job; its id.
job() { rnx job run --json "$@" | jq -r .id; }
status_of() { rnx job status --json "$1" | jq -r .status; }
field() { rnx job status --json "$1" | jq -r ".$2"; }
has_status() { [ "$(status_of "$1")" = "$2" ]; }
is_ended() { case $(status_of "$1") in COMPLETED | FAILED | STOPPED | CANCELED | TIMEOUT) true ;; *) false ;; esac; }

# ended ID: waits for its end; prints "STATUS EXIT_CODE".
ended() {
    until_true "${2:-60}" is_ended "$1" || { echo "job $1 is still $(status_of "$1")" >&2; return 1; }
    rnx job status --json "$1" | jq -r '"\(.status) \(.exit_code)"'
}

# output ARGUMENT...: runs a job to its end and prints its output; its exit code is the job's.
output() {
    local id
    id=$(job "$@") || return
    rnx job log "$id"
    [ "$(ended "$id")" = "COMPLETED 0" ] || { rnx job status "$id" >&2; return 1; }
}

# audited FILTER: a line of the audit file is so. front tells core of what it refused after its answer.
audited() { jq -se "any(.[]; $1)" "$I/logs/audit.log" >/dev/null; }

no_cgroup() { ! cgroup_dirs | grep -q "$1"; }

# job_pid ID NAME: the host's number of the job's process of that name.
job_pid() {
    cgroup_dirs | grep "$1" | while read -r dir; do cat "$dir/cgroup.procs"; done | sort -un |
        while read -r pid; do
            [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "$2" ] || { echo "$pid"; break; }
        done
}

# client CODE [ARGUMENT...]: python with grpc_client, which shares nothing with joblet; `c` is a client
# with the certificate of $ROLE (admin), `I` the instance's directory, `args` the arguments.
client() {
    local code=$1
    shift
    TMPDIR=$BATS_TEST_TMPDIR PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=NONE $py -c "
import os, sys, time, grpc
from grpc_client import Client, code_of, pb
I, args = os.environ['I'], sys.argv[1:]
def role(name): return Client.from_config(f'{I}/config/rnx-config-{name}.yml')
c = role(os.environ.get('ROLE', 'admin'))
$code" "$@"
}
