#!/usr/bin/env bash
# quickstart.sh - from a fresh Debian 12 machine to a running joblet and real jobs.
#
#   contrib/quickstart.sh [--dir DIR]          build, install, start, run the tour
#   contrib/quickstart.sh [--dir DIR] --down   stop it and remove all of it
#
# Everything lives in DIR (default /var/tmp/joblet): programs, build, certificates, state, logs.
# The daemon listens on 127.0.0.1 alone. Run again it is quick and keeps what is there. Debian
# packages that it installs stay. Needs root: jobs are isolated by the kernel's namespaces.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
dir=/var/tmp/joblet
down=no

usage() { sed -n '2,10s/^# \{0,1\}//p' "$0"; }
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
die() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}
show() { # prints a command as one would type it, then runs it
    printf '\n$'
    printf ' %q' "$@"
    printf '\n'
    "$@"
}

while [ $# -gt 0 ]; do
    case $1 in
    --dir) [ $# -ge 2 ] || die "--dir needs a directory"; dir=$2; shift ;;
    --dir=*) dir=${1#*=} ;;
    --down) down=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown argument '$1'" ;;
    esac
    shift
done
[ "$(id -u)" -eq 0 ] || die "run as root: isolating jobs needs it (sudo contrib/quickstart.sh)"
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
while [ "$dir" != "${dir%/}" ]; do dir=${dir%/}; done
case $dir in *[!A-Za-z0-9_./-]* | *//* | */./* | */../* | */.. | */.)
    die "--dir '$dir': use letters, digits, and _ . / - only, without '.' or '..' parts" ;;
esac
[ ${#dir} -le 60 ] || die "--dir '$dir': give a path of at most 60 characters"
case $dir in
/bin | /boot | /dev | /etc | /home | /lib* | /media | /mnt | /opt | /proc | /root | /run | /sbin | \
    /srv | /sys | /tmp | /usr | /var | /var/tmp) die "--dir '$dir': give a directory of its own" ;;
esac
mark=$dir/.joblet-quickstart

# What we run as root from DIR must be ours: anybody may make a directory in /var/tmp first.
if [ -e "$dir" ] || [ -L "$dir" ]; then
    [ ! -L "$dir" ] && [ -d "$dir" ] || die "$dir is not a directory; choose another with --dir"
    owner=$(stat -c '%u %A' "$dir")
    case $owner in
    "0 d"????-??-?) ;; # neither group nor others may write
    *) die "$dir belongs to another user or can be written by others ($owner); choose another with --dir" ;;
    esac
fi

# The keeper is the process that starts joblet again when it was killed; its pid and start time
# are written down, so that a recycled pid is never taken for it.
keeper_pid() {
    local pid start
    [ -r "$dir/run/keeper" ] && read -r pid start <"$dir/run/keeper" || return 1
    [ "$(cut -d' ' -f22 "/proc/$pid/stat" 2>/dev/null)" = "$start" ] || return 1
    echo "$pid"
}

stop_instance() {
    local pid id
    pid=$(keeper_pid) || return 0
    # Jobs outlive the daemon by design; an instance that goes away ends its jobs first.
    for id in $("$dir/bin/rnx" --config "$dir/config/rnx-config.yml" job list --json 2>/dev/null |
        /usr/bin/python3 -c 'import json,sys
for job in json.load(sys.stdin):
    if job["status"] in ("PENDING", "SCHEDULED", "INITIALIZING", "RUNNING", "STOPPING"):
        print(job["id"])' 2>/dev/null); do
        "$dir/bin/rnx" --config "$dir/config/rnx-config.yml" job stop "$id" >/dev/null 2>&1 || true
    done
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 600); do
        kill -0 "$pid" 2>/dev/null || { rm -f "$dir/run/keeper"; return 0; }
        sleep 0.1
    done
    die "the daemon (keeper pid $pid) did not end within 60 s; see $dir/logs/joblet.log"
}

remove_cgroups() { # the groups of this instance; empty by now
    local base root
    base=$(cat "$dir/config/cgroup-base" 2>/dev/null) || return 0
    [ -n "$base" ] || return 0
    for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ -d "$root/$base" ] || continue
        find "$root/$base" -depth -type d -exec rmdir {} + 2>/dev/null || true
        rmdir "$root/${base%%/*}" 2>/dev/null || true # shared by instances: goes with the last
    done
}

if [ $down = yes ]; then
    [ -e "$dir" ] || { echo "There is nothing in $dir."; exit 0; }
    [ -f "$mark" ] || die "$dir was not made by quickstart.sh; remove it by hand if you want to"
    stop_instance
    remove_cgroups
    rm -rf --one-file-system "$dir"
    echo "Stopped, and removed $dir."
    exit 0
fi

if [ -e "$dir" ] && [ ! -f "$mark" ] && [ -n "$(ls -A "$dir")" ]; then
    die "$dir exists and is not an instance of quickstart.sh; choose another with --dir"
fi
if [ ! -d "$dir" ]; then
    mkdir -p "$(dirname "$dir")"
    mkdir -m 0755 "$dir" # fails when somebody else was quicker
fi
chmod 0755 "$dir"
mkdir -p "$dir/build" "$dir/run" "$dir/logs" "$dir/config"
: >"$mark"

say "1/4  Packages and build"
sh "$top/contrib/install-packages" "$top/contrib/packages.build"
log=$dir/build/quickstart.log
run_logged() { "$@" >>"$log" 2>&1 || { tail -n 30 "$log" >&2; die "'$*' failed; see $log"; }; }
: >"$log"
if [ ! -x "$top/configure" ]; then
    run_logged "$top/autogen.sh"
fi
cd "$dir/build"
[ -f Makefile ] || run_logged "$top/configure" --prefix="$dir"
run_logged make -j"$(nproc)"
run_logged make install
echo "Installed in $dir/bin: $(cd "$dir/bin" && echo *)"

say "2/4  Certificates and configuration"
free_port() {
    /usr/bin/python3 -c 'import socket
for port in (50051, 0):
    try:
        s = socket.socket(); s.bind(("127.0.0.1", port)); print(s.getsockname()[1]); break
    except OSError:
        pass'
}
if [ ! -f "$dir/config/joblet-config.yml" ]; then
    # A cgroup of its own, so that instances beside one another do not meet; joblet-front runs as a
    # number that no passwd file knows, so that no user has to be made and removed.
    echo "joblet.slice/quickstart-$(printf %s "$dir" | cksum | cut -d' ' -f1)" >"$dir/config/cgroup-base"
    "$dir/bin/certs_gen_embedded.sh" --prefix-dir "$dir" --address 127.0.0.1 \
        --port "$(free_port)" --default-network none --set server.frontUser=61183 \
        --cgroup-base "/sys/fs/cgroup/$(cat "$dir/config/cgroup-base")" >>"$log" 2>&1 ||
        { tail -n 30 "$log" >&2; die "making the certificates failed; see $log"; }
fi
cat >"$dir/env" <<ENV
# Source this: . $dir/env
export PATH=$dir/bin:\$PATH
export RNX_CONFIG=$dir/config/rnx-config.yml
ENV
# shellcheck disable=SC1091
. "$dir/env"
echo "Configuration: $dir/config/joblet-config.yml, clients: $(cd "$dir/config" && echo rnx-config*.yml)"

say "3/4  The daemon"
start_instance() {
    cat >"$dir/run/keep" <<'KEEP'
#!/bin/sh
# Starts joblet and starts it again when it was killed; ends it when it is told to end.
dir=$1
trap 'kill -TERM "$child" 2>/dev/null; wait "$child"; exit 0' TERM INT HUP
while :; do
    "$dir/bin/joblet" --config "$dir/config/joblet-config.yml" --prefix-dir "$dir" \
        >>"$dir/logs/joblet.log" 2>&1 </dev/null &
    child=$!
    wait "$child"
    [ $? -gt 128 ] || exit 1
    sleep 0.2
done
KEEP
    setsid sh "$dir/run/keep" "$dir" >/dev/null 2>&1 </dev/null &
    echo "$! $(cut -d' ' -f22 "/proc/$!/stat")" >"$dir/run/keeper"
}
if keeper_pid >/dev/null; then
    echo "Runs already (pid $(keeper_pid))."
else
    start_instance
fi
for _ in $(seq 600); do
    rnx job list >/dev/null 2>&1 && break
    keeper_pid >/dev/null || { tail -n 20 "$dir/logs/joblet.log" >&2; die "the daemon ended; its log is above"; }
    sleep 0.1
done
rnx job list >/dev/null || { tail -n 20 "$dir/logs/joblet.log" >&2; die "the daemon does not answer; its log is above"; }
rnx nodes

say "4/4  Jobs"
job_id() { /usr/bin/python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])'; }
echo "A Python program and the machine's own package database are uploaded; the log is live:"
cd "$top/examples/package-report"
printf '\n$ rnx job run --upload=package_report.py --upload=/var/lib/dpkg/status python3 package_report.py status\n'
id=$(rnx job run --json --upload=package_report.py --upload=/var/lib/dpkg/status \
    python3 package_report.py status | job_id) || die "the job was not taken"
show rnx job log "$id"
show rnx job status "$id"
[ "$(rnx job status --json "$id" | /usr/bin/python3 -c 'import json,sys
s = json.load(sys.stdin); print(s["status"], s["exit_code"])')" = "COMPLETED 0" ] ||
    die "the job should have ended as COMPLETED with 0"

echo
echo "A job that wants more memory than it may have is stopped, and says so:"
printf '%s\n' '' "\$ rnx job run --max-memory=64 python3 -c 'b = b\"x\" * (1 << 30)'"
id=$(rnx job run --json --max-memory=64 python3 -c 'b = b"x" * (1 << 30)' | job_id)
show rnx job log "$id"
show rnx job status "$id"
[ "$(rnx job status --json "$id" | /usr/bin/python3 -c 'import json,sys
s = json.load(sys.stdin); print(s["status"], s["exit_code"], s.get("reason"))')" = "FAILED 137 Job killed due to memory limit" ] ||
    die "the job should have ended as FAILED with 137 and the memory limit as reason"

say "Ready. Five commands to try next:"
cat <<NEXT
    . $dir/env
    rnx job run sh -c 'ps; id; touch /usr/x; ls -la /work'   # what a job sees
    rnx job list                                             # all jobs
    rnx job run --max-cpu=50 sh -c 'while :; do date; sleep 1; done'
    rnx job log <id>                                         # live; Ctrl-C leaves the job running
    rnx job stop <id>

Stop this instance and remove all of it:
    $top/contrib/quickstart.sh --dir $dir --down
NEXT
