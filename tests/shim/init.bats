#!/usr/bin/env bats
# joblet-init: finding the command, passing on signals, reaping, the words for what fails.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
teardown() { job_teardown; }

# file NAME MODE: a file of standard input in the job's work directory
file() {
    cat >"$ROOTFS/work/$1"
    chmod "$2" "$ROOTFS/work/$1"
}

outcome() { echo "$(record value) $(job_log)"; }

@test "a bare name comes from PATH first, then from the work directory" {
    printf '#!/bin/sh\necho mine\n' | file hello 755
    printf '#!/bin/sh\necho not mine\n' | file echo 755
    bundle hello
    run_job
    [ "$(outcome)" = "0 mine" ]
    bundle echo from PATH
    run_job
    [ "$(outcome)" = "0 from PATH" ]
    JQ='.process.env = ["PATH=/none:/tmp"]' bundle echo
    run_job
    [ "$(outcome)" = "0 not mine" ]
    JQ='.process.env = []' bundle sleep 0 # no PATH at all: the usual one
    run_job
    [ "$(outcome)" = "0 " ]
}

@test "a name with a slash is taken as it is" {
    printf '#!/bin/sh\necho "$0 $# $1"\n' | file script 755
    bundle ./script "a b" c
    run_job
    [ "$(outcome)" = "0 ./script 2 a b" ]
    bundle ./none
    run_job
    [ "$(outcome)" = "127 joblet: command not found: ./none" ]
    bundle ./script/none
    run_job
    [ "$(outcome)" = "127 joblet: command not found: ./script/none" ]
    bundle ""
    run_job
    [ "$(outcome)" = "127 joblet: command not found: " ]
}

@test "a script runs even if its x bit was lost" {
    printf '#! /bin/sh -e  \necho "ran $1"; false; echo no\n' | file lost 644
    bundle lost one
    run_job
    [ "$(outcome)" = "1 ran one" ]
    printf '#!/bin/busybox sh\necho "$0 $*"\n' | file arg 600
    bundle ./arg one two
    run_job
    [ "$(outcome)" = "0 ./arg one two" ]
    printf '#!/bin/none\n' | file no-interpreter 644
    bundle no-interpreter
    run_job
    [ "$(outcome)" = "127 joblet: cannot run './no-interpreter': its interpreter cannot be executed: /bin/none" ]
}

@test "why a file that is there cannot be run" {
    printf '#!/bin/none -x\n' | file shebang 755
    bundle ./shebang
    run_job
    [ "$(outcome)" = "127 joblet: cannot run './shebang': its interpreter is not there: /bin/none" ]
    cp /bin/true "$ROOTFS/work/dynamic"
    bundle ./dynamic
    run_job
    [ "$(outcome)" = "127 joblet: cannot run './dynamic': the dynamic loader that it was linked for is not there" ]
    echo text | file text 644
    bundle ./text
    run_job
    [[ $(outcome) == "126 joblet: cannot run './text': permission denied"* ]]
    echo text | file noexec 755
    bundle noexec
    run_job
    [[ $(outcome) == "126 joblet: cannot run './noexec': not a program for this machine"* ]]
    bundle /work
    run_job
    [ "$(outcome)" = "126 joblet: cannot run '/work': is a directory" ]
    printf '#!' | file short 644
    bundle ./short
    run_job
    [ "$(record value)" = 126 ]
    printf '#!   \n' | file blank 755
    bundle ./blank
    run_job
    [ "$(record value)" = 126 ] || [ "$(record value)" = 127 ]
}

@test "it ends with the command, whatever else still runs" {
    bundle sh -c 'sleep 600 & (setsid sleep 600 &); exit 12'
    run_job
    [ "$(record value)" = 12 ]
    nothing_left
}

@test "a thousand orphans leave no zombie" {
    bundle sh -c 'i=0; while [ $i -lt 1000 ]; do (true &) ; i=$((i + 1)); done
        n=1; tries=0
        while [ $n -gt 0 ] && [ $tries -lt 3000 ]; do
            n=$(grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null | wc -l)
            tries=$((tries + 1))
            [ $n -eq 0 ] || sleep 0.02
        done
        echo zombies $n; exit 0'
    run_job
    [ "$(job_log stdout)" = "zombies 0" ]
}

@test "signals that the runtime sends to PID 1 are passed on to the command's group" {
    bundle sh -c 'trap "echo got HUP" HUP; trap "echo got USR2; exit 0" USR2; echo ready
        while :; do sleep 0.05; done'
    start
    until_true grep -q ready "$dir/log/output.0.log"
    "$runtime" --root "$dir/root" kill "$id" HUP
    until_true grep -q HUP "$dir/log/output.0.log"
    "$runtime" --root "$dir/root" kill "$id" USR2
    ended
    [ "$(job_log stdout | tr '\n' ' ')" = "ready got HUP got USR2 " ]
}

@test "the command starts with default signals and none blocked" {
    bundle sh -c 'grep -E "^Sig(Blk|Ign)" /proc/self/status | tr -d "\n\t"; cat /proc/$$/stat | cut -d" " -f1,5'
    run_job
    job_log stdout | grep -qE '^SigBlk:0{16}SigIgn:0{16}([0-9]+) \1$' # a group of its own
}

@test "the job can neither trace PID 1 nor write its memory" {
    # the same check of the kernel guards ptrace, /proc/PID/mem and the links below /proc/PID
    bundle sh -c 'for p in 1 $$; do
            (: <>/proc/$p/mem) 2>/dev/null && echo mem || echo no
            readlink /proc/$p/exe >/dev/null && echo exe || echo no
        done'
    run_job
    [ "$(job_log stdout | tr '\n' ' ')" = "no no mem exe " ] # of itself it can
}

@test "in a terminal the command has the foreground" {
    JQ='.process.terminal = true' bundle sh -c 'cut -d" " -f5,8 /proc/$$/stat; stty size >/dev/null && echo ok'
    run_job --terminal
    [ "$(job_log stdout | head -1 | tr ' ' '\n' | sort -u | wc -l)" = 1 ]
    [ "$(job_log stdout | tail -1)" = ok ]
}

# The same job with joblet-init's words for the shim.
reporting() {
    JQ='.process.args |= .[:1] + ["--report"] + .[1:]' bundle "$@"
    run_job --init-report
}

@test "it tells the shim of a signal, or of why there is no command, and the record has it" {
    reporting sh -c 'kill -SEGV $$'
    [ "$(record kind) $(record value)" = "signal 11" ]
    reporting sh -c 'kill -9 $$'
    [ "$(record kind) $(record value)" = "signal 9" ]
    reporting sh -c 'exit 139'
    [ "$(record kind) $(record value)" = "code 139" ]
    reporting nosuch
    [ "$(record kind) $(record value) $(record error_text)" = "start-error 127 command not found: nosuch" ]
    [ "$(job_log)" = "joblet: command not found: nosuch" ]
    reporting /work
    [ "$(record kind) $(record value) $(record error_text)" = "start-error 126 cannot run '/work': is a directory" ]
    reporting sh -c nosuch
    [ "$(record kind) $(record value)" = "code 127" ]
}

@test "... the command has no hand in it, and a bundle that asks for it runs without a shim" {
    reporting sh -c 'echo $(ls /proc/self/fd); (echo "signal 11" >/proc/1/fd/3) && echo taken; exit 139'
    [ "$(record kind)" = code ]
    [ "$(job_log stdout)" = "0 1 2 3" ] # 3 is ls's own
    # words of a job that has taken the pipe all the same count only where they agree with the code
    JQ='.process.args = ["/bin/sh", "-c", "printf \"signal 11\" >&3; exit 0"]' bundle
    run_job --init-report
    [ "$(record kind) $(record value)" = "code 0" ]
    JQ='.process.args |= .[:1] + ["--report"] + .[1:]' bundle sh -c 'exit 3'
    run_job
    [ "$(record kind) $(record value)" = "code 3" ]
}

@test "a bare name that is in no other place comes from the top of a volume" {
    mkdir -p "$ROOTFS"/volumes/{a,b}
    printf '#!/bin/sh\necho from b\n' >"$ROOTFS/volumes/b/mine"
    chmod 755 "$ROOTFS/volumes/b/mine"
    bundle mine
    run_job
    [ "$(outcome)" = "0 from b" ]
    printf '#!/bin/sh\necho from a\n' >"$ROOTFS/volumes/a/mine"
    bundle mine # without its x bit, as elsewhere
    run_job
    [ "$(outcome)" = "0 from a" ]
    bundle nobodys
    run_job
    [ "$(outcome)" = "127 joblet: command not found: nobodys" ]
    rm -r "$ROOTFS/volumes"
}

@test "wrong use is 125" {
    local args
    for args in "" "--" "sh -c true"; do
        # shellcheck disable=SC2086 # words on purpose
        run "$init" $args
        [ "$status" = 125 ]
        [[ $output == "joblet: usage: joblet-init [--report] [--chdir DIR] -- COMMAND"* ]]
    done
    run "$init" -- sh -c 'exit 9' # outside of a job as well
    [ "$status" = 9 ]
}
