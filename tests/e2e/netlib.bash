# Common to the tests of networks: the whole instance runs in a network namespace of its own, whose
# only way out is a veth to a second one, the world. So neither the machine's devices nor its rules
# nor its sysctls are touched.
#   world: 203.0.113.1/24 on w0, 198.51.100.7 (the internet), 169.254.169.254 (metadata)
#   host:  203.0.113.2/24 on h0, default route to the world
. "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

in_host() { nsenter --net="/run/netns/$HOSTNS" "$@"; }
in_world() { nsenter --net="/run/netns/$WORLDNS" "$@"; }

# What runs beside the jobs: the keeper of instance_start, and rnx.
setsid() { exec nsenter --net="/run/netns/$HOSTNS" "$(type -P setsid)" "$@"; }

net_new() {
    command -v nft >/dev/null && command -v ip >/dev/null || skip "needs nft and ip"
    HOSTNS=jlt-h$$-${BATS_TEST_NUMBER-0} WORLDNS=jlt-w$$-${BATS_TEST_NUMBER-0}
    export HOSTNS WORLDNS
    instance_new "$@" || return 1
    ip netns add "$HOSTNS" && ip netns add "$WORLDNS" || return 1
    ip -n "$HOSTNS" link add h0 type veth peer name w0 netns "$WORLDNS"
    ip -n "$HOSTNS" addr add 203.0.113.2/24 dev h0
    ip -n "$HOSTNS" link set lo up
    ip -n "$HOSTNS" link set h0 up
    ip -n "$HOSTNS" route add default via 203.0.113.1
    ip -n "$WORLDNS" addr add 203.0.113.1/24 dev w0
    ip -n "$WORLDNS" link set lo up
    ip -n "$WORLDNS" link set w0 up
    ip -n "$WORLDNS" addr add 198.51.100.7/32 dev lo
    ip -n "$WORLDNS" addr add 169.254.169.254/32 dev lo
    ip -n "$HOSTNS" route add 169.254.169.254 via 203.0.113.1
    mkdir "$I/bin"
    printf '#!/bin/sh\nexec nsenter --net=/run/netns/%s %s/rnx "$@"\n' "$HOSTNS" "$build" >"$I/bin/rnx"
    chmod 0755 "$I/bin/rnx"
    PATH=$I/bin:$PATH
    serve world 198.51.100.7 80 INTERNET
    serve world 169.254.169.254 80 METADATA
    serve host 203.0.113.2 8080 HOSTSERVICE
}

# serve world|host ADDRESS PORT TEXT: answers each connection with TEXT and who came.
serve() {
    local ns=$HOSTNS
    [ "$1" = host ] || ns=$WORLDNS
    nsenter --net="/run/netns/$ns" $py -c '
import socket, sys, threading
s = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
while True:
    c, who = s.accept()
    c.sendall((sys.argv[3] + " " + who[0] + "\n").encode()); c.close()
' "$2" "$3" "$4" >/dev/null 2>&1 </dev/null 3>&- 4>&- &
    SERVERS="${SERVERS-} $!"
}

net_end() {
    local bad=0 pid
    instance_end || bad=1
    for pid in ${SERVERS-}; do kill "$pid" 2>/dev/null; done
    if [ -n "${HOSTNS-}" ]; then
        left=$(net_left) || { echo "left behind: $left" >&2; bad=1; }
        ip netns del "$HOSTNS" 2>/dev/null
        ip netns del "$WORLDNS" 2>/dev/null
    fi
    return $bad
}

# What of joblet's is in the host's namespace; 1 when there is any.
net_left() {
    local devices rules
    devices=$(ip -n "$HOSTNS" -o link | awk -F'[:@ ]+' '$2 ~ /^(joblet|jv|ji)/ {print $2}')
    rules=$(in_host nft list tables | grep joblet)
    [ -z "$devices$rules" ] || { echo "$devices $rules"; return 1; }
}

# run_job ARGUMENTS...: its log, once it has ended; its exit code.
run_job() {
    local id
    id=$(job "$@") && [ -n "$id" ] && [ "$id" != null ] || return 99
    ended "$id" >/dev/null || return 98
    rnx job log "$id"
    return "$(field "$id" exit_code)"
}

is_running() { has_status "$1" RUNNING; }
start_running() {
    local id
    id=$(job "$@")
    until_true 20 is_running "$id" || { rnx job status "$id" >&2; return 1; }
    echo "$id"
}

# What a job runs: `reach` ADDRESS PORT prints what the other side says, or "nothing"; `listen` is a
# service on port 7000 that answers for ever.
reach='busybox nc -w 2 "$0" "$1" </dev/null 2>/dev/null || echo nothing'
listen='while :; do echo "service of $JOB_NAME" | busybox nc -l -p 7000 >/dev/null; done'
# says JOB-NETWORK ADDRESS PORT: what a job there hears.
says() { run_job --network="$1" sh -c "$reach" "$2" "$3"; }
# hears TEXT JOB-NETWORK ADDRESS PORT: a job there hears this, if not at once: a service may be still
# coming up, or busy with the one before.
hears() { until_true 20 prints "$1" says "${@:2}"; }
prints() { [ "$("${@:2}" </dev/null)" = "$1" ]; }
