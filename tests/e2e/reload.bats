#!/usr/bin/env bats
# SIGHUP: a configuration that is wrong changes nothing, one that is right holds.

load lib

setup_file() {
    instance_new
    instance_start
    f=$I/config/joblet-config.yml
    export f
}

teardown_file() { instance_end; }

setup() { . "$top/tests/lib/certs.bash"; }

logged() { grep -q -- "$1" "$I/logs/joblet.log"; }
served() { openssl s_client -connect "127.0.0.1:$PORT" </dev/null 2>/dev/null | openssl x509 -noout -serial; }

@test "reload: certificates that joblet-front could not serve with change nothing" {
    cp "$f" "$BATS_TEST_TMPDIR/good"
    front=$(front_pid)
    serial=$(served)
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$BATS_TEST_TMPDIR/key" 2>/dev/null
    printf '%s\n' "-----BEGIN CERTIFICATE-----" "AAAA" "-----END CERTIFICATE-----" >"$BATS_TEST_TMPDIR/trash"
    while read -r key pem words; do
        cp "$BATS_TEST_TMPDIR/good" "$f"
        _certs_embed "$f" "$key" "$BATS_TEST_TMPDIR/$pem"
        kill -HUP "$(joblet_pid)"
        until_true 20 logged "joblet.reload.*$words"
        run "$build/joblet" --prefix-dir "$I" --config "$f" --validate
        [ "$status" -eq 1 ]
        [[ $output == *"$words"* ]]
        run "$build/joblet" --prefix-dir "$I" --config "$f" --check
        [ "$status" -eq 1 ]
        grep "^FAIL  certificates.*$words" <<<"$output"
    done <<'WRONG'
serverKey key server certificate and server key do not belong together
serverCert trash server certificate: not a certificate
caCert trash CA certificate of the server: not a certificate
WRONG
    rnx job list
    [ "$(front_pid)" = "$front" ]
    [ "$(served)" = "$serial" ]
    cp "$BATS_TEST_TMPDIR/good" "$f"
    run "$build/joblet" --prefix-dir "$I" --config "$f" --validate
    [ "$status" -eq 0 ]
}

@test "reload: a new pair holds" {
    front=$(front_pid)
    serial=$(served)
    "$top/contrib/certs_gen_embedded.sh" --quiet --prefix-dir "$I" --renew-server --fast
    kill -HUP "$(joblet_pid)"
    kill -HUP "$(joblet_pid)" # the first one's check is given up
    until_true 20 other_front "$front"
    until_true 20 rnx job list
    [ "$(served)" != "$serial" ]
}

@test "reload: a log that can't be opened changes nothing, and the audit file is opened anew all the same" {
    cp "$f" "$BATS_TEST_TMPDIR/good"
    front=$(front_pid)
    mv "$I/logs/audit.log" "$I/logs/audit.log.1"
    sed -i "s|^logging:.*|&\n  output: $I/nowhere/log|" "$f"
    kill -HUP "$(joblet_pid)"
    until_true 20 logged 'joblet.reload.*nowhere/log'
    [ -e "$I/logs/audit.log" ]
    [ "$(front_pid)" = "$front" ]
    cp "$BATS_TEST_TMPDIR/good" "$f"
    rm -rf "$I/logs/audit.log"
    mkdir "$I/logs/audit.log" # can't be opened: the others go on
    kill -HUP "$(joblet_pid)"
    until_true 20 logged 'the audit file stays as it is'
    until_true 20 other_front "$front"
    rmdir "$I/logs/audit.log"
}
