#!/usr/bin/env bats
# contrib/certs_gen_embedded.sh: what it makes, what it refuses.

bats_require_minimum_version 1.5.0

setup() {
    load helper
    load_common
    gen=$top/contrib/certs_gen_embedded.sh
    make_instance
    c=$inst/config
}

cert_of() { certs_pem "$1" "$2" | openssl x509 -noout "${@:3}"; }

verifies() { # FILE KEY PURPOSE
    certs_pem "$1" "$2" >leaf.pem
    run openssl verify -purpose "$3" -CAfile "$c/ca/ca.crt" leaf.pem
    expect 0
}

@test "every certificate verifies, for its own use alone" {
    verifies "$c/joblet-config.yml" serverCert sslserver
    run ! verifies "$c/joblet-config.yml" serverCert sslclient
    for role in admin maintainer developer reader; do
        verifies "$c/rnx-config-$role.yml" cert sslclient
        run ! verifies "$c/rnx-config-$role.yml" cert sslserver
    done
    verifies "$c/rnx-config.yml" cert sslclient
}

@test "subjects, roles and names are as documented" {
    [ "$(cert_of "$c/joblet-config.yml" serverCert -subject)" = "subject=CN = joblet-server" ]
    [ "$(cert_of "$c/joblet-config.yml" caCert -subject)" = "subject=CN = Joblet-CA" ]
    for role in admin maintainer developer reader; do
        [ "$(cert_of "$c/rnx-config-$role.yml" cert -subject)" = "subject=OU = $role, CN = $role-client" ]
    done
    [ "$(cert_of "$c/rnx-config.yml" cert -subject)" = "subject=OU = admin, CN = admin-client" ]
    run cert_of "$c/joblet-config.yml" serverCert -ext subjectAltName
    for n in DNS:joblet DNS:localhost DNS:joblet-server "IP Address:127.0.0.1" "IP Address:0.0.0.0"; do has "$n"; done
}

@test "key and certificate belong together, files are private" {
    [ "$(cert_of "$c/rnx-config.yml" cert -pubkey)" = "$(certs_pem "$c/rnx-config.yml" key | openssl pkey -pubout)" ]
    [ "$(cert_of "$c/joblet-config.yml" serverCert -pubkey)" = \
        "$(certs_pem "$c/joblet-config.yml" serverKey | openssl pkey -pubout)" ]
    for f in "$c"/*.yml "$c/ca/ca.key"; do [ "$(stat -c %a "$f")" = 600 ]; done
    [ "$(stat -c %a "$c/ca")" = 700 ]
    run find "$inst" -name '*.??????' -newer "$top/configure.ac" ! -name '*.*.*'
    [ -z "$(find "$c" -name '*.yml.*')" ]
}

@test "RSA by default: 4096 for the CA, 2048 below" {
    "$gen" --quiet --prefix-dir "$PWD/rsa" --address 192.0.2.7 --names host.example,2001:db8::1
    run cert_of rsa/config/joblet-config.yml caCert -text
    has "(4096 bit)"
    run cert_of rsa/config/joblet-config.yml serverCert -text
    has "(2048 bit)"
    has "IP Address:192.0.2.7"
    has "DNS:host.example"
    has "IP Address:2001:DB8:0:0:0:0:0:1"
    grep -q 'address: "192.0.2.7:50051"' rsa/config/rnx-config.yml
    grep -q '^  address: "0.0.0.0"' rsa/config/joblet-config.yml
}

@test "address and names come from the environment too; a loopback address is listened on alone" {
    JOBLET_SERVER_ADDRESS=10.1.2.3 JOBLET_ADDITIONAL_NAMES=a.example,10.9.9.9 "$gen" --fast --quiet --prefix-dir "$PWD/e"
    run cert_of e/config/joblet-config.yml serverCert -ext subjectAltName
    has "IP Address:10.1.2.3"
    has "DNS:a.example"
    has "IP Address:10.9.9.9"
    grep -q '^  address: "127.0.0.1"' "$c/joblet-config.yml"
}

@test "nothing is overwritten without --force, and nothing half done is left" {
    before=$(cat "$c"/*.yml "$c"/ca/* | sha256sum)
    run "$gen" --fast --prefix-dir "$inst" --address 127.0.0.1
    expect 1 "exists" "--force"
    [ "$(cat "$c"/*.yml "$c"/ca/* | sha256sum)" = "$before" ]
    cp -a "$inst" copy
    id=$(grep nodeId: copy/config/joblet-config.yml)
    "$gen" --fast --quiet --force --prefix-dir "$PWD/copy" --address 127.0.0.1
    [ "$(cat copy/config/ca/ca.crt)" != "$(cat "$c/ca/ca.crt")" ]
    [ "$(grep nodeId: copy/config/joblet-config.yml)" = "$id" ]
    [ -f copy/config/joblet-config.yml.old ]
}

@test "--renew-server: same CA, same names, the rest of the configuration untouched" {
    cp -a "$inst" copy
    sed -i 's/^#  timeout: 30s.*/  timeout: 7s/; /^security:/i # a note of the operator' copy/config/joblet-config.yml
    old=$(cert_of copy/config/joblet-config.yml serverCert -serial -ext subjectAltName)
    "$gen" --quiet --renew-server --prefix-dir "$PWD/copy" --names new.example
    new=$(cert_of copy/config/joblet-config.yml serverCert -serial -ext subjectAltName)
    [ "$old" != "$new" ]
    [[ $new == *new.example* && $new == *"IP Address:0.0.0.0"* ]]
    verifies copy/config/joblet-config.yml serverCert sslserver
    grep -q '^  timeout: 7s' copy/config/joblet-config.yml
    grep -q '^# a note of the operator' copy/config/joblet-config.yml
    diff <(sed '/^security:/,$d; /^# a note/d; /^# Certificates/d' copy/config/joblet-config.yml) \
        <(sed '/^security:/,$d; /^# Certificates/d; s/^#  timeout: 30s.*/  timeout: 7s/' "$c/joblet-config.yml")
    [ "$(grep -c 'BEGIN CERT' copy/config/joblet-config.yml)" -eq 2 ]
    [ "$(stat -c %a copy/config/joblet-config.yml)" = 600 ]
}

@test "--add-client: one more client of the same CA" {
    run "$gen" --quiet --add-client ci-bot --role developer --prefix-dir "$inst"
    expect 0
    verifies "$c/rnx-config-ci-bot.yml" cert sslclient
    [ "$(cert_of "$c/rnx-config-ci-bot.yml" cert -subject)" = "subject=OU = developer, CN = ci-bot" ]
    grep -q "$(grep -o 'address: .*' "$c/rnx-config.yml")" "$c/rnx-config-ci-bot.yml"
    run "$gen" --quiet --add-client ci-bot --role developer --prefix-dir "$inst"
    expect 1 exists
    rm "$c/rnx-config-ci-bot.yml"
    run "$gen" --quiet --add-client x --role king --prefix-dir "$inst"
    expect 2
    run "$gen" --quiet --add-client ../x --role admin --prefix-dir "$inst"
    expect 2
    run "$gen" --quiet --add-client x --role admin --prefix-dir "$PWD/none"
    expect 1 "no joblet-config.yml"
}

@test "--ca: a second server under the same CA; its key is not copied" {
    "$gen" --fast --quiet --prefix-dir "$PWD/second" --address 127.0.0.1 --ca "$c/ca"
    verifies second/config/joblet-config.yml serverCert sslserver
    [ ! -e second/config/ca/ca.key ]
    cp -a "$c/ca" wrong
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out wrong/ca.key 2>/dev/null
    run "$gen" --fast --quiet --prefix-dir "$PWD/third" --address 127.0.0.1 --ca "$PWD/wrong"
    expect 1 "does not belong"
    [ ! -e third ]
}

@test "settings go into the server's configuration, unknown ones are refused" {
    "$gen" --fast --quiet --prefix-dir "$PWD/s" --address 127.0.0.1 --port 6001 --default-network none \
        --cgroup-base /sys/fs/cgroup/x --set joblet.stopGrace=3s --set isolation.userns=false
    f=s/config/joblet-config.yml
    grep -q '^  port: 6001' $f
    grep -q '^  default_network: none' $f
    grep -q '^  baseDir: /sys/fs/cgroup/x' $f
    grep -q '^  stopGrace: 3s' $f
    grep -q '^isolation:' $f
    grep -q "^prefix: \"$PWD/s\"" $f
    run "$gen" --prefix-dir "$PWD/t" --set no.such=1
    expect 2 "no.such"
    run "$gen" --prefix-dir "$PWD/t" --port 70000
    expect 2
    run "$gen" --prefix-dir "$PWD/t" --address 'a b'
    expect 2
    run "$gen" --sing
    expect 2 "unknown option"
    run "$gen" --help
    expect 0 "--renew-server"
    [ ! -e t ]
}

@test "the settings that are commented out are the server's own defaults" {
    joblet=${rnx%/*}/joblet
    [ -x "$joblet" ] || skip "no joblet beside rnx"
    sed '/^security:/,$!s/^#  \([a-z]\)/  \1/; s/^# \([a-z]*:\)$/\1/' "$c/joblet-config.yml" >all.yml
    chmod 600 all.yml
    [ "$(grep -c '^ *[a-z]' all.yml)" -gt "$(grep -c '^ *[a-z]' "$c/joblet-config.yml")" ]
    run "$joblet" --config all.yml --validate
    expect 0 "valid"
    diff <("$joblet" --config "$c/joblet-config.yml" --dump-config) <("$joblet" --config all.yml --dump-config)
}

@test "the certificates of tests/lib/certs.bash are as bad as they say" {
    certs_client_expired "$inst" admin e.yml
    certs_pem e.yml cert >leaf.pem
    run openssl verify -CAfile "$c/ca/ca.crt" leaf.pem
    has "certificate has expired"
    certs_client_future "$inst" admin e.yml
    certs_pem e.yml cert >leaf.pem
    run openssl verify -CAfile "$c/ca/ca.crt" leaf.pem
    has "not yet valid"
    certs_client_foreign "$inst" admin e.yml
    certs_pem e.yml cert >leaf.pem
    run openssl verify -CAfile "$c/ca/ca.crt" leaf.pem
    [ "$status" -ne 0 ]
    certs_client_subject "$inst" /OU=admin/OU=reader/CN=x e.yml
    [ "$(cert_of e.yml cert -subject)" = "subject=OU = admin, OU = reader, CN = x" ]
}

@test "--revoke takes a name, a file, several, a number; each serial once" {
    cp -a "$inst" copy
    mine() { "$gen" --prefix-dir "$PWD/copy" "$@"; }
    mine --quiet --add-client ada --role reader --fast
    ada=$(cert_of copy/config/rnx-config-ada.yml cert -serial)
    ada=${ada#serial=}
    mine --revoke ada
    grep -q "^$ada  # ada, revoked 20" copy/config/revoked
    [ "$(stat -c %a copy/config/revoked)" = 600 ]
    run mine --revoke copy/config/rnx-config-ada.yml --revoke "0x00${ada,,}"
    [ "$(grep -c 'revoked already' <<<"$output")" -eq 2 ]
    mine --quiet --revoke copy/config/ca/server.crt --revoke 7f:03:aa
    grep -q '^7F03AA  # by serial number' copy/config/revoked
    [ "$(grep -vc '^#' copy/config/revoked)" -eq 3 ]
    # the CA in a client's file is not the client
    ca=$(openssl x509 -in copy/config/ca/ca.crt -noout -serial)
    run ! grep -q "^${ca#serial=}" copy/config/revoked
    run mine --revoke nobody
    expect 1 "no client of"
}
