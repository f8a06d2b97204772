# Common to tests/conformance/*.bats, on top of tests/cli/lib.bash. A test's name is the id of its
# requirement in requirements.tsv. No test may pass without a runtime that works: `report --none`
# runs all with /bin/true in its place, and a refusal counts only of a runtime that runs a plain
# bundle.
#   JOBLET_RUN     the runtime: joblet-run, runc, crun

any_runtime=yes
# shellcheck source=tests/cli/lib.bash
source "$(dirname "${BASH_SOURCE[0]}")/../cli/lib.bash"
agent=$top/tests/conformance/agent.py

setup_file() {
    file_setup
    sound=$(BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR BATS_TEST_NUMBER=0; job_setup; bundle . echo well; run_bundle 2>&1)
    export sound
    [ "$sound" = well ] || echo "# $runtime does not run a plain bundle: $sound" >&2
    rm -rf "$BATS_FILE_TMPDIR"/{b,s}
}
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

no_new_privs='.process.noNewPrivileges = true'

# ran STATUS: how the last try ended, with what it said.
ran() { [ "$status" -eq "$1" ] || { printf 'status %s\n%s\n%s\n' "$status" "$output" "$stderr" >&2; return 1; }; }

# shows FILTER WANT COMMAND...: a container with FILTER, whose output is WANT.
shows() {
    local filter=$1 want=$2
    shift 2
    bundle "$filter" "$@"
    try
    ran 0
    equals "$output" "$want"
}

works() { [ "$sound" = well ] || { echo "the runtime does not run a plain bundle: $sound" >&2; return 1; }; }

# was_refused: the last try failed, said why, ran nothing and left nothing.
was_refused() {
    works
    [ "$status" -ne 0 ] || { echo "accepted: ${1-}" >&2; return 1; }
    [ -n "$stderr$output" ] || { echo "no word about ${1-}" >&2; return 1; }
    [ ! -e "$bundle/rootfs/work/ran" ] || { echo "the program ran: ${1-}" >&2; return 1; }
    nothing_left
}

# refused FILTER...: a container with each of the filters is refused.
refused() {
    local filter
    for filter; do
        bundle "$filter" touch /work/ran
        try
        was_refused "$filter"
    done
}

# fails COMMAND...: it must, with a word about why. (Into a file: a container that was made although
# it must not be would hold a pipe of ours open.)
fails() {
    status=0
    "$@" >"$BATS_TEST_TMPDIR/fails" 2>&1 3>&- 4>&- || status=$?
    [ "$status" -ne 0 ] || { echo "succeeded: $*" >&2; return 1; }
    [ -s "$BATS_TEST_TMPDIR/fails" ] || { echo "no word: $*" >&2; return 1; }
}

# json JQ-ARGUMENT...: jq says true. (With no input at all jq -e is content.)
json() { equals "$(jq "$@")" true; }

# A container that waits.
created() {
    bundle "${1-.}" sleep 1000
    create
}
running() {
    bundle "${1-.}" sleep 1000
    detach
}

# field NAME: of /proc/self/status in $output.
field() { awk -v n="$1:" '$1 == n { print $2 }' <<<"$output"; }

# host_tree [OPTIONS [SUB-OPTIONS]]: a tmpfs of the host's in $tree, another in its sub.
host_tree() {
    tree=$BATS_TEST_TMPDIR/tree
    mkdir "$tree"
    mount -t tmpfs -o "size=64k${1:+,$1}" tree "$tree"
    mkdir "$tree/sub"
    mount -t tmpfs -o "size=64k${2:+,$2}" sub "$tree/sub"
}

# kernel V1-CONTROLLER V1-FILE V2-FILE: what the kernel has for the container, whichever this host is.
kernel() {
    if [ "$(cgroup_mode)" = v2 ]; then cgroup_file "$1" "$3"; else cgroup_file "$1" "$2"; fi
}
v2_only() { [ "$(cgroup_mode)" = v2 ] || skip "cgroup v1 here; the guest has v2"; }
v1_only() { [ "$(cgroup_mode)" = v1 ] || skip "cgroup v2 here"; }

# --- hooks ---
# hook COMMAND: one that runs it in sh.
hooks='def hook(command): {path: "/bin/sh", args: ["sh", "-c", command]};'
hook_kinds='prestart createRuntime createContainer startContainer poststart poststop'
