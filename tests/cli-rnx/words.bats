#!/usr/bin/env bats
# rnx without a server: help, refusals, configuration, nodes.

bats_require_minimum_version 1.5.0

setup() {
    load helper
    load_common
    make_instance
}

@test "rnx alone and help list the commands; each command has help" {
    run "$rnx"
    expect 0 "job run"
    run "$rnx" help
    expect 0 "config-help"
    for c in "job run" "job list" "job status" "job log" "job stop" nodes version config-help completion help; do
        # shellcheck disable=SC2086
        run "$rnx" help $c
        expect 0 "Usage: rnx $c"
        # shellcheck disable=SC2086
        run "$rnx" $c --help
        expect 0 "Usage: rnx $c"
    done
    run "$rnx" run -h
    expect 0 "or: rnx run" "--max-memory=N"
    run "$rnx" job
    expect 0 "job status"
    run "$rnx" job --help
    expect 0
    for c in "monitor --help" "help monitor"; do
        # shellcheck disable=SC2086
        run "$rnx" $c
        expect 0 "Usage: rnx monitor [command]" "monitor status  " "monitor top  " "monitor watch  "
    done
}

@test "help and rnx(1) name all commands that need no job before them" {
    "$rnx" help job | sed -n 's/^  job \([a-z-]*\) .*/\1/p' >names
    [ "$(wc -l <names)" -ge 9 ]
    alone=$("$rnx" help | sed -n '/^These need no "job"/,/^$/p')
    manual=$(sed -n 's/\\f[BR]//g; s/\\-/-/g; /^run, /p' "${rnx%/*}/docs/man/rnx.1" | tr -d ,)
    while read -r c; do
        [[ $("$rnx" help job "$c") == *"or: rnx $c"* ]] || continue
        [[ " $alone " == *" $c"[[:space:]]* ]] || { echo "help: $c"; false; }
        [[ " $manual " == *" $c "* ]] || { echo "rnx(1): $c"; false; }
    done <names
}

@test "--version among a command's flags is the version" {
    for c in "job list -v" "list --version" "job -v list" "job run -v true" "version -v"; do
        # shellcheck disable=SC2086
        run "$rnx" $c
        expect 0 "rnx    0."
    done
    run "$rnx" --json list -v
    [ "$(jq 'has("version")' <<<"$output")" = true ]
    run "$rnx" --config "$conf" run -- -v # the job's
    expect 1
}

@test "networks: what is reserved, or has no addresses, is refused before a server is asked" {
    for c in "network create" "network list" "network remove"; do
        # shellcheck disable=SC2086
        run "$rnx" $c --help
        expect 0 "Usage: rnx $c"
    done
    run "$rnx" network create bridge --cidr=10.1.0.0/24
    expect 2 "'bridge' is reserved"
    run "$rnx" network create lab
    expect 2 "needs --cidr"
    run "$rnx" network remove
    expect 2 "takes the name of one network"
    run "$rnx" network list lab
    expect 2 "takes no words"
}

@test "an unknown command or flag is a usage error and names the word" {
    run "$rnx" sing
    expect 2 "Error: unknown command: sing"
    run "$rnx" job sing
    expect 2 "unknown command: job sing"
    run "$rnx" help sing
    expect 2
    run "$rnx" --sing list
    expect 2 "unknown flag: --sing"
    run "$rnx" job run --max-cpus=5 true
    expect 2 "unknown flag: --max-cpus"
    run "$rnx" job run -z true
    expect 2 "unknown flag: -z"
    run "$rnx" list -fx
    expect 2 "unknown flag"
}

@test "commands that are not built yet are known and say so" {
    "$rnx" help | sed -n '/^Not built yet/,/^$/p' | tail -n +2 | tr ',' '\n' | sed 's/^ *//; /^$/d' >absent
    while read -r c; do
        # shellcheck disable=SC2086
        run "$rnx" --config "$conf" $c x
        expect 1 "not built yet"
        hasnt "unknown"
    done <absent
    run "$rnx" --config "$conf" run --workflow=x.yml
    expect 1 "not built yet"
    run "$rnx" --config "$conf" list --workflow
    expect 1 "not built yet"
    run "$rnx" help workflow run
    expect 0 "Not built yet"
}

@test "errors are one line on standard error" {
    "$rnx" list >out 2>err || true
    [ ! -s out ]
    [ "$(wc -l <err)" -eq 1 ]
    grep -q '^Error: no client configuration was found.*rnx config-help' err
}

@test "without a configuration: exit 1 for what needs a server, 0 for what does not" {
    for c in "list" "status abcd" "log abcd" "stop abcd" "run true" nodes; do
        # shellcheck disable=SC2086
        run "$rnx" $c
        expect 1 "no client configuration was found" "config-help"
    done
    run "$rnx" version
    expect 0 "rnx    0."
    run "$rnx" --version
    expect 0
    run "$rnx" config-help
    expect 0 "nodes:" "~/.rnx/rnx-config.yml" "scp server:"
    run "$rnx" completion bash
    expect 0
}

@test "the configuration is looked for in the documented order" {
    node() { "$rnx" "$@" nodes --json | jq -r '.[0].name'; }
    make() { mkdir -p "$(dirname "$1")" && printf 'nodes:\n  %s: {address: h}\n' "$2" >"$1" && chmod 600 "$1"; }
    make "$HOME/.rnx/rnx-config.yml" home
    [ "$(node)" = home ]
    make config/rnx-config.yml subdir
    [ "$(node)" = subdir ]
    make rnx-config.yml here
    [ "$(node)" = here ]
    make env.yml env
    RNX_CONFIG=env.yml run node
    [ "$output" = env ]
    RNX_CONFIG=missing.yml run node
    [ "$output" = here ]
    make flag.yml flag
    RNX_CONFIG=env.yml run node --config=flag.yml
    [ "$output" = flag ]
    run "$rnx" --config=missing.yml nodes
    expect 1 "missing.yml"
}

@test "a bad configuration is refused with file and line" {
    printf 'nodes:\n  default:\n    adress: h\n' >c.yml
    run "$rnx" --config c.yml nodes
    expect 1 "c.yml:3:5: unknown key 'adress'" "address"
    printf 'nodes: {}\n' >c.yml
    run "$rnx" --config c.yml nodes
    expect 1 "no node"
    printf 'nodes:\n  a: {address: h}\n  a: {address: h}\n' >c.yml
    run "$rnx" --config c.yml nodes
    expect 1 "given twice"
    head -c 2000000 /dev/zero | tr '\0' '#' >c.yml
    run "$rnx" --config c.yml nodes
    expect 1 "larger than"
    run "$rnx" --config . nodes
    expect 1
}

@test "nodes: sorted, keys never shown, the default marked, problems named" {
    sed 's/^  default:/  zeta:/' "$conf" >two.yml
    sed -n '/^  default:/,$p' "$conf" >>two.yml
    printf '  broken:\n    address: "h:1"\n    cert: nonsense\n    key: nonsense\n    ca: nonsense\n' >>two.yml
    chmod 600 two.yml
    run "$rnx" --config two.yml nodes
    expect 0 "* default" "  zeta" "Cert:    ***"
    hasnt BEGIN
    run "$rnx" --config two.yml nodes --json
    expect 0
    hasnt BEGIN
    hasnt PRIVATE
    [ "$(jq -r '[.[].name] | join(" ")' <<<"$output")" = "broken default zeta" ]
    [ "$(jq -c '[.[].status]' <<<"$output")" = '["error","active","active"]' ]
    [ "$(jq -c '[.[].default]' <<<"$output")" = '[false,true,false]' ]
    [ "$(jq -r '.[1].key' <<<"$output")" = '***' ]
    certs_client_expired "$inst" admin old.yml
    run "$rnx" --config old.yml nodes
    has "expired at"
}

@test "unknown node, and what stands in the environment" {
    run "$rnx" --config "$conf" --node=nowhere list
    expect 1 "'nowhere' not found in configuration" "default"
    RNX_NODE=elsewhere run "$rnx" --config "$conf" list
    expect 1 "'elsewhere' not found in configuration"
    RNX_OUTPUT_FORMAT=xml run "$rnx" --config "$conf" nodes
    expect 2 "RNX_OUTPUT_FORMAT"
    RNX_OUTPUT_FORMAT=json run "$rnx" --config "$conf" nodes
    expect 0
    [ "${output:0:1}" = "[" ]
    RNX_TIMEOUT=soon run "$rnx" --config "$conf" list
    expect 2 "RNX_TIMEOUT"
    RNX_SERVER='a:b:c:' run "$rnx" --config "$conf" list
    expect 1 "RNX_SERVER"
}

@test "a server that is not there: exit 1, its address and what to do" {
    run "$rnx" --config "$conf" list
    expect 1 "127.0.0.1:" "refused" "daemon"
    RNX_SERVER=127.0.0.1:1 run "$rnx" --config "$conf" list
    expect 1 "127.0.0.1:1:"
    RNX_SERVER=127.0.0.1:1 run "$rnx" --config "$conf" run true # nothing has left
    expect 1 "refused" "is the joblet daemon running there"
    hasnt "may have been taken"
    run timeout 100 "$rnx" --config "$conf" log abcd1234 # it does not try for ever
    expect 1 "refused"
}

@test "a configuration that others can read is warned of" {
    cp "$conf" open.yml
    chmod 644 open.yml
    run "$rnx" --config open.yml list
    has "Warning: open.yml holds private keys"
    has "0644"
    chmod 640 open.yml
    run "$rnx" --config open.yml list
    hasnt Warning
}

@test "run: what is wrong with flags and values is said before anything is sent" {
    refused() {
        local want=$1
        shift
        run "$rnx" --config "$conf" run "$@"
        expect 2 "$want" || return 1
        hasnt "refused"
    }
    refused "a command" # none
    refused "a command" --
    refused "--max-cpu wants a whole number, got 'ten'" --max-cpu=ten true
    refused "--max-cpu=10001 is outside 0 to 10000" --max-cpu 10001 true
    refused "--max-memory=-1 is outside" --max-memory=-1 true
    refused "--max-memory needs a value" --max-memory
    refused "--cpu-cores wants" --cpu-cores=a-b true
    for t in soon 500ms 1500ms 0.5s 0 0s ""; do
        refused "--timeout wants whole seconds, such as 30s, 5m or 1h30m, got '$t'" --timeout="$t" true
    done
    refused "--timeout=9999999h is too large" --timeout=9999999h true
    for f in net-rx net-tx tmp-size gpu-memory; do # 0 would be no limit
        refused "--$f wants a size" "--$f=0.5" true
    done
    refused "--gpu-memory wants a size" --gpu-memory=512KB true
    refused "schedule 'never' is no time" --schedule=never true
    refused "is over since" --schedule=2001-01-01T00:00:00Z true
    refused "--env wants NAME=VALUE" --env=FOO true
    refused "--env wants NAME=VALUE, got 'true'" -e true
    refused "is no name of a variable" -e 1A=x true
    refused "is no name of a variable" -e =x true
    refused "by --env and by --secret-env" -e A=1 -s A=2 true
    refused "longer than 32768" -e "A=$(printf '%040000d' 0)" true
    run "$rnx" --config "$conf" run -s "1=hush-hush" true
    hasnt hush-hush
    refused "--env: the value of A is not UTF-8 (byte 3)" -e A=ab$'\xff'hush true
    refused "--secret-env: the value of B is not UTF-8 (byte 1)" -e A=é -s B=$'\xff'hush true
    hasnt hush
}

@test "run: uploads that cannot be are refused before anything is sent" {
    mkdir dir
    run "$rnx" --config "$conf" run --upload=dir true
    expect 1 "--upload-dir=dir" "is a directory"
    run "$rnx" --config "$conf" run --upload=missing true
    expect 1 "missing"
    hasnt "connect"
    echo >file
    run "$rnx" --config "$conf" run --upload-dir=file true
    expect 1 "--upload=file"
    mkfifo pipe
    run "$rnx" --config "$conf" run --upload=pipe true
    expect 1 "not a regular file"
    echo >dir/file
    run "$rnx" --config "$conf" run --upload=file --upload=dir/file true
    expect 1 "two uploads would be 'file'"
    echo >$'a\nb\033'
    run "$rnx" --config "$conf" run --upload=$'a\nb\033' true
    expect 1 "'a?b?' holds a control character"
    ln -s loop loop
    run "$rnx" --config "$conf" run --upload=loop true
    expect 1 "loop" "symbolic links"
    echo >etc
    run "$rnx" --config "$conf" run --upload=etc true
    expect 1 "'etc'"
    mkdir -p dir/etc
    run "$rnx" --config "$conf" run --upload-dir=dir true
    expect 1 "etc"
}

@test "status, log and stop want an id" {
    run "$rnx" --config "$conf" status
    expect 2 "wants one job id"
    run "$rnx" --config "$conf" log a b
    expect 2
    run "$rnx" --config "$conf" stop
    expect 2
    run "$rnx" --config "$conf" log --tail=0 abcd
    expect 2 "--tail"
    run "$rnx" --config "$conf" list extra
    expect 2 "extra"
}

@test "a list of nothing, or with nothing in it, is refused" {
    for list in "" , RUNNING, ,RUNNING; do
        run "$rnx" --config "$conf" list --status="$list"
        expect 2 "--status: '' is no state of a job"
    done
    for list in "" , cpu, ,cpu; do
        run "$rnx" --config "$conf" monitor top --filter="$list"
        expect 2 "--filter: '' is none of cpu"
        run "$rnx" --config "$conf" monitor watch --filter="$list"
        expect 2 "--filter: '' is none of cpu"
    done
}

@test "bash completes commands and flags" {
    "$rnx" completion bash >now
    bash -n now
    ask() { bash -c 'source now; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _rnx; echo "${COMPREPLY[@]}"' bash "$@"; }
    run ask rnx job run --max
    has "--max-cpu="
    has "--max-memory="
    run ask rnx st
    [ "$output" = "status stop" ]
    run ask rnx mon # a command and a group of one name
    [ "$output" = monitor ]
    # bash makes three words of --node=prod
    for flags in "--node prod" "--node = prod" "--json --config = c.yml" "--json = true"; do
        # shellcheck disable=SC2086
        run ask rnx $flags job st
        [ "$output" = "status stop" ]
        # shellcheck disable=SC2086
        run ask rnx job $flags st
        [ "$output" = "status stop" ]
    done
    run ask rnx --config j # a file
    [ "$output" = "" ]
    run ask rnx completion ""
    has "bash zsh fish"
    run ask rnx help st
    [ "$output" = "status stop" ]
    run ask rnx help job st
    [ "$output" = "status stop" ]
    run ask rnx help job run --max
    [ "$output" = "" ]
    # what follows the job's command is the job's
    for w in "run echo" "job run --max-cpu 5 echo" "run --env = A = 1 -e B = 2 -- echo" "run --" "--json run sh -c"; do
        # shellcheck disable=SC2086
        run ask rnx $w --
        [ "$output" = "" ] || { echo "$w: $output"; false; }
    done
    run ask rnx run --name echo --max # the value of a flag
    has "--max-cpu="
    run ask rnx log --tail "" # a number
    [ "$output" = "" ]
    run ask rnx log abcd --ta
    [ "$output" = "--tail=" ]
    run "$rnx" completion tcsh
    expect 2 "bash, zsh and fish"
}

@test "zsh completes commands and flags" {
    command -v zsh >/dev/null || skip "no zsh here"
    "$rnx" completion zsh >_rnx
    zsh -n _rnx
    ask() { zsh -fc 'compdef() { :; }; _files() { :; }; _describe() { for a in "$@"; do [[ $a == (commands|flags) ]] && print -l -- "${(@P)a}"; done; }
        source ./_rnx; words=("$@"); CURRENT=$#; _rnx' zsh "$@"; }
    run ask rnx --node prod x
    has "run:run a command on the server"
    has "job:a group of commands"
    run ask rnx job st
    has "delete-all:"
    hasnt "nodes:"
    run ask rnx job run --max
    has "--max-cpu=:"
    has "--secret-env=:"
    hasnt "--tail"
    run ask rnx ""
    [ "$(grep ^monitor: <<<"$output" | sort -u | wc -l)" -eq 1 ]
    for flag in "--node prod" --node=prod; do
        # shellcheck disable=SC2086
        run ask rnx $flag job st
        has "delete-all:"
        hasnt "nodes:"
    done
    run ask rnx help job st
    has "delete-all:"
    hasnt "nodes:"
    hasnt "--json"
    run ask rnx completion ""
    has fish
    for w in "run echo" "job run --max-cpu 5 echo" "run --env=A=1 -e B=2 -- echo" "run --"; do
        # shellcheck disable=SC2086
        run ask rnx $w --
        [ "$output" = "" ] || { echo "$w: $output"; false; }
    done
    run ask rnx run --name echo --max
    has "--max-cpu=:"
    # read from fpath by compinit, it completes at the first use too
    run zsh -fc 'fpath=($PWD $fpath); autoload -Uz compinit && compinit -D -u; _describe() { print $2; }; _files() { :; }
        words=(rnx ""); CURRENT=2; _rnx'
    has commands
}

@test "fish completes commands and flags" {
    command -v fish >/dev/null || skip "no fish here"
    "$rnx" completion fish >rnx.fish
    fish -n rnx.fish
    ask() { fish --no-config -c "source rnx.fish; complete -C '$1'"; }
    run ask "rnx "
    has "run"
    has "config-help"
    run ask "rnx job st"
    has "status"
    has "stop"
    run ask "rnx job run --max"
    has "--max-cpu"
    run ask "rnx log --ta"
    has "--tail"
    run ask "rnx list --ta"
    hasnt "--tail"
    run ask "rnx mon"
    [ "${#lines[@]}" -eq 1 ]
    for flag in "--node prod" --node=prod; do
        run ask "rnx $flag job st"
        has stop
        run ask "rnx job $flag log --ta"
        has "--tail"
    done
    run ask "rnx help st"
    has stop
    run ask "rnx help job st"
    has stop
    run ask "rnx completion "
    has zsh
    for w in "run echo" "job run --max-cpu 5 echo" "run --env=A=1 -e B=2 -- echo" "run --" "--json run sh -c"; do
        run ask "rnx $w --"
        hasnt "--json"
        hasnt "--max-cpu"
    done
    run ask "rnx run --name echo --max"
    has "--max-cpu"
    run ask "rnx list --js"
    has "--json"
}

# Each flag of a command is in its section of rnx(1), and none that is no command's any more.
@test "rnx(1) has a section for each command, with its flags and no others" {
    sed 's/\\-/-/g; s/\\f[BIR]//g' "${rnx%/*}/docs/man/rnx.1" >man
    "$rnx" help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\( [a-z-]*\)\{0,1\}\)  .*/\1/p' | sed 's/ *$//' >commands
    [ "$(wc -l <commands)" -ge 13 ]
    flags() { grep -oE -- '--[a-z][a-z-]+' | sort -u; }
    "$rnx" help nodes | sed -n '/^Global flags/,$p' | flags >global
    # shellcheck disable=SC2086
    while read -r c; do "$rnx" help $c; done <commands | flags >all
    while read -r c; do
        awk -v c="$c" '/^\.S[SH]/ { s = $0; sub(/^\.S[SH] "?/, "", s); sub(/"$/, "", s)
                on = s == c || index(s, c " ") == 1; any = any || on } on
            END { exit !any }' man >section || { echo "no section for: $c"; false; }
        # shellcheck disable=SC2086
        "$rnx" help $c | sed -n '/^Flags:/,/^$/p' | sed -n 's/^ *\(-[a-z], \)*\(--[a-z-]*\).*/\2/p' | sort -u >own
        { flags <section || true; } | sort -u - global | comm -23 - global >documented
        sort -u own | comm -23 - global >wanted
        [ -z "$(comm -23 wanted documented)" ] || { echo "rnx(1), $c: not there:" "$(comm -23 wanted documented)"; false; }
        [ -z "$(comm -13 all documented)" ] || { echo "rnx(1), $c: flags of no command:" "$(comm -13 all documented)"; false; }
    done <commands
    sed -n 's/^\.SS "\{0,1\}//p' man | sed 's/"$//' | while read -r s; do
        while read -r c; do case "$s " in "$c "*) continue 2 ;; esac; done <commands
        echo "rnx(1) has a section of no command: $s"
        false
    done
}

@test "standard output that nobody reads any more ends rnx quietly" {
    run bash -o pipefail -c "{ '$rnx' config-help; echo status \$? >&2; } | true"
    hasnt Error
    hasnt rnx:
}
