#!/usr/bin/env bats
# config.md: mounts.

load lib.bash

# mounted OPTIONS...: tmpfs after tmpfs with a list of options each ("ro,nodev") at /mnt/0, /mnt/1 ...;
# line N+1 of $output is that of mount N in mountinfo.
mounted() {
    local list
    list=$(printf '%s\n' "$@" | jq -Rn '[inputs | split(",")]')
    bundle '.mounts += ['"$list"' | to_entries[] | mount("/mnt/\(.key)"; "tmpfs"; "tmpfs"; .value)]' \
        awk '$5 ~ "^/mnt/" { print }' /proc/self/mountinfo
    try
    ran 0
}
# bound OPTIONS...: the same with recursive binds of $tree.
bound() {
    local list
    list=$(printf '%s\n' "$@" | jq -Rn '[inputs | split(",")]')
    bundle '.mounts += ['"$list"' | to_entries[] | mount("/mnt/\(.key)"; "none"; $tmp + "/tree"; (["rbind"] + .value))]' \
        awk '$5 ~ "^/mnt/" { print }' /proc/self/mountinfo
    try
    ran 0
}
# has WHERE WORD, lacks WHERE WORD: options (of the mount, the propagation and the file system) of one.
options() { awk -v p="/mnt/$1" '$5 == p { print "," $6 "," $7 "," $8 "," $NF "," }' <<<"$output"; }
has() { contains "$(options "$1")" ",$2"; }
lacks() {
    [ -n "$(options "$1")" ] || { echo "no /mnt/$1" >&2; return 1; }
    [[ $(options "$1") != *",$2,"* ]] || { echo "$2 is among $(options "$1")" >&2; return 1; }
}

@test "config/mounts/order" {
    mkdir "$BATS_TEST_TMPDIR/source"
    echo below >"$BATS_TEST_TMPDIR/source/file"
    shows '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; []), mount("/mnt/a"; "bind"; $tmp + "/source"; ["bind"])]' \
        below cat /mnt/a/file
    shows '.mounts += [mount("/mnt/a"; "bind"; $tmp + "/source"; ["bind"]), mount("/mnt"; "tmpfs"; "tmpfs"; [])]' "" ls /mnt
}

@test "config/mounts/destination-relative" {
    shows '.mounts += [mount("mnt"; "tmpfs"; "tmpfs"; [])] | .process.cwd = "/tmp"' tmpfs stat -f -c %T /mnt
}

@test "config/mounts/destination-required" {
    refused '.mounts += [{type: "tmpfs", source: "tmpfs"}]'
}

@test "config/mounts/source" {
    mkdir "$BATS_TEST_TMPDIR/source"
    bundle . true
    mkdir "$bundle/near"
    echo near >"$bundle/near/file"
    echo far >"$BATS_TEST_TMPDIR/source/file"
    shows '.mounts += [mount("/mnt"; "bind"; "near"; ["bind"])]' near cat /mnt/file
    shows '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["rbind"])]' far cat /mnt/file
    shows '.mounts += [mount("/mnt/f"; "bind"; $tmp + "/source/file"; ["bind"])]' far cat /mnt/f
}

@test "config/mounts/bind-by-option" {
    host_tree
    touch "$tree/here"
    bundle '.mounts += [mount("/mnt/a"; "none"; $tmp + "/tree"; ["bind"]), mount("/mnt/b"; "tmpfs"; $tmp + "/tree"; ["rbind"])]' \
        sh -c 'ls /mnt/a /mnt/b; grep -c "/mnt/[ab]/sub" /proc/self/mountinfo'
    try
    equals "$(xargs <<<"$output")" "/mnt/a: here sub /mnt/b: here sub 1"
}

# bats test_tags=smoke
@test "config/mounts/options/security" {
    mounted nosuid nodev noexec nosuid,suid nodev,dev noexec,exec
    has 0 nosuid; has 1 nodev; has 2 noexec
    lacks 3 nosuid; lacks 4 nodev; lacks 5 noexec
}

@test "config/mounts/options/read-write" {
    mounted ro ro,rw defaults ro,noexec,defaults
    has 0 ro; has 1 rw; has 2 rw
    lacks 2 nosuid; lacks 2 nodev; lacks 2 noexec
}

@test "config/mounts/options/atime" {
    mounted noatime relatime strictatime nodiratime nodiratime,diratime noatime,atime noatime,norelatime strictatime,nostrictatime
    has 0 noatime; has 1 relatime; lacks 2 noatime; lacks 2 relatime; has 3 nodiratime
    lacks 4 nodiratime; lacks 5 noatime; has 6 rw
    has 7 relatime # the kernel's own way when nothing else is asked for
}

@test "config/mounts/options/writing" {
    mounted sync dirsync sync,async lazytime lazytime,nolazytime
    has 0 sync; has 1 dirsync; lacks 2 sync; has 3 lazytime; lacks 4 lazytime
}

@test "config/mounts/options/taken" {
    mounted iversion noiversion silent loud
    has 0 rw; has 1 rw; has 2 rw; has 3 rw # nothing shows them in a tmpfs, but they are no data of its
}

@test "config/mounts/options/remount" {
    bundle '.mounts += [mount("/mnt/0"; "tmpfs"; "tmpfs"; ["size=64k"]), mount("/mnt/0"; "tmpfs"; "tmpfs"; ["remount", "ro"])]' \
        sh -c 'awk "\$5 ~ \"^/mnt\" { print }" /proc/self/mountinfo; touch /mnt/0/x 2>/dev/null && echo written; :'
    try
    ran 0
    equals "$(wc -l <<<"$output")" 1
    [[ $(options 0) == *,ro,* ]]
}

@test "config/mounts/options/bind" {
    host_tree
    bundle '.mounts += [mount("/mnt/0"; "none"; $tmp + "/tree"; ["bind"]), mount("/mnt/1"; "none"; $tmp + "/tree"; ["rbind"])]' \
        awk '$5 ~ "^/mnt/" { print }' /proc/self/mountinfo
    try
    equals "$(awk '{ print $5 }' <<<"$output" | xargs)" "/mnt/0 /mnt/1 /mnt/1/sub"
}

@test "config/mounts/options/propagation" {
    host_tree
    mount --make-rshared "$tree"
    bound private shared slave unbindable
    lacks 0 shared; [[ $(options 0) != *shared:* && $(options 0) != *master:* ]]
    has 1 shared:; has 2 master:; [[ $(options 2) != *shared:* ]]; has 3 unbindable
}

@test "config/mounts/options/propagation-recursive" {
    host_tree
    mount --make-rshared "$tree"
    bound rprivate rshared rslave runbindable
    has 0/sub rw; [[ $(options 0/sub) != *shared:* && $(options 0/sub) != *master:* ]]
    has 1/sub shared:; has 2/sub master:; [[ $(options 2/sub) != *shared:* ]]; has 3/sub unbindable
}

@test "config/mounts/options/symfollow" {
    mounted nosymfollow nosymfollow,symfollow
    has 0 nosymfollow
    lacks 1 nosymfollow
}

# bats test_tags=smoke
@test "config/mounts/options/recursive" {
    host_tree
    bound rro rnosuid rnodev rnoexec rnoatime rnodiratime rnosymfollow rstrictatime
    has 0/sub ro; has 1/sub nosuid; has 2/sub nodev; has 3/sub noexec; has 4/sub noatime; has 5/sub nodiratime
    has 6/sub nosymfollow; lacks 7/sub relatime; lacks 7/sub noatime
    has 0 ro; has 1 nosuid; has 2 nodev; has 3 noexec; has 4 noatime; has 5 nodiratime; has 6 nosymfollow
}

@test "config/mounts/options/recursive-opposites" {
    host_tree nosuid,nodev,noexec,noatime,nodiratime nosuid,nodev,noexec,noatime,nodiratime
    mount -o remount,bind,ro,nosuid,nodev,noexec "$tree/sub"
    bound rrw rsuid rdev rexec ratime rdiratime rrelatime rnosymfollow,rsymfollow rstrictatime,rnostrictatime rnorelatime
    has 0/sub rw; lacks 1/sub nosuid; lacks 2/sub nodev; lacks 3/sub noexec; lacks 4/sub noatime; lacks 5/sub nodiratime
    has 6/sub relatime; lacks 7/sub nosymfollow; has 8/sub relatime; has 9/sub nosuid
}

@test "config/mounts/options/mount8" {
    # "user" and "_netdev" are mount(8)'s own; a size in percent is the file system's
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["size=64k", "mode=0711", "nosuid"])]' \
        awk '$5 == "/mnt" { print $6, $NF }' /proc/self/mountinfo
    try
    contains "$output" nosuid
    contains "$output" size=64k
}

@test "config/mounts/options/data" {
    shows '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["mode=0711", "uid=7", "nr_inodes=50"])]' "7 50" \
        sh -c 'echo "$(stat -c %u /mnt) $(stat -f -c %c /mnt)"'
    refused '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["nosuchoption"])]'
}

# owners [OPTION]: who owns a file of the host's uid 1 in a bind with it.
idmap_source() {
    mkdir -p "$BATS_TEST_TMPDIR/tree/sub"
    touch "$BATS_TEST_TMPDIR/tree/file"
    chown 1:2 "$BATS_TEST_TMPDIR/tree/file"
    chmod 711 "$BATS_TEST_TMPDIR/tree"
}
own_map='{uidMappings: [{containerID: 0, hostID: 500, size: 10}], gidMappings: [{containerID: 0, hostID: 600, size: 10}]}'

@test "config/mounts/idmap/mappings" {
    idmap_source
    local option
    for option in idmap ridmap; do
        shows '.mounts += [mount("/mnt"; "bind"; $tmp + "/tree"; ["rbind", "'$option'"]) + '"$own_map"']' "501 602" \
            stat -c "%u %g" /mnt/file
    done
}

@test "config/mounts/idmap/of-the-container" {
    idmap_source
    shows 'userns | .mounts += [mount("/mnt"; "bind"; $tmp + "/tree"; ["bind", "idmap"])]' "1 2" stat -c "%u %g" /mnt/file
}

@test "config/mounts/idmap/no-map" {
    idmap_source
    refused '.mounts += [mount("/mnt"; "bind"; $tmp + "/tree"; ["bind", "idmap"])]' \
        '.mounts += [mount("/mnt"; "bind"; $tmp + "/tree"; ["rbind", "ridmap"])]'
}

@test "config/mounts/idmap/recursive" {
    is_linux 6.3 || skip "idmapped tmpfs came with Linux 6.3"
    host_tree
    touch "$tree/file" "$tree/sub/file"
    chown 1:2 "$tree/file" "$tree/sub/file"
    shows '.mounts += [mount("/mnt/0"; "bind"; $tmp + "/tree"; ["rbind", "idmap"]) + '"$own_map"',
        mount("/mnt/1"; "bind"; $tmp + "/tree"; ["rbind", "ridmap"]) + '"$own_map"']' $'501\n1\n501\n501' \
        stat -c %u /mnt/0/file /mnt/0/sub/file /mnt/1/file /mnt/1/sub/file
}

@test "config/mounts/idmap/without-option" {
    idmap_source
    shows '.mounts += [mount("/mnt"; "bind"; $tmp + "/tree"; ["bind"]) + '"$own_map"']' "501 602" stat -c "%u %g" /mnt/file
}

@test "config/mounts/idmap/both-maps" {
    idmap_source
    refused '.mounts += [mount("/mnt"; "bind"; $tmp + "/tree"; ["bind", "idmap"]) + ('"$own_map"' | del(.gidMappings))]' \
        '.mounts += [mount("/mnt"; "bind"; $tmp + "/tree"; ["bind", "idmap"]) + ('"$own_map"' | del(.uidMappings))]'
}
