#!/usr/bin/env bats
# Terminals: handed over by a console socket, or the caller's own in the foreground.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() {
    job_setup
    socket=$BATS_TEST_TMPDIR/tty.sock
    said=$BATS_TEST_TMPDIR/tty
}
teardown() { job_teardown; }

terminal='.process.terminal = true'

# console [INPUT [AFTER]]: an engine's end of the console socket, waiting.
console() {
    $py "$here/console.py" "$socket" "$said" "$@" </dev/null >/dev/null 2>&1 3>&- &
    pids+=($!)
    until_true test -S "$socket"
}
tty_said() { grep -qF -- "$1" "$said" 2>/dev/null; }

# on_terminal COMMAND...: its output on a terminal of 33 rows and 77 columns in $output.
on_terminal() { run $py "$here/ontty.py" 33x77 "$@"; }

# bats test_tags=smoke
@test "create hands a terminal to the console socket" {
    bundle "$terminal" sh -c 'echo hello; tty; tty <&2'
    console
    create --console-socket "$socket"
    rt start "$id"
    until_true tty_said hello
    until_true is_status stopped
    equals "$(tr -d '\r' <"$said" | xargs)" "hello /dev/pts/0 /dev/pts/0"
    equals "$(cat "$said.message")" 1
}

@test "the container's terminal leaves newlines as they are" {
    not_runc "1.1.5 does so in the foreground alone"
    bundle "$terminal" sh -c 'printf "one\ntwo\n"; stty -a 2>/dev/null | grep -o -e "-onlcr"'
    console
    create --console-socket "$socket"
    rt start "$id"
    until_true is_status stopped
    until_true tty_said onlcr
    equals "$(cat "$said")" "one
two
-onlcr"
    # and who sits at a terminal sees lines that begin at the left all the same
    rt delete "$id"
    script -qefc "$runtime --root $root run --bundle $bundle $id" "$BATS_TEST_TMPDIR/typescript" </dev/null >/dev/null
    grep -q $'^one\r$' "$BATS_TEST_TMPDIR/typescript"
}

@test "run --detach hands a terminal to the console socket" {
    bundle "$terminal" sh -c 'echo hello; sleep 1000'
    console
    detach --console-socket "$socket"
    until_true tty_said hello
}

@test "what is typed reaches the program" {
    bundle "$terminal" sh -c 'read -r line; echo "<$line>"'
    console $'some text\n'
    detach --console-socket "$socket"
    until_true tty_said "<some text>"
}

@test "an interrupt that is typed reaches the program" {
    bundle "$terminal" sh -c 'trap "echo interrupted; exit" INT; echo ready; while :; do sleep 0.05; done'
    console $'\003' ready
    detach --console-socket "$socket"
    until_true tty_said interrupted
}

@test "the terminal has the size of consoleSize" {
    bundle "$terminal"' | .process.consoleSize = {height: 40, width: 132}' stty size
    console
    detach --console-socket "$socket"
    until_true tty_said "40 132"
}

@test "the terminal is the program's controlling terminal" {
    bundle "$terminal" sh -c 'echo through >/dev/tty; ps -o pid,tty | grep "^ *1 "'
    console
    detach --console-socket "$socket"
    until_true tty_said through
    until_true tty_said "136,0"
}

@test "/dev/console is the terminal" {
    bundle "$terminal" sh -c 'echo through >/dev/console; stat -c %t:%T /dev/console'
    console
    detach --console-socket "$socket"
    until_true tty_said through
    until_true tty_said "88:0"
}

@test "the terminal belongs to the program's user" {
    bundle "$terminal"' | .process.user = {uid: 1000, gid: 1000}' sh -c 'stat -c "owner %u" /dev/pts/0; echo x >/dev/pts/0'
    console
    detach --console-socket "$socket"
    until_true tty_said "owner 1000"
}

@test "a terminal works in a user namespace" {
    bundle "userns | $terminal" sh -c 'tty; echo through >/dev/console'
    console
    detach --console-socket "$socket"
    until_true tty_said /dev/pts/0
    until_true tty_said through
}

@test "standard error is the terminal too" {
    bundle "$terminal" sh -c 'echo on-err >&2'
    console
    detach --console-socket "$socket"
    until_true tty_said on-err
    equals "$(err)" ""
}

@test "the terminal is left when the program is killed" {
    bundle "$terminal" sh -c 'echo ready; sleep 1000'
    console
    detach --console-socket "$socket"
    until_true tty_said ready
    rt kill "$id" KILL
    until_true has_ended "${pids[0]}" # it read to the end
}

@test "a detached terminal without a console socket is refused" {
    bundle "$terminal" true
    run create
    [ "$status" -ne 0 ]
    contains "$(err)" "console"
    nothing_left
}

@test "a console socket without a terminal is refused" {
    bundle . true
    console
    run create --console-socket "$socket"
    [ "$status" -ne 0 ]
    contains "$(err)" "console"
    nothing_left
}

@test "a console socket that is not there is refused by name" {
    bundle "$terminal" true
    run create --console-socket "$BATS_TEST_TMPDIR/nowhere"
    [ "$status" -ne 0 ]
    contains "$(err)" nowhere
    nothing_left
}

@test "run in the foreground gives the program a terminal of its own" {
    bundle "$terminal" sh -c 'tty; echo hello'
    on_terminal "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$status" 0
    equals "$output" $'/dev/pts/0\nhello'
    nothing_left
}

@test "run in the foreground on a terminal gives the program's exit code" {
    bundle "$terminal" sh -c 'exit 9'
    on_terminal "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$status" 9
}

@test "run in the foreground works under script" {
    bundle "$terminal" sh -c 'tty; exit 9'
    printf '%q ' "$runtime" --root "$root" run --bundle "$bundle" "$id" >"$BATS_TEST_TMPDIR/command"
    run script -qefc "sh $BATS_TEST_TMPDIR/command" /dev/null
    equals "$status" 9
    contains "$output" /dev/pts/0
}

@test "run in the foreground passes the size of its terminal on" {
    not_runc "1.1 sets the size late"
    bundle "$terminal" stty size
    on_terminal "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$output" "33 77"
}

@test "run in the foreground leaves its terminal as it was" {
    bundle "$terminal" echo ran
    on_terminal sh -c 'stty -a >"$0.1"; "$@"; stty -a >"$0.2"' "$BATS_TEST_TMPDIR/stty" \
        "$runtime" --root "$root" run --bundle "$bundle" "$id"
    [ -s "$BATS_TEST_TMPDIR/stty.1" ]
    equals "$(cat "$BATS_TEST_TMPDIR/stty.2")" "$(cat "$BATS_TEST_TMPDIR/stty.1")"
    equals "$output" ran
}

@test "all of a long output comes through a foreground terminal" {
    bundle "$terminal" sh -c 'seq 20000; echo end'
    on_terminal "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$(sha256sum <<<"$output")" "$(sha256sum <<<"$(seq 20000; echo end)")"
}

@test "what is typed at a foreground terminal reaches the program" {
    bundle "$terminal" sh -c 'read -r line; echo "<$line>"'
    # the shell's terminal is fed from inside
    run bash -c 'echo typed | script -qefc "sh $0" /dev/null' <(printf '%q ' "$runtime" --root "$root" run --bundle "$bundle" "$id")
    contains "$output" "<typed>"
}

@test "a terminal of the caller's is not the container's without process.terminal" {
    bundle . sh -c 'tty; echo x >/dev/tty'
    on_terminal "$runtime" --root "$root" run --bundle "$bundle" "$id"
    contains "$output" "can't create /dev/tty"
}
