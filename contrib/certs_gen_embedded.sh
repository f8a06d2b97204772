#!/bin/bash
# Makes the certificates of a joblet server and its clients, and the two kinds of configuration file
# that hold them: joblet-config.yml (server) and rnx-config*.yml (one a role). `--help` says how.
#
# Needs bash, openssl 3 and coreutils. Every file appears complete or not at all, and nothing that
# exists is overwritten without --force.
set -euo pipefail
umask 077

PROG=${0##*/}
ROLES=(admin maintainer developer reader)

prefix=/opt/joblet
prefix_given=no
config_dir=
address=${JOBLET_SERVER_ADDRESS:-}
listen=
port=50051
names=${JOBLET_ADDITIONAL_NAMES:-}
for name in "${JOBLET_CERT_INTERNAL_IP:-}" "${JOBLET_CERT_PUBLIC_IP:-}" "${JOBLET_CERT_DOMAIN:-}"; do
    names=$names${name:+,$name} # a package gives these
done
ca_dir=${JOBLET_CA_DIR:-}
key_type=''
days=365
ca_days=1095
force=no
quiet=no
action=all
client_name=
client_role=
revoke=()
declare -A setting=()

die() {
    printf '%s: %s\n' "$PROG" "$1" >&2
    shift
    for line in "$@"; do printf '  %s\n' "$line" >&2; done
    exit 1
}

usage_error() {
    printf '%s: %s\n  Try: %s --help\n' "$PROG" "$1" "$PROG" >&2
    exit 2
}

say() { [ "$quiet" = yes ] || printf '%s\n' "$*"; }

help() {
    cat <<HELP
Usage: $PROG [options]

Makes a certificate authority (CA), a server certificate and one client certificate a role
(${ROLES[*]}), and writes them into
  DIR/config/joblet-config.yml       the server's configuration       (0600)
  DIR/config/rnx-config.yml          for the operator, role admin     (0600)
  DIR/config/rnx-config-ROLE.yml     one a role, to hand out          (0600)
  DIR/config/ca/                     the CA, kept for later clients   (0700, key 0600)

Where and for whom:
  --prefix-dir DIR        the instance's directory (default /opt/joblet)
  --config-dir DIR        where the files go (default: config below the prefix)
  --address ADDR          address at which clients reach the server (default:
                          \$JOBLET_SERVER_ADDRESS, else the address of the default route)
  --listen ADDR           address the server listens on (default 0.0.0.0; a loopback --address
                          makes the server listen on that alone)
  --port N                port (default 50051)
  --names A,B             further names or addresses in the server's certificate
                          (default: \$JOBLET_ADDITIONAL_NAMES)

The server's settings:
  --default-network NAME  network of jobs that name none
  --cgroup-base DIR       parent of the jobs' control groups
  --set KEY=VALUE         any setting of joblet-config.yml, e.g. --set joblet.stopGrace=5s
                          (--list-settings shows them)

Certificates:
  --key-type rsa|ecdsa    RSA 4096/2048 (default) or ECDSA P-256; with an existing CA,
                          its kind is the default
  --fast                  the same as --key-type ecdsa
  --days N                days until server and client certificates expire (default 365)
  --ca-days N             days until a new CA expires (default 1095)
  --ca DIR                use the CA in DIR (ca.crt, ca.key) instead of making one
                          (default: \$JOBLET_CA_DIR)

Instead of everything:
  --renew-server          a new server certificate from the kept CA; nothing else changes
  --add-client NAME --role ROLE
                          one more client certificate: rnx-config-NAME.yml;
                          ROLE is admin, maintainer, developer, reader or viewer (as reader)
  --revoke CLIENT         the server refuses this client from now on, its open calls included.
                          CLIENT is the NAME of an rnx-config-NAME.yml here, a file (a
                          certificate in PEM, or an rnx-config.yml, all its nodes), or a serial
                          number in hexadecimal. Adds to PREFIX/config/revoked, which the server
                          watches. May be given several times.

  --force                 overwrite (the old joblet-config.yml is kept as joblet-config.yml.old)
  --quiet                 print nothing but errors
  --help, -h              this text
HELP
}

# Every setting of joblet-config.yml, in order: key | default | on (written) or off (commented) |
# what it means. Source: the server's configuration keys, joblet-config.yml(5).
settings() {
    cat <<'TABLE'
server.address|"@LISTEN@"|on|address to listen on
server.port|@PORT@|on|
server.timeout|30s|off|longest time for one call
server.nodeId|"@NODEID@"|on|this server's identity, shown by rnx
server.frontUser|joblet|off|unprivileged user that talks to the network
joblet.defaultCpuLimit|0|off|percent of one core for jobs that ask for nothing; 0: no limit
joblet.defaultMemoryLimit|0|off|MB for jobs that ask for nothing; 0: no limit
joblet.defaultIoLimit|0|off|bytes a second for jobs that ask for nothing; 0: no limit
joblet.minIoLimit|1000000|off|least of the limits that jobs ask for, bytes a second
joblet.defaultPidsLimit|4096|off|processes and threads a job may have
joblet.maxConcurrentJobs|0|off|running jobs; more wait as PENDING; 0: no limit
joblet.maxWaitingJobs|10000|off|jobs that wait; more are refused
joblet.cpuCapacity|0|off|percent of one core that running jobs may ask for together; 0: this host's
joblet.memoryCapacity|0|off|MB that running jobs may ask for together; 0: this host's
joblet.jobTimeout|0s|off|longest run time of a job that names none; 0: no limit
joblet.stopGrace|10s|off|from SIGTERM to SIGKILL
joblet.retention|{max_jobs: 1000, max_age: 168h}|off|ended jobs that are kept
job.init|true|off|a tiny init as process 1 of every job
cgroup.baseDir|""|off|parent of the jobs' control groups; empty: one for each prefix
filesystem.baseDir|@PREFIX@/jobs|off|
filesystem.workspaceDir|/work|off|workspace inside the job
filesystem.tmpSize|64MB|off|size of a job's /tmp
filesystem.workSize|0|off|size of /work for jobs with volumes, uploads included; 0: no limit
filesystem.allowedMounts|[/usr/bin, /bin, /usr/sbin, /sbin, /lib, /lib32, /lib64, /libx32, /usr/lib, /usr/lib32, /usr/lib64, /usr/libx32, /usr/libexec, /usr/local, /usr/share/zoneinfo, /usr/share/ca-certificates, /etc/alternatives, /etc/ld.so.cache, /etc/ssl, /etc/pki, /etc/ca-certificates]|off|host paths that jobs see, read-only
isolation.userns|auto|off|user ids of its own for each job; auto: where the kernel can map mounts
network.enabled|true|off|false: jobs have the networks none and host alone
network.default_network|bridge|off|network of jobs that name none
network.allow_custom_networks|true|off|rnx network create
network.max_custom_networks|0|off|of them; 0: no limit
network.dns|[]|off|name servers of jobs, IPv4; none: the host's, else 8.8.8.8 and 8.8.4.4
network.isolated_pool|10.255.0.0/16|off|a /30 of it for each isolated job
network.allow_host_network|false|off|--network=host, for maintainers and admins
volumes.default_disk_quota_bytes|1048576|off|room in /work for the job's own files, uploads not counted
oci.runtime|""|off|another OCI runtime to start jobs with, such as /usr/bin/crun
logs.directory|@PREFIX@/logs|off|
logs.retention_days|7|off|of logs of ended jobs; 0: no limit
audit.enabled|true|off|a line for each changing and each refused call
audit.file|@PREFIX@/logs/audit.log|off|
logging.level|INFO|on|DEBUG, INFO, WARN or ERROR
logging.format|text|off|text or json
logging.output|stdout|off|stdout, stderr or a file
grpc.maxRecvMsgSize|134217728|off|
grpc.maxSendMsgSize|134217728|off|
grpc.maxConcurrentStreams|1000|off|
grpc.keepAliveTime|10s|off|
grpc.keepAliveTimeout|3s|off|
grpc.maxConnectionAge|1800s|off|
TABLE
}

need_value() { [ $# -ge 2 ] || usage_error "$1 needs a value"; }

add_setting() {
    local key=${1%%=*} value=${1#*=}
    [[ $1 == *=* ]] || usage_error "--set wants KEY=VALUE, got '$1'"
    settings | cut -d'|' -f1 | grep -qxF -- "$key" ||
        usage_error "--set: no setting is called '$key' (--list-settings shows them)"
    [[ $value != *$'\n'* ]] || usage_error "--set $key: a line break in the value"
    setting[$key]=$value
}

parse_args() {
    while [ $# -gt 0 ]; do
        case $1 in
        --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
        esac
        case $1 in
        --prefix-dir) need_value "$@"; prefix=$2; prefix_given=yes; shift ;;
        --config-dir) need_value "$@"; config_dir=$2; shift ;;
        --address) need_value "$@"; address=$2; shift ;;
        --listen) need_value "$@"; listen=$2; shift ;;
        --port) need_value "$@"; port=$2; shift ;;
        --names) need_value "$@"; names=$2; shift ;;
        --default-network) need_value "$@"; add_setting "network.default_network=$2"; shift ;;
        --cgroup-base) need_value "$@"; add_setting "cgroup.baseDir=$2"; shift ;;
        --set) need_value "$@"; add_setting "$2"; shift ;;
        --list-settings) settings | awk -F'|' '{ printf "%-34s %s\n", $1, $4 }'; exit 0 ;;
        --key-type) need_value "$@"; key_type=$2; shift ;;
        --fast) key_type=ecdsa ;;
        --days) need_value "$@"; days=$2; shift ;;
        --ca-days) need_value "$@"; ca_days=$2; shift ;;
        --ca) need_value "$@"; ca_dir=$2; shift ;;
        --renew-server) action=renew ;;
        --add-client) need_value "$@"; action=client; client_name=$2; shift ;;
        --revoke) need_value "$@"; action=revoke; revoke+=("$2"); shift ;;
        --role) need_value "$@"; client_role=$2; shift ;;
        --force) force=yes ;;
        --quiet) quiet=yes ;;
        --help | -h) help; exit 0 ;;
        *) usage_error "unknown option: $1" ;;
        esac
        shift
    done
}

in_range() { [[ $1 =~ ^[1-9][0-9]{0,8}$ && $1 -le $2 ]]; }
is_host() { [[ $1 =~ ^[A-Za-z0-9._:-]{1,253}$ ]]; }
is_ip() { [[ $1 =~ ^[0-9]+(\.[0-9]+){3}$ || $1 == *:* ]]; }
is_loopback() { [[ $1 == 127.* || $1 == ::1 || $1 == localhost ]]; }

default_address() {
    local a=
    if command -v ip >/dev/null 2>&1; then
        a=$(ip -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p' || true)
    fi
    if [ -z "$a" ]; then
        a=$(hostname -I 2>/dev/null | cut -d' ' -f1 || true)
    fi
    printf '%s' "${a:-127.0.0.1}"
}

check_args() {
    local n
    command -v openssl >/dev/null 2>&1 || die "openssl is missing" "apt-get install openssl"
    [ -n "$prefix" ] || usage_error "--prefix-dir is empty"
    [[ $prefix == /* ]] || prefix=$PWD/$prefix
    config_dir=${config_dir:-$prefix/config}
    [[ $prefix$config_dir != *[\"\\$'\n']* ]] ||
        usage_error "a quote, backslash or line break in a directory's name"
    in_range "$port" 65535 || usage_error "--port wants 1 to 65535, got '$port'"
    in_range "$days" 36500 || usage_error "--days wants 1 to 36500, got '$days'"
    in_range "$ca_days" 36500 || usage_error "--ca-days wants 1 to 36500, got '$ca_days'"
    [ -z "$key_type" ] || [ "$key_type" = rsa ] || [ "$key_type" = ecdsa ] ||
        usage_error "--key-type is rsa or ecdsa, got '$key_type'"
    for n in "$address" "$listen" ${names//,/ }; do
        [ -z "$n" ] || is_host "$n" || usage_error "'$n' is neither a host name nor an address"
    done
    if [ "$action" = client ]; then
        [[ $client_name =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$ ]] ||
            usage_error "--add-client wants a name of letters, digits, '.', '_' and '-'"
        [[ " ${ROLES[*]} viewer " == *" ${client_role:-none} "* ]] ||
            usage_error "--add-client needs --role ${ROLES[*]} or viewer"
    elif [ -n "$client_role" ]; then
        usage_error "--role goes with --add-client"
    fi
}

# new_key FILE BITS
new_key() {
    if [ "$key_type" != ecdsa ]; then
        openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:$2" -out "$1" 2>/dev/null
    else
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null
    fi || die "openssl could not make a key"
}

# 127 random bits: unguessable, positive, and enough that two never meet.
serial() { printf '0x7%s' "$(openssl rand -hex 16 | cut -c2-)"; }

make_ca() {
    new_key "$tmp/ca.key" 4096
    openssl req -x509 -new -key "$tmp/ca.key" -sha256 -days "$ca_days" -set_serial "$(serial)" \
        -subj '/CN=Joblet-CA' -out "$tmp/ca.crt" -config <(printf '%s\n' '[req]' \
            'distinguished_name=dn' 'x509_extensions=v3' '[dn]' '[v3]' \
            'basicConstraints=critical,CA:TRUE,pathlen:0' 'keyUsage=critical,keyCertSign,cRLSign' \
            'subjectKeyIdentifier=hash') 2>"$tmp/err" ||
        die "openssl could not make the CA" "$(tail -n 1 "$tmp/err")"
}

use_ca() {
    if ! [[ -r $1/ca.crt && -r $1/ca.key ]]; then
        die "no CA in $1 (ca.crt and ca.key)" "${2:-Give the directory of a CA with --ca DIR.}"
    fi
    cp "$1/ca.crt" "$1/ca.key" "$tmp/"
    openssl x509 -in "$tmp/ca.crt" -noout -checkend 86400 >/dev/null ||
        die "the CA in $1 expires within a day" "Make a new one: $PROG --force; clients need new files."
    [ "$(openssl x509 -in "$tmp/ca.crt" -noout -pubkey)" = \
        "$(openssl pkey -in "$tmp/ca.key" -pubout 2>/dev/null)" ] ||
        die "ca.key in $1 does not belong to ca.crt"
    if [ -z "$key_type" ]; then # as the CA's own
        key_type=rsa
        ! openssl pkey -in "$tmp/ca.key" -noout -text 2>/dev/null | grep -q 'ASN1 OID' || key_type=ecdsa
    fi
}

# sign NAME SUBJECT EXTENSIONS...: makes $tmp/NAME.key and $tmp/NAME.crt
sign() {
    local name=$1 subject=$2
    shift 2
    new_key "$tmp/$name.key" 2048
    openssl req -new -key "$tmp/$name.key" -subj "$subject" -out "$tmp/$name.csr" \
        -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') 2>"$tmp/err" ||
        die "openssl could not make the request of $name" "$(tail -n 1 "$tmp/err")"
    openssl x509 -req -in "$tmp/$name.csr" -CA "$tmp/ca.crt" -CAkey "$tmp/ca.key" -sha256 \
            -days "$days" -set_serial "$(serial)" -out "$tmp/$name.crt" \
            -extfile <(printf '%s\n' 'basicConstraints=critical,CA:FALSE' \
                'keyUsage=critical,digitalSignature' 'subjectKeyIdentifier=hash' \
                'authorityKeyIdentifier=keyid' "$@") 2>"$tmp/err" ||
        die "openssl could not make the certificate of $name" "$(tail -n 1 "$tmp/err")"
    openssl verify -CAfile "$tmp/ca.crt" "$tmp/$name.crt" >/dev/null 2>"$tmp/err" ||
        die "the certificate of $name does not verify" "$(tail -n 1 "$tmp/err")"
}

# All names of the server certificate, one a line, no name twice.
san_list() {
    local n
    for n in joblet localhost joblet-server 127.0.0.1 0.0.0.0 "$address" ${listen:+"$listen"} \
        ${names//,/ } ${old_names:-}; do
        if is_ip "$n"; then printf 'IP:%s\n' "$n"; else printf 'DNS:%s\n' "$n"; fi
    done | awk '!seen[$0]++' | paste -sd,
}

make_server_cert() {
    sign server '/CN=joblet-server' "subjectAltName=$(san_list)" 'extendedKeyUsage=serverAuth'
}

# make_client_cert NAME ROLE
make_client_cert() {
    sign "$1" "/OU=$2/CN=$1" 'extendedKeyUsage=clientAuth'
}

indent() { sed "s/^/$1/" "$2"; }

security_block() {
    printf '# Certificates; clients must present one of the same CA, whose OU is their role.\n'
    printf 'security:\n  serverCert: |\n'
    indent '    ' "$tmp/server.crt"
    printf '  serverKey: |\n'
    indent '    ' "$tmp/server.key"
    printf '  caCert: |\n'
    indent '    ' "$tmp/ca.crt"
}

# Whether any setting of a section is written.
section_on() {
    local key
    for key in "${!setting[@]}"; do
        [ "${key%%.*}" != "$1" ] || return 0
    done
    settings | grep -q "^$1\..*|on|"
}

server_config() {
    local key value state words section last=''
    printf '# Configuration of the joblet server; see joblet-config.yml(5).\n'
    printf '# A commented setting shows its default.\n'
    printf 'version: "3.0"\nprefix: "%s"\n' "$prefix"
    while IFS='|' read -r key value state words; do
        section=${key%%.*}
        if [ "$section" != "$last" ]; then
            # An empty section is commented out with its settings.
            if section_on "$section"; then printf '\n%s:\n' "$section"; else printf '\n# %s:\n' "$section"; fi
            last=$section
        fi
        value=${value//@LISTEN@/$listen}
        value=${value//@PORT@/$port}
        value=${value//@NODEID@/$node_id}
        value=${value//@PREFIX@/$prefix}
        if [ -n "${setting[$key]+set}" ]; then
            value=${setting[$key]}
            state=on
        fi
        if [ "$state" = off ]; then printf '#'; fi
        printf '  %s: %s%s\n' "${key#*.}" "$value" "${words:+  # $words}"
    done < <(settings)
    printf '\n'
    security_block
}

# client_config NAME ROLE
client_config() {
    local host=$address
    [[ $host != *:* ]] || host="[$host]"
    printf '# Client configuration of rnx, role %s; see rnx-config.yml(5).\n' "$2"
    printf '# Holds a private key: whoever has this file can do what the role may.\n'
    printf 'version: "3.0"\nnodes:\n  default:\n    address: "%s:%s"\n' "$host" "$port"
    [ -z "$node_id" ] || printf '    nodeId: "%s"\n' "$node_id"
    printf '    cert: |\n'
    indent '      ' "$tmp/$1.crt"
    printf '    key: |\n'
    indent '      ' "$tmp/$1.key"
    printf '    ca: |\n'
    indent '      ' "$tmp/ca.crt"
}

# publish MODE FILE: standard input becomes FILE, complete or not at all
publish() {
    local new
    new=$(mktemp "$2.XXXXXX") || die "cannot write in ${2%/*}"
    if cat >"$new" && chmod "$1" "$new" && mv -f "$new" "$2"; then return; fi
    rm -f "$new"
    die "cannot write $2"
}

refuse_existing() {
    local f
    [ "$force" = no ] || return 0
    for f in "$@"; do
        [ ! -e "$f" ] || die "$f exists" "Nothing was changed. --force overwrites it;" \
            "--renew-server and --add-client add to what is there."
    done
}

# What the server's and the operator's file say, for --renew-server and --add-client.
read_instance() {
    local at
    [ -r "$config_dir/joblet-config.yml" ] ||
        die "no joblet-config.yml in $config_dir" "Run $PROG without --renew-server or --add-client first."
    node_id=$(sed -n 's/^  nodeId: *"\{0,1\}\([^"#]*[^"# ]\).*/\1/p' "$config_dir/joblet-config.yml" | head -n 1)
    at=$(sed -n 's/^    address: *"\{0,1\}\([^"# ]*\).*/\1/p' "$config_dir/rnx-config.yml" 2>/dev/null | head -n 1)
    [ -z "$at" ] || { port=${at##*:}; address=${address:-${at%:*}}; address=${address#[}; address=${address%]}; }
    address=${address:-$(default_address)}
}

do_all() {
    local role files=("$config_dir/joblet-config.yml" "$config_dir/rnx-config.yml")
    for role in "${ROLES[@]}"; do files+=("$config_dir/rnx-config-$role.yml"); done
    [ -n "$ca_dir" ] || files+=("$config_dir/ca/ca.key" "$config_dir/ca/ca.crt")
    refuse_existing "${files[@]}"
    address=${address:-$(default_address)}
    if [ -z "$listen" ]; then
        listen=0.0.0.0
        ! is_loopback "$address" || listen=$address
    fi
    node_id=$(sed -n 's/^  nodeId: *"\{0,1\}\([0-9a-f-]\{36\}\).*/\1/p' \
        "$config_dir/joblet-config.yml" 2>/dev/null | head -n 1 || true)
    node_id=${node_id:-$(openssl rand -hex 16 |
        sed 's/^\(.\{8\}\)\(....\).\(...\).\(...\)\(.\{12\}\)$/\1-\2-4\3-a\4-\5/')}

    say "Certificates for $address:$port"
    if [ -n "$ca_dir" ]; then use_ca "$ca_dir"; else make_ca; fi
    make_server_cert
    for role in "${ROLES[@]}"; do make_client_cert "$role-client" "$role"; done

    (umask 022 && mkdir -p "$config_dir") || die "cannot make $config_dir"
    mkdir -p "$config_dir/ca"
    chmod 0700 "$config_dir/ca"
    [ -n "$ca_dir" ] || publish 0600 "$config_dir/ca/ca.key" <"$tmp/ca.key"
    publish 0644 "$config_dir/ca/ca.crt" <"$tmp/ca.crt"
    publish 0644 "$config_dir/ca/server.crt" <"$tmp/server.crt"
    [ ! -e "$config_dir/joblet-config.yml" ] ||
        mv -f "$config_dir/joblet-config.yml" "$config_dir/joblet-config.yml.old"
    server_config | publish 0600 "$config_dir/joblet-config.yml"
    for role in "${ROLES[@]}"; do
        client_config "$role-client" "$role" | publish 0600 "$config_dir/rnx-config-$role.yml"
    done
    client_config admin-client admin | publish 0600 "$config_dir/rnx-config.yml"
    say "  server: $config_dir/joblet-config.yml"
    say "  client: $config_dir/rnx-config.yml (admin); rnx-config-ROLE.yml for ${ROLES[*]:1}"
    say "Copy a client file to a user's ~/.rnx/rnx-config.yml."
}

do_renew() {
    local old=$config_dir/joblet-config.yml
    read_instance
    use_ca "${ca_dir:-$config_dir/ca}" "The CA's key is needed to renew; it is not kept here."
    if [ -r "$config_dir/ca/server.crt" ]; then
        old_names=$(openssl x509 -in "$config_dir/ca/server.crt" -noout -ext subjectAltName |
            sed -n 's/DNS://g; s/IP Address://g; s/,//g; s/^  *//p')
    fi
    make_server_cert
    security_block >"$tmp/security"
    # The block "security:" ends at the next line that begins in column 1; its comment goes along.
    awk -v block="$tmp/security" '
        /^# Certificates; clients must present/ { next }
        /^security:/ { while ((getline line < block) > 0) print line; skip = 1; done = 1; next }
        skip && /^[^ \t]/ { skip = 0 }
        !skip { print }
        END { if (!done) while ((getline line < block) > 0) print line }' "$old" >"$tmp/config"
    publish 0600 "$old" <"$tmp/config"
    publish 0644 "$config_dir/ca/server.crt" <"$tmp/server.crt"
    say "Renewed the server certificate in $old, valid for $days days."
    say "To use it: systemctl reload joblet, or SIGHUP; clients need nothing new."
}

do_client() {
    local file=$config_dir/rnx-config-$client_name.yml
    read_instance
    refuse_existing "$file"
    use_ca "${ca_dir:-$config_dir/ca}" "The CA's key is needed to add a client; it is not kept here."
    make_client_cert "$client_name" "$client_role"
    client_config "$client_name" "$client_role" | publish 0600 "$file"
    say "Made $file (role $client_role). Copy it to the user's ~/.rnx/rnx-config.yml."
}

# serials_of CLIENT: "SERIAL NAME" a line, a serial in upper case without 0x and colons
serials_of() {
    local cert pem
    if [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ && -e $config_dir/rnx-config-$1.yml ]]; then
        set -- "$config_dir/rnx-config-$1.yml"
    elif [ ! -f "$1" ]; then
        pem=${1#0[xX]}
        pem=${pem//:/}
        [[ $pem =~ ^[0-9A-Fa-f]{1,40}$ ]] ||
            die "'$1' is no client of $config_dir, no file and no serial number (hexadecimal, at most 20 octets)"
        printf '%s\n' "${pem^^}"
        return
    fi
    [ -r "$1" ] || die "cannot read $1"
    # The certificates that are not the "ca:" of a client's file; of a PEM file the first.
    awk '/^ *[a-z]+: *[|>]/ { key = $1 }
        /BEGIN CERTIFICATE/ { on = key != "ca:" && (key != "" || !any); any = 1 }
        on { sub(/^ +/, ""); print }
        /END CERTIFICATE/ { on = 0 }' "$1" >"$tmp/pems"
    grep -q 'BEGIN CERTIFICATE' "$tmp/pems" || die "there is no client certificate in $1"
    csplit -s -z -f "$tmp/pem-" "$tmp/pems" '/BEGIN CERTIFICATE/' '{*}'
    for cert in "$tmp"/pem-*; do
        openssl x509 -in "$cert" -noout -serial -subject -nameopt multiline,-esc_msb 2>"$tmp/err" |
            awk '/^serial=/ { s = substr($0, 8) } /commonName/ { sub(/.*= /, ""); n = $0 }
                END { if (s == "") exit 1; gsub(/[^ -~]/, "?", n); print s, n }' ||
            die "a certificate in $1 cannot be read" "$(tail -n 1 "$tmp/err")"
        rm -f "$cert"
    done
}

do_revoke() {
    local list serial name what
    # The server looks below its prefix, which its configuration names.
    if [ "$prefix_given" = no ] && [ -r "$config_dir/joblet-config.yml" ]; then
        name=$(sed -n 's/^prefix: *"\{0,1\}\([^"#]*[^"# ]\).*/\1/p' "$config_dir/joblet-config.yml" | head -n 1)
        prefix=${name:-$prefix}
    fi
    list=$prefix/config/revoked
    [ -d "$prefix/config" ] || die "there is no directory $prefix/config" "Name the server's prefix with --prefix-dir."
    for what in "${revoke[@]}"; do serials_of "$what" >>"$tmp/serials"; done
    [ ! -e "$list" ] || cp "$list" "$tmp/list"
    [ ! -s "$tmp/list" ] || [ -z "$(tail -c 1 "$tmp/list")" ] || echo >>"$tmp/list"
    [ -e "$tmp/list" ] ||
        printf '# Revoked client certificates: a serial number a line; see revoked.md.\n' >"$tmp/list"
    while read -r serial name; do
        if sed 's/#.*//; s/://g; s/^[ \t]*0[xX]//' "$tmp/list" | tr a-f A-F |
            sed 's/[ \t\r]//g; s/^0*//' | grep -qxF -- "$(sed 's/^0*//' <<<"$serial")"; then
            say "$serial is revoked already."
            continue
        fi
        printf '%s  # %s, revoked %s\n' "$serial" "${name:-by serial number}" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >>"$tmp/list"
        say "Revoked $serial${name:+ ($name)} in $list."
    done <"$tmp/serials"
    publish 0600 "$list" <"$tmp/list"
}

main() {
    parse_args "$@"
    check_args
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    trap 'exit 130' INT TERM
    case $action in
    all) do_all ;;
    renew) do_renew ;;
    client) do_client ;;
    revoke) do_revoke ;;
    esac
}

tmp=
node_id=
old_names=
main "$@"
