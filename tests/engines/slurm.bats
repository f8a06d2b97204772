#!/usr/bin/env bats
# Slurm's srun --container with joblet-run: contrib/engines/oci.conf, Debian's slurmctld, slurmd and munge.

load lib.bash

setup_file() {
    machine_up slurmctld slurmd munged srun
    slurm_up
    make_bundle "$dir/bundle" .
    make_bundle "$dir/worker" '.linux.namespaces += [{type: "user"}]
        | .linux.uidMappings = [{containerID: 0, hostID: 7000, size: 1}]
        | .linux.gidMappings = [{containerID: 0, hostID: 7000, size: 1}]'
}
teardown_file() { machine_down; }
teardown() {
    inside scancel --me >/dev/null 2>&1
    until_true eval '[ -z "$(inside squeue --noheader)" ]'
}

job() { inside srun --quiet --immediate=100 "$@"; }
worker() { inside setpriv --reuid worker --regid worker --init-groups "$@"; }
# No container, hence no state, is left in a user's directory.
nothing_left() { [ -z "$(inside ls -A "/run/joblet-slurm/$1" 2>/dev/null)" ]; }

@test "srun --container: output, exit code, standard input" {
    run -7 --separate-stderr job --container "$dir/bundle" sh -c 'cat /data/file; echo err >&2; exit 7'
    equals "$output" data
    contains "$stderr" err
    equals "$(echo input | job --container "$dir/bundle" cat)" input
    until_true nothing_left root
}

@test "srun --container: a command that is not found" {
    run -1 job --container "$dir/bundle" no-such-command
    contains "$output" "executable file not found"
    until_true nothing_left root
}

@test "srun --container on a terminal" {
    [ -z "${ENGINE_RUNTIME-}" ] || skip "runc: fails"
    contains "$(on_terminal srun --quiet --pty --container "$dir/bundle" sh -c 'test -t 0 && echo a terminal')" "a terminal"
}

@test "scancel: TERM reaches the command" {
    job --job-name mine --container "$dir/bundle" sh -c "$patient" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
    until_true grep -q up "$BATS_TEST_TMPDIR/out"
    inside scancel --name mine
    until_true gone $!
    contains "$(cat "$BATS_TEST_TMPDIR/out")" bye
    until_true nothing_left root
}

@test "a time limit, or scancel, ends what ignores TERM" {
    job --job-name mine --container "$dir/bundle" sh -c 'trap "" TERM; echo up; sleep 4324; sleep 4324' >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
    until_true grep -q up "$BATS_TEST_TMPDIR/out"
    inside scancel --name mine
    until_true eval '! inside pgrep -f "^sleep 4324" >/dev/null'
    until_true nothing_left root
}

@test "sbatch --container: a batch script" {
    printf '#!/bin/sh\necho batch $$; id -u; exit 6\n' >"$dir/job.sh"
    run -6 inside sbatch --wait --quiet --container "$dir/bundle" --output "$dir/batch.out" "$dir/job.sh"
    contains "$(cat "$dir/batch.out")" $'batch 1\n0'
    until_true nothing_left root
}

@test "srun --container: an unprivileged user" {
    run -4 --separate-stderr worker srun --quiet --container "$dir/worker" sh -c 'id -u; cat /proc/self/uid_map; exit 4'
    equals "${lines[0]}" 0
    equals "$(echo ${lines[1]})" "0 7000 1"
    until_true nothing_left worker
}

@test "scancel: an unprivileged user's container" {
    worker srun --quiet --job-name mine --container "$dir/worker" sh -c 'trap "" TERM; echo up; sleep 4325; sleep 4325' >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
    until_true grep -q up "$BATS_TEST_TMPDIR/out"
    inside scancel --name mine
    until_true eval '! inside pgrep -f "^sleep 4325" >/dev/null'
    until_true nothing_left worker
}
