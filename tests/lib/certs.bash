# Certificates for tests, beside those that contrib/certs_gen_embedded.sh makes: expired ones, ones
# of a foreign CA, ones without a role. Source it from a bats file. All files are below DIR/config.
#
#   certs_make DIR [OPTION...]                an instance's certificates and configuration, quickly
#   certs_client_expired DIR ROLE FILE        a client whose certificate expired yesterday
#   certs_client_future DIR ROLE FILE         ... is valid from tomorrow
#   certs_client_foreign DIR ROLE FILE        ... is signed by a CA that the server does not know
#   certs_client_subject DIR SUBJECT FILE     ... has this subject, "/OU=admin/OU=reader/CN=x"
#   certs_client_no_eku DIR ROLE FILE         ... may be used for servers alone
#   certs_server_expired DIR                  the server's certificate expired yesterday
#   certs_server_foreign DIR                  the server's is signed by a CA that clients do not know
#   certs_server_name DIR NAME                the server's is made for NAME alone

_certs_top=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)

certs_make() {
    local dir=$1
    shift
    bash "$_certs_top/contrib/certs_gen_embedded.sh" --fast --quiet --prefix-dir "$dir" \
        --address 127.0.0.1 "$@"
}

# _certs_sign CA_DIR OUT SUBJECT FROM TO EXTENSION...: OUT.key and OUT.crt, valid FROM..TO
# (dates that date(1) understands).
_certs_sign() {
    local ca=$1 out=$2 subject=$3 from to work
    from=$(date -u -d "$4" +%Y%m%d%H%M%SZ) to=$(date -u -d "$5" +%Y%m%d%H%M%SZ)
    shift 5
    work=$(mktemp -d) || return 1
    : >"$work/index"
    echo 'unique_subject = no' >"$work/index.attr"
    openssl rand -hex 8 >"$work/serial"
    printf '%s\n' '[ca]' 'default_ca=own' '[own]' "database=$work/index" "serial=$work/serial" \
        "new_certs_dir=$work" 'default_md=sha256' 'policy=any' 'copy_extensions=none' \
        'preserve=yes' '[any]' 'organizationalUnitName=optional' 'commonName=optional' \
        '[req]' 'distinguished_name=dn' '[dn]' '[ext]' 'basicConstraints=critical,CA:FALSE' "$@" \
        >"$work/conf"
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$out.key" 2>/dev/null
    openssl req -new -key "$out.key" -subj "$subject" -config "$work/conf" -out "$work/csr"
    if ! openssl ca -batch -notext -config "$work/conf" -extensions ext -in "$work/csr" \
        -cert "$ca/ca.crt" -keyfile "$ca/ca.key" -startdate "$from" -enddate "$to" \
        -out "$out.crt" 2>"$work/log"; then
        cat "$work/log" >&2
        rm -rf "$work"
        return 1
    fi
    rm -rf "$work"
}

# _certs_foreign_ca DIR: another CA of the same name
_certs_foreign_ca() {
    mkdir -p "$1"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
        -subj /CN=Joblet-CA -keyout "$1/ca.key" -out "$1/ca.crt" 2>/dev/null
}

# _certs_embed FILE KEY CERTIFICATE: replaces the PEM block below "KEY: |" in a YAML file
_certs_embed() {
    awk -v key="$2" -v pem="$3" '
        skip && $0 ~ "^" pad "  " { next }
        { skip = 0 }
        $0 ~ "^ *" key ": [|]$" {
            print
            match($0, /^ */); pad = substr($0, 1, RLENGTH)
            while ((getline line < pem) > 0) print pad "  " line
            skip = 1
            next
        }
        { print }' "$1" >"$1.new" && chmod 600 "$1.new" && mv "$1.new" "$1"
}

# _certs_client DIR CA_DIR SUBJECT FILE FROM TO [EKU]
_certs_client() {
    local tmp
    tmp=$(mktemp -d) || return 1
    _certs_sign "$2" "$tmp/c" "$3" "$5" "$6" "extendedKeyUsage=${7:-clientAuth}" &&
        cp "$1/config/rnx-config.yml" "$4" && _certs_embed "$4" cert "$tmp/c.crt" &&
        _certs_embed "$4" key "$tmp/c.key"
    local r=$?
    rm -rf "$tmp"
    return $r
}

certs_client_expired() { _certs_client "$1" "$1/config/ca" "/OU=$2/CN=expired" "$3" '-2 days' '-1 day'; }
certs_client_future() { _certs_client "$1" "$1/config/ca" "/OU=$2/CN=future" "$3" '+1 day' '+2 days'; }
certs_client_subject() { _certs_client "$1" "$1/config/ca" "$2" "$3" '-1 hour' '+1 day'; }
certs_client_no_eku() {
    _certs_client "$1" "$1/config/ca" "/OU=$2/CN=server-only" "$3" '-1 hour' '+1 day' serverAuth
}
certs_client_foreign() {
    _certs_foreign_ca "$1/foreign-ca" &&
        _certs_client "$1" "$1/foreign-ca" "/OU=$2/CN=$2-client" "$3" '-1 hour' '+1 day'
}

# _certs_server DIR CA_DIR NAMES FROM TO
_certs_server() {
    local tmp
    tmp=$(mktemp -d) || return 1
    _certs_sign "$2" "$tmp/s" /CN=joblet-server "$4" "$5" extendedKeyUsage=serverAuth \
        "subjectAltName=$3" &&
        _certs_embed "$1/config/joblet-config.yml" serverCert "$tmp/s.crt" &&
        _certs_embed "$1/config/joblet-config.yml" serverKey "$tmp/s.key"
    local r=$?
    rm -rf "$tmp"
    return $r
}

certs_server_expired() { _certs_server "$1" "$1/config/ca" DNS:joblet '-2 days' '-1 day'; }
certs_server_name() { _certs_server "$1" "$1/config/ca" "DNS:$2" '-1 hour' '+1 day'; }
certs_server_foreign() {
    _certs_foreign_ca "$1/foreign-ca" && _certs_server "$1" "$1/foreign-ca" DNS:joblet '-1 hour' '+1 day'
}

# certs_pem FILE KEY: the PEM text of the first block of that key in a YAML file
certs_pem() {
    awk -v key="$2" '
        found && $0 !~ "^" pad "  " { exit }
        found { sub("^" pad "  ", ""); print }
        !found && $0 ~ "^ *" key ": [|]$" { match($0, /^ */); pad = substr($0, 1, RLENGTH); found = 1 }' "$1"
}
