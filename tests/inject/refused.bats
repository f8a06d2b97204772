#!/usr/bin/env bats
# System calls that a kernel does not have (ENOSYS) or that a filter around joblet-run refuses
# (EPERM), one by one: the container is the same without the call, or it is not made and joblet-run
# says what it lacks. Nothing is weaker in silence, nothing is left.

load lib.bash

setup_file() { inject_file_setup; }
setup() { inject_setup; }
teardown() {
    rt delete --force "$id" >/dev/null 2>&1
    inject_teardown
}

# CALL ERRNO WHAT: `same`, or words of the error. 38 is ENOSYS, 1 EPERM; - is both. The last four
# columns are run; create, start, kill, delete; exec; and pause, resume, update, gc.
table() {
    cat <<'TABLE'
openat2           | -  | openat2:               | openat2:               | process.cwd           | same
clone3            | -  | clone3:                | clone3:                | clone3                | same
open_tree         | -  | clone the mount tree   | clone the mount tree   | same                  | same
move_mount        | -  | root.path: attach      | root.path: attach      | same                  | same
fsopen            | -  | fsopen                 | fsopen                 | same                  | same
fsconfig          | -  | fsconfig               | fsconfig               | same                  | same
fsmount           | -  | fsmount                | fsmount                | same                  | same
mount_setattr     | -  | from the host's mounts | from the host's mounts | same                  | same
pidfd_open        | -  | same                   | kill container         | pidfd_open            | same
pidfd_send_signal | -  | same                   | send signal            | same                  | same
pidfd_getfd       | -  | same                   | same                   | same                  | same
close_range       | -  | close_range            | close_range            | close_range           | same
memfd_create      | -  | same                   | same                   | same                  | same
statx             | -  | same                   | same                   | same                  | same
faccessat2        | 38 | same                   | same                   | same                  | same
pivot_root        | -  | pivot_root             | pivot_root             | same                  | same
keyctl            | -  | keyring                | keyring                | keyring               | same
bpf               | -  | same                   | same                   | same                  | same
execveat          | -  | execveat               | execveat               | execveat              | same
waitid            | -  | same                   | same                   | same                  | same
signalfd4         | 38 | signalfd?              | same                   | signalfd?             | same
signalfd4         | 1  | signalfd               | same                   | signalfd              | same
prctl:0=38        | -  | noNewPrivileges        | noNewPrivileges        | noNewPrivileges       | same
prctl:0=24        | -  | bounding               | bounding               | bounding              | same
prctl:0=8         | -  | keep the capabilities  | keep the capabilities  | keep the capabilities | same
prctl:0=36        | -  | reaper                 | same                   | same                  | same
capset            | -  | capset                 | capset                 | capset                | same
setsid            | -  | setsid                 | setsid                 | setsid                | same
flock             | -  | flock                  | flock                  | same                  | flock
umount2           | -  | umount2                | umount2                | same                  | same
TABLE
}

refused() { timeout 100 "$tools/refuse" "$errno" "$call" "$runtime" --root "$root" "$@" </dev/null 3>&- 4>&-; }

# verdict WANTED STATUS OWN: what a way of use has come to; OWN is joblet-run's own failure.
verdict() {
    local wanted=$1 code=$2 own=$3
    case $wanted in
    same) [ "$code" = 7 ] && cmp "$work/expected" "$work/out" ;;
    keyring) [ "$code" = 7 ] && ! diff "$work/expected" "$work/out" | grep '^>' | grep -qvx '> keyring none' ;;
    # one C library has another way, one has none
    *\?) verdict same "$code" "$own" >/dev/null 2>&1 || verdict "${wanted%?}" "$code" "$own" ;;
    # (exec notices only when it waits for the program that it can't, and ends it)
    *)
        [ "$code" = "$own" ] && grep -qF -- "$wanted" "$work/err" &&
            { [ "$own" = 255 ] || [ ! -s "$work/out" ]; }
        ;;
    esac && return 0
    echo "$call refused with $errno: expected '$wanted', got status $code: $(head -n 2 "$work/err")"
    return 1
}

# Each line of the table through a function that sets `code`, with its column of words.
each() { # COLUMN OWN FUNCTION
    local call errnos words bad=0 errno code
    while IFS='|' read -r call errnos words; do
        [ "$errnos" != - ] || errnos="38 1"
        for errno in $errnos; do
            : >"$work/out" >"$work/err"
            code=
            "$3" >"$work/out" 2>"$work/err"
            verdict "$words" "$code" "$2" || bad=1
            rt delete --force "$id" >/dev/null 2>&1
            [ -z "$(cgroup_dirs)$(ls -A "$root")" ] || { echo "$call: something is left"; bad=1; }
        done
    done < <(table | awk -F ' *[|] *' -v c="$1" '{ print $1 "|" $2 "|" $(2 + c) }')
    return $bad
}

use_run() {
    refused run --bundle "$bundle" "$id" && code=0 || code=$?
}

# A life without exec; 7 stands for one that was good from its beginning to its end.
use_steps() {
    refused create --bundle "$bundle" "$id" && refused start "$id" || { code=$?; return; }
    until_true said "end" 2>/dev/null
    refused kill "$id" KILL && refused delete --force "$id" || { code=$?; : >"$work/out"; return; }
    code=7
}

use_exec() {
    rt run --detach --bundle "$bundle" "$id" </dev/null >/dev/null 2>&1
    refused exec "$id" /probe && code=0 || code=$?
}

# What changes a container that runs; its status and limit afterwards are what is compared.
use_changes() {
    rt run --detach --bundle "$bundle" "$id" </dev/null >/dev/null 2>&1
    refused pause "$id" && rt state "$id" | grep status || { code=$?; : >"$work/out"; return; }
    refused resume "$id" && refused update --pids-limit 40 "$id" || { code=$?; : >"$work/out"; return; }
    rt state "$id" | grep status
    cgroup_file pids pids.max
    refused gc --older-than 0s || { code=$?; : >"$work/out"; return; }
    echo end
    code=7
}

expected() { # FUNCTION: with a filter that refuses what nobody calls
    local call=chmod errno=38 code
    : >"$work/err"
    "$1" >"$work/expected" 2>"$work/err"
    grep -qx end "$work/expected" || { cat "$work/err"; return 1; }
    rt delete --force "$id" >/dev/null 2>&1
}

@test "run without a system call" {
    probe_bundle .
    expected use_run
    each 1 1 use_run
}

@test "create, start, kill and delete without a system call" {
    probe_bundle . wait
    said() { grep -qx "$1" "$work/out" "$work/expected" 2>/dev/null; }
    expected use_steps
    said() { grep -qx "$1" "$work/out"; }
    each 2 1 use_steps
}

@test "exec without a system call" {
    probe_bundle . wait
    expected use_exec
    each 3 255 use_exec
}

@test "pause, resume, update and gc without a system call" {
    probe_bundle . wait
    expected use_changes
    each 4 1 use_changes
}
