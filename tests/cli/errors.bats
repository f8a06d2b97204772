#!/usr/bin/env bats
# What joblet-run refuses, with which words, and where it writes them.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

# refused TEXT...: `run` fails, says each TEXT, and leaves nothing.
refused() {
    local text
    try
    [ "$status" -ne 0 ] || { echo "was not refused: $output" >&2; return 1; }
    for text in "$@"; do contains "$stderr" "$text"; done
    nothing_left
}

# bats test_tags=smoke
@test "a program that is not in PATH is told as engines expect it" {
    bundle . no-such-program
    refused 'executable file not found in $PATH' no-such-program
}

@test "a program that is not at its path is told as engines expect it" {
    bundle . /bin/no-such-program
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "no such file or directory" # docker's client minds the case
    contains "$stderr" /bin/no-such-program
    nothing_left
}

@test "a program that may not be executed is told as engines expect it" {
    bundle . /work/data
    echo data >"$bundle/rootfs/work/data"
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "permission denied"
    nothing_left
}

@test "a program of the PATH that may not be executed is told as engines expect it" {
    not_runc "calls it not found"
    bundle '.process.env = ["PATH=/work"]' data
    echo data >"$bundle/rootfs/work/data"
    try
    [ "$status" -ne 0 ]
    contains "${stderr,,}" "permission denied"
}

@test "a program whose interpreter is missing is told with a hint" {
    not_runc "gives no hint"
    bundle . /work/script
    printf '#!/no/interpreter\n' >"$bundle/rootfs/work/script"
    chmod +x "$bundle/rootfs/work/script"
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "no such file or directory"
    contains "$stderr" "interpreter"
}

@test "a missing program makes create fail, not start" {
    bundle . no-such-program
    run create
    [ "$status" -ne 0 ]
    contains "$(err)" 'executable file not found in $PATH'
    nothing_left
}

@test "arguments that are too long for the kernel are told as such" {
    bundle '.process.args += ["x" * 140000]' true
    refused true
    contains "${stderr,,}" "argument list too long"
}

@test "a missing cwd is made, as runc does, or refused by name" {
    bundle '.process.cwd = "/no/such/dir"' pwd
    try
    [ "$output" = /no/such/dir ] || { [ "$status" -ne 0 ] && contains "$stderr" /no/such/dir; }
}

@test "a bundle that is not there is refused by name" {
    run rt run --bundle /no/bundle "$id"
    equals "$status" 1
    contains "$output" /no/bundle
}

@test "a bundle without config.json is refused by name" {
    mkdir "$bundle"
    run rt run --bundle "$bundle" "$id"
    equals "$status" 1
    contains "$output" config.json
}

@test "a root file system that is not there is refused by name" {
    bundle '.root.path = "elsewhere"' true
    refused elsewhere
    contains "${stderr,,}" "no such file"
}

@test "a root file system that is a file is refused by name" {
    not_runc "names its own program"
    bundle '.root.path = "config.json"' true
    refused config.json
}

@test "an empty config.json is refused" {
    mkdir -p "$bundle/rootfs" && : >"$bundle/config.json"
    refused
}

@test "a truncated config.json is refused" {
    bundle . true
    local size part
    size=$(stat -c %s "$bundle/config.json")
    for part in 1 $((size / 3)) $((size / 2)) $((size - 3)); do
        truncate -s "$part" "$bundle/config.json"
        refused
        bundle . true
    done
}

@test "a huge config.json is refused quickly and in little memory" {
    not_runc "has no ceiling"
    bundle . true
    { echo '{"annotations": {'; yes '"a": "0123456789",' | head -c 33554432; } >"$bundle/config.json"
    (ulimit -v 100000 && run_bundle 2>"$BATS_TEST_TMPDIR/err") && false
    contains "$(err)" "larger than"
}

@test "a config.json that is nested 10,000 deep is refused" {
    not_runc "has no ceiling"
    bundle . true
    $py -c 'print("{\"annotations\": " + "[" * 10000 + "]" * 10000 + "}")' >"$bundle/config.json"
    refused deep
}

@test "a value of the wrong type is named by its path" {
    not_runc "names Go types"
    bundle '.process.args = "sh"' true
    refused process.args
    bundle '.linux.resources.memory.limit = "64M"' true
    refused linux.resources.memory.limit
    bundle '.mounts[2].options = {}' true
    refused 'mounts[2].options'
}

@test "what is not UTF-8 is refused" {
    not_runc "replaces it"
    bundle . true
    sed -i $'s/"inside"/"in\xff\xfeside"/' "$bundle/config.json"
    refused
}

@test "a string with a NUL in it is refused" {
    not_runc "says invalid argument later on"
    bundle '.hostname = "a\u0000b"' true
    refused '\u0000'
}

@test "a version 2 of the specification is refused" {
    not_runc "does not look"
    bundle '.ociVersion = "2.0.0"' true
    refused ociVersion 2.0.0
}

@test "a newer version 1 of the specification is a warning" {
    not_runc "does not look"
    bundle '.ociVersion = "1.9.0"' echo well
    try
    equals "$output" well
    contains "$stderr" 1.9.0
}

@test "unknown properties are left alone" {
    bundle '.future = {a: [1, null]} | .linux.more = "x" | .process.other = 1.5e3' echo well
    try
    equals "$status" 0
    equals "$output" well
}

@test "no program at all is refused by its path" {
    not_runc "says args must not be empty"
    bundle '.process.args = []' true
    refused process.args
}

@test "a relative cwd is refused" {
    bundle '.process.cwd = "work"' true
    refused bsolute
}

@test "a resource limit set twice is refused" {
    not_runc "takes one of them"
    bundle '.process.rlimits = [range(2) | {type: "RLIMIT_NOFILE", soft: 100, hard: 100}]' true
    refused RLIMIT_NOFILE twice
}

@test "a resource limit that is none is refused by name" {
    bundle '.process.rlimits = [{type: "RLIMIT_MOOD", soft: 1, hard: 1}]' true
    refused MOOD
}

@test "a class of service where resctrl is not mounted is refused with the fix" {
    [ "$(stat -f -c %t /sys/fs/resctrl 2>/dev/null)" != 7655821 ] || skip "resctrl is mounted here"
    not_runc "is another's text"
    bundle '.linux.intelRdt = {closID: "x"}' true
    refused linux.intelRdt
    contains "$stderr" resctrl
    bundle '.linux.intelRdt = {memBwSchema: "L3:0=1"}' true
    refused linux.intelRdt.memBwSchema
}

@test "AppArmor and SELinux where they are not available are refused by name" {
    [ ! -e /sys/kernel/security/apparmor/profiles ] || not_runc "AppArmor is here"
    bundle '.process.apparmorProfile = "jobs"' true
    try
    [ "$status" -ne 0 ]
    contains "${stderr,,}" apparmor
    bundle '.process.selinuxLabel = "system_u:system_r:container_t:s0"' true
    try
    [ "$status" -ne 0 ]
    contains "${stderr,,}" selinux
    nothing_left
}

@test "data of a file system on a bind mount is refused" {
    not_runc "1.1 ignores it"
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp; ["rbind", "size=1m"])]' true
    refused size=1m mounts
}

@test "a mount whose source is not there is refused by name" {
    bundle '.mounts += [mount("/mnt"; "bind"; "/no/source"; ["rbind"])]' true
    refused /no/source
}

@test "a mount of an unknown file system is refused by name" {
    bundle '.mounts += [mount("/mnt"; "nosuchfs"; "x"; [])]' true
    try
    [ "$status" -ne 0 ]
    contains "${stderr,,}" "no such device"
    nothing_left
}

@test "a failure half way leaves nothing" {
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "x"; ["size=nonsense"])]' true
    refused
}

# bats test_tags=smoke
@test "an error in --log with --log-format json is one object with level, msg and time" {
    bundle . no-such-program
    run --separate-stderr "$runtime" --root "$root" --log "$BATS_TEST_TMPDIR/log" --log-format=json \
        run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ]
    contains "$stderr" no-such-program # engines fall back on it
    [ -n "$("$runtime" --version | grep '^runc')" ] || equals "$(wc -l <"$BATS_TEST_TMPDIR/log")" 1
    tail -n 1 "$BATS_TEST_TMPDIR/log" | jq -e '.level == "error"
        and (.msg | contains("executable file not found in $PATH"))
        and (.time | test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\\.[0-9]+)?(Z|[+-][0-9:]{5})$"))'
}

@test "warnings stay out of a JSON log" {
    bundle '.process.capabilities.bounding += ["CAP_FLY"]' no-such-program
    run "$runtime" --root "$root" --log "$BATS_TEST_TMPDIR/log" --log-format json run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ]
    [ -n "$("$runtime" --version | grep '^runc')" ] || equals "$(jq -s length "$BATS_TEST_TMPDIR/log")" 1
}

@test "a JSON log has the warnings of what went well, and the container's standard error has not" {
    not_runc "1.1 warns of nothing"
    bundle '.process.capabilities.bounding += ["CAP_FLY"]' sh -c 'echo err >&2'
    run --separate-stderr rt --log "$BATS_TEST_TMPDIR/log" --log-format json run --bundle "$bundle" "$id"
    equals "$status" 0
    equals "$stderr" err
    equals "$(jq -r .level "$BATS_TEST_TMPDIR/log")" warning
    contains "$(jq -r .msg "$BATS_TEST_TMPDIR/log")" CAP_FLY
}

@test "a mistake in the options before the verb is an object in a JSON log" {
    not_runc "it has no --cgroup-manager"
    for word in --cgroup-manager=x --no-such-option; do
        run rt --log "$BATS_TEST_TMPDIR/log" --log-format json "$word" state nobody
        equals "$status" 1
        equals "$(tail -n 1 "$BATS_TEST_TMPDIR/log" | jq -r .level)" error
    done
}

@test "a log is appended to" {
    echo before >"$BATS_TEST_TMPDIR/log"
    run rt --log "$BATS_TEST_TMPDIR/log" state nobody
    equals "$status" 1
    equals "$(head -n 1 "$BATS_TEST_TMPDIR/log")" before
    contains "$(tail -n 1 "$BATS_TEST_TMPDIR/log")" "does not exist"
}

@test "a success writes no log" {
    bundle . true
    rt --log "$BATS_TEST_TMPDIR/log" --log-format json run --bundle "$bundle" "$id"
    [ ! -s "$BATS_TEST_TMPDIR/log" ]
    [ -d "$root" ]
}

@test "a log format that is none is refused" {
    run rt --log-format yaml state nobody
    equals "$status" 1
    contains "$output" yaml
}
