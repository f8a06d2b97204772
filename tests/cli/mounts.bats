#!/usr/bin/env bats
# Mounts, devices, masked and read-only paths: what the container's file system looks like.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

# mountinfo PATH: options of the mount there, as the program sees them, then those of its file system.
show_mount='awk -v p="$0" '"'"'$5 == p { o = $6; for (i = 7; $i != "-"; i++) o = o " " $i; r = o " - " $(i+1) " " $(i+3) } END { print r }'"'"' /proc/self/mountinfo'
has_option() { # has_option OPTION: among those of the mount in $output
    [[ ",${output%% *}," == *",$1,"* ]] || { echo "no $1 in: $output" >&2; return 1; }
}

# A directory of the host to be mounted: $source.
host_dir() {
    source=$BATS_TEST_TMPDIR/source
    mkdir -p "$source"
    echo "of the host" >"$source/file"
}

# bats test_tags=smoke
@test "a directory of the host is bound and can be written" {
    host_dir
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["rbind", "rw"])]' \
        sh -c 'cat /mnt/file; echo inside >/mnt/new'
    try
    equals "$output" "of the host"
    equals "$(cat "$source/new")" inside
    nothing_left
}

@test "a read-only bind can be read and not written" {
    host_dir
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["rbind", "ro"])]' \
        sh -c 'cat /mnt/file; touch /mnt/new'
    try
    [ "$status" -ne 0 ]
    contains "$output" "of the host"
    contains "$stderr" "Read-only file system"
    [ ! -e "$source/new" ]
}

@test "type none with the option bind is a bind, as Slurm writes it" {
    host_dir
    bundle '.mounts += [mount("/mnt"; "none"; $tmp + "/source"; ["bind"])]' cat /mnt/file
    try
    equals "$output" "of the host"
}

@test "a relative source is taken from the bundle" {
    bundle '.mounts += [mount("/mnt"; "bind"; "data"; ["bind"])]' cat /mnt/file
    mkdir "$bundle/data"
    echo "of the bundle" >"$bundle/data/file"
    cd /
    try
    equals "$output" "of the bundle"
}

@test "a file is bound over a file that did not exist" {
    host_dir
    bundle '.mounts += [mount("/etc/new/file"; "bind"; $tmp + "/source/file"; ["bind", "ro"])]' cat /etc/new/file
    try
    equals "$output" "of the host"
}

@test "missing directories of a destination are made" {
    bundle '.mounts += [mount("/a/b/c"; "tmpfs"; "tmpfs"; [])]' sh -c "$show_mount" /a/b/c
    try
    contains "$output" "tmpfs"
}

@test "a tmpfs has the size and mode that were asked for" {
    not_runc "takes the mode of the directory below"
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["size=1m", "mode=1750"])]' \
        sh -c 'stat -c %a /mnt; head -c 2000000 /dev/zero >/mnt/big; stat -c %s /mnt/big'
    try
    equals "${lines[0]}" 1750
    equals "${lines[1]}" 1048576
}

@test "nosuid, nodev and noexec reach the kernel" {
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["nosuid", "nodev", "noexec"])]' sh -c "$show_mount" /mnt
    try
    has_option nosuid
    has_option nodev
    has_option noexec
}

@test "options of a bind reach the kernel" {
    host_dir
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["bind", "nosuid", "nodev", "noexec", "noatime"])]' \
        sh -c "$show_mount" /mnt
    try
    local option
    for option in nosuid nodev noexec noatime rw; do has_option $option; done
}

@test "of options that contradict each other the last holds" {
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["ro", "noexec", "rw", "exec"])]' sh -c "$show_mount" /mnt
    try
    has_option rw
    [[ $output != *noexec* ]]
}

@test "noexec keeps programs from running" {
    host_dir
    cp /bin/busybox "$source/true"
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["bind", "noexec"])]' /mnt/true
    try
    [ "$status" -ne 0 ]
    contains "${stderr,,}" "permission denied"
}

@test "recursive read-only covers the mounts below" {
    host_dir
    mkdir "$source/below"
    mount -t tmpfs below "$source/below"
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["rbind", "rro"])]' \
        sh -c 'touch /mnt/x; touch /mnt/below/x'
    try
    [ "$status" -ne 0 ]
    equals "$(grep -c "Read-only file system" <<<"$stderr")" 2
}

@test "bind leaves the mounts below behind and rbind takes them along" {
    host_dir
    mkdir "$source/below"
    mount -t tmpfs below "$source/below"
    touch "$source/below/here"
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["bind"]),
        mount("/work"; "bind"; $tmp + "/source"; ["rbind"])]' sh -c 'ls /mnt/below; echo -; ls /work/below'
    try
    equals "$output" $'-\nhere'
}

# sees_later OPTION: whether a mount made by the host later on shows in the container.
sees_later() {
    host_dir
    mkdir "$source/later"
    mount --bind "$source" "$source"
    mount --make-shared "$source"
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["rbind", "'"$1"'"])]' sleep 1000
    create
    mount -t tmpfs later "$source/later"
    grep -q " /mnt/later " "/proc/$(container_pid)/mountinfo"
}

@test "rslave passes the host's later mounts on" {
    sees_later rslave
}

@test "rprivate keeps the host's later mounts out" {
    run sees_later rprivate
    equals "$status" 1
    equals "$output" ""
}

@test "rshared lets the container mount for the host" {
    host_dir
    mkdir "$source/sub"
    mount --bind "$source" "$source"
    mount --make-shared "$source"
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["rbind", "rshared"])]
        | .linux.rootfsPropagation = "rshared" | .process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])' \
        sh -c 'mount -t tmpfs t /mnt/sub && sleep 1000'
    detach
    until_true grep -q " $source/sub " /proc/self/mountinfo
    rt delete --force "$id"
}

@test "no mount of a container reaches the host" {
    bundle '.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])' sh -c 'mount -t tmpfs t /mnt; echo done; sleep 1000'
    mount --bind "$bundle/rootfs" "$bundle/rootfs"
    mount --make-shared "$bundle/rootfs"
    local before
    before=$(cat /proc/self/mountinfo)
    detach
    until_true said "done"
    equals "$(cat /proc/self/mountinfo)" "$before"
    rt delete --force "$id"
}

@test "a destination through an absolute symlink stays in the root file system" {
    mkdir "$BATS_TEST_TMPDIR/host"
    bundle '.mounts += [mount("/link/made"; "tmpfs"; "tmpfs"; [])]' sh -c 'grep -c "/made " /proc/self/mountinfo'
    ln -s "$BATS_TEST_TMPDIR/host" "$bundle/rootfs/link"
    try
    equals "$(ls -A "$BATS_TEST_TMPDIR/host")" ""
    [ "$status" -ne 0 ] || equals "$output" 1
    nothing_left
}

@test "a destination through dots in a symlink stays in the root file system" {
    mkdir "$BATS_TEST_TMPDIR/host"
    bundle '.mounts += [mount("/link"; "tmpfs"; "tmpfs"; [])]' echo ran
    ln -s "../../../../../../../../..$BATS_TEST_TMPDIR/host" "$bundle/rootfs/link"
    try
    equals "$(ls -A "$BATS_TEST_TMPDIR/host")" ""
    [ "$output" = ran ] || [ "$status" -ne 0 ]
    nothing_left
}

@test "a destination with dots stays in the root file system" {
    bundle '.mounts += [mount("/../../../../..\($tmp)/up"; "tmpfs"; "tmpfs"; [])]' echo ran
    try
    [ "$output" = ran ] || [ "$status" -ne 0 ]
    [ ! -e "$BATS_TEST_TMPDIR/up" ]
    nothing_left
}

@test "an idmapped bind shows files of the host's root as the container's root's" {
    not_runc "1.1 has none"
    host_dir
    bundle 'userns | .mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["bind", "idmap"])]' \
        sh -c 'stat -c "%u %g" /mnt/file; touch /mnt/new'
    try
    equals "$status" 0
    equals "$output" "0 0"
    equals "$(stat -c '%u %g' "$source/new")" "0 0"
}

@test "mappings of a mount of its own hold" {
    not_runc "1.1 has none"
    host_dir
    chown 500:600 "$source/file"
    bundle 'userns | .mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["bind"])
        + {uidMappings: [{containerID: 500, hostID: 100003, size: 1}], gidMappings: [{containerID: 600, hostID: 200004, size: 1}]}]' \
        stat -c "%u %g" /mnt/file
    try
    equals "$status" 0
    equals "$output" "3 4"
}

@test "without an idmap the host's root is nobody in a user namespace" {
    host_dir
    bundle 'userns | .mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["bind"])]' stat -c %u /mnt/file
    try
    equals "$output" 65534
}

@test "the whole root file system is idmapped by an annotation" {
    not_runc "is joblet-run's own"
    bundle 'userns | .annotations = {"io.joblet.rootfs.idmap": "true"}' \
        sh -c 'stat -c "%u %g" /etc/passwd; touch /etc/new'
    try
    equals "$status" 0
    equals "$output" "0 0"
    equals "$(stat -c '%u %g' "$bundle/rootfs/etc/new")" "0 0"
}

# bats test_tags=smoke
@test "a read-only root cannot be written" {
    bundle '.root.readonly = true' sh -c 'touch /file; touch /dev/shm/file'
    try
    contains "$stderr" "touch: /file: Read-only file system"
    equals "$status" 0
    [ ! -e "$bundle/rootfs/file" ]
}

@test "what the container writes is in the bundle's root file system" {
    bundle . sh -c 'echo kept >/work/file'
    try
    equals "$(cat "$bundle/rootfs/work/file")" kept
}

@test "a masked file is empty and a masked directory too" {
    bundle '.linux.maskedPaths = ["/etc/passwd", "/etc/secret", "/no/such/path"]' \
        sh -c 'cat /etc/passwd; ls -A /etc/secret; echo end'
    mkdir "$bundle/rootfs/etc/secret"
    touch "$bundle/rootfs/etc/secret/file"
    try
    equals "$status" 0
    equals "$output" end
}

@test "a masked directory cannot be written" {
    bundle '.linux.maskedPaths = ["/etc/secret"]' touch /etc/secret/new
    mkdir "$bundle/rootfs/etc/secret"
    try
    [ "$status" -ne 0 ]
    [[ $stderr == *"Read-only file system"* || $stderr == *"Permission denied"* ]]
    [ ! -e "$bundle/rootfs/etc/secret/new" ]
}

@test "the paths of proc that engines mask are masked" {
    bundle '.linux.maskedPaths = ["/proc/kcore", "/proc/keys", "/proc/acpi", "/sys/firmware"]' \
        sh -c 'head -c 16 /proc/kcore | wc -c; cat /proc/keys; ls -A /sys/firmware /proc/acpi 2>/dev/null | grep -v :'
    try
    equals "$output" 0
}

@test "a read-only path cannot be written and the rest can" {
    bundle '.linux.readonlyPaths = ["/work", "/no/such/path"]' sh -c 'touch /tmp/file && touch /work/file'
    try
    [ "$status" -ne 0 ]
    equals "$stderr" "touch: /work/file: Read-only file system"
    [ -e "$bundle/rootfs/tmp/file" ]
}

@test "a read-only path keeps the options of its mount" {
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["nosuid", "nodev", "noexec"])]
        | .linux.readonlyPaths = ["/mnt"]' sh -c "$show_mount" /mnt
    try
    local option
    for option in ro nosuid nodev noexec; do has_option $option; done
}

# root_propagation WORD: the optional fields of the container's / in mountinfo.
root_propagation() {
    [ -d "$bundle/rootfs" ] || bundle . true
    mount --bind "$bundle/rootfs" "$bundle/rootfs"
    mount --make-shared "$bundle/rootfs"
    bundle '.linux.rootfsPropagation = "'"$1"'"' sh -c "$show_mount" /
    try
    output=${output%% - *}
}

@test "rootfsPropagation private cuts the root off" {
    root_propagation private
    contains "$output" rw
    [[ $output != *:* ]]
}

@test "rootfsPropagation slave sends nothing back" {
    root_propagation slave
    contains "$output" rw
    [[ $output != *shared:* ]]
}

@test "rootfsPropagation shared makes the root shared" {
    not_runc "1.1 leaves it private"
    root_propagation shared
    contains "$output" shared:
}

@test "the default devices are there and usable by all" {
    bundle . sh -c 'for d in null zero full random urandom tty; do stat -c "%n %t:%T %a %F" /dev/$d; done'
    try
    equals "$output" "/dev/null 1:3 666 character special file
/dev/zero 1:5 666 character special file
/dev/full 1:7 666 character special file
/dev/random 1:8 666 character special file
/dev/urandom 1:9 666 character special file
/dev/tty 5:0 666 character special file"
}

@test "the default devices work" {
    bundle . sh -c 'echo gone >/dev/null && head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; echo x >/dev/full'
    try
    equals "$output" $'3\n5'
    contains "$stderr" "No space left"
}

@test "the links of /dev are there" {
    bundle . sh -c 'for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done'
    try
    equals "$output" $'/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx'
}

@test "in a user namespace the default devices work" {
    bundle userns sh -c 'echo gone >/dev/null && head -c 3 /dev/zero | wc -c'
    try
    equals "$output" 3
}

@test "devices that are asked for are made with mode and owner" {
    bundle '.linux.devices = [{path: "/dev/deep/er/x", type: "c", major: 1, minor: 3, fileMode: 416, uid: 7, gid: 8},
        {path: "/dev/pipe", type: "p", fileMode: 384}, {path: "/dev/disk", type: "b", major: 7, minor: 200}]' \
        sh -c 'stat -c "%F %t:%T %a %u %g" /dev/deep/er/x; stat -c "%F %a" /dev/pipe; stat -c "%F %t:%T" /dev/disk'
    try
    equals "$output" "character special file 1:3 640 7 8
fifo 600
block special file 7:c8"
}

@test "a device may be outside of /dev" {
    bundle '.linux.devices = [{path: "/work/none", type: "c", major: 1, minor: 3}]' stat -c %t:%T /work/none
    try
    equals "$output" 1:3
}

@test "the container's /dev does not change the image" {
    bundle . sh -c 'touch /dev/new && echo made'
    try
    equals "$output" made
    equals "$(ls -A "$bundle/rootfs/dev")" ""
}

@test "the container's control groups can be seen and not changed" {
    bundle '.mounts += [mount("/sys/fs/cgroup"; "cgroup"; "cgroup"; ["nosuid", "noexec", "nodev", "ro"])]
        | .linux.namespaces += [{type: "cgroup"}] | .linux.resources.pids = {limit: 77}' \
        sh -c 'cd /sys/fs/cgroup; [ ! -d pids ] || cd pids; cat pids.max; echo 99 >pids.max'
    try
    equals "$output" 77
    [ "$status" -ne 0 ]
}

@test "sysfs and proc are where they are asked for" {
    bundle . sh -c 'stat -f -c %T /proc; [ -d /sys/class ] && touch /sys/x'
    try
    equals "$output" proc
    contains "$stderr" "touch: /sys/x"
}

@test "tmpcopyup fills a tmpfs with what was there" {
    bundle '.mounts += [mount("/etc"; "tmpfs"; "tmpfs"; ["tmpcopyup"])]' sh -c 'ls /etc; touch /etc/new; stat -f -c %T /etc'
    try
    equals "$output" $'group\npasswd\ntmpfs'
    [ ! -e "$bundle/rootfs/etc/new" ]
}

@test "mounts are made in the order of the list" {
    host_dir
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; []), mount("/mnt/a"; "bind"; $tmp + "/source"; ["bind"])]' \
        cat /mnt/a/file
    try
    equals "$output" "of the host"
}

@test "a bind of the host's /dev stays as it is, however its destination is written" {
    mkdir "$BATS_TEST_TMPDIR/dev"
    local dest
    for dest in /dev /dev/ //dev /dev/. /./dev//; do
        bundle '.mounts |= map(select(.destination | startswith("/dev") | not))
            | .mounts += [mount("'"$dest"'"; "bind"; $tmp + "/dev"; ["rbind"])]' ls /dev
        try
        equals "$(ls -A "$BATS_TEST_TMPDIR/dev")" ""
    done
}

# --- every option of the specification ---

# bats test_tags=smoke
@test "three hundred binds fit into a small limit of open files, which the program gets back" {
    host_dir
    bundle '.mounts += [range(300) | mount("/mnt/\(.)"; "bind"; $tmp + "/source"; ["bind", "ro"])]' \
        sh -c 'ulimit -Sn; grep -c " /mnt/" /proc/self/mountinfo; cat /mnt/299/file'
    ulimit -Sn 256
    try
    equals "$output" $'256\n300\nof the host'
    equals "$(ulimit -Sn)" 256
    nothing_left
}

@test "a bind on /dev is the whole /dev, however its destination is written" {
    host_dir
    local where
    for where in /dev /work/../dev //dev/. ../dev; do
        bundle '.mounts |= map(select(.destination | startswith("/dev") | not))
            | .mounts += [mount("'$where'"; "bind"; $tmp + "/source"; ["bind"])]' ls /dev
        try
        equals "$output" file
        equals "$(ls -A "$source")" file
    done
}

@test "rootfsPropagation slave lets the host's later mounts in" {
    [ -d "$bundle/rootfs" ] || bundle . true
    mount --bind "$bundle/rootfs" "$bundle/rootfs"
    mount --make-shared "$bundle/rootfs"
    bundle '.linux.rootfsPropagation = "rslave"' sleep 1000
    create
    mount -t tmpfs later "$bundle/rootfs/mnt"
    grep -q " /mnt " "/proc/$(container_pid)/mountinfo"
    rt delete --force "$id"
}

@test "sync, dirsync and lazytime are set on the file system" {
    not_runc
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["sync", "dirsync", "lazytime", "nomand", "silent", "loud", "async", "sync"])]' \
        sh -c "$show_mount" /mnt
    try
    equals "$status" 0
    local option
    for option in sync dirsync lazytime; do contains ",${output##* }," ",$option,"; done
}

@test "of sync and async the last holds" {
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["sync", "async"])]' sh -c "$show_mount" /mnt
    try
    [[ ",${output##* }," != *,sync,* ]]
}

@test "iversion is asked of the kernel" {
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["iversion", "size=1m", "nodev", "dirsync"])]' \
        sh -c "touch /mnt/file; $show_mount" /mnt
    run --separate-stderr strace -f -qq -e trace=mount -o "$BATS_TEST_TMPDIR/trace" \
        "$runtime" --root "$root" run --bundle "$bundle" "$id" 3>&- 4>&-
    equals "$status" 0
    has_option nodev
    contains "$output" size=1024k
    contains "$output" dirsync
    grep -q 'MS_I_VERSION' "$BATS_TEST_TMPDIR/trace"
    nothing_left
}

@test "nosymfollow keeps symlinks from being followed and rnosymfollow below as well" {
    not_runc "1.1 has none"
    host_dir
    mkdir "$source/below"
    mount -t tmpfs below "$source/below"
    ln -s /etc/passwd "$source/link"
    ln -s /etc/passwd "$source/below/link"
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["rbind", "nosymfollow"]),
        mount("/work"; "bind"; $tmp + "/source"; ["rbind", "rnosymfollow"])]' \
        sh -c 'for f in /mnt/link /mnt/below/link /work/link /work/below/link; do cat $f >/dev/null 2>&1; echo $?; done'
    try
    equals "$output" $'1\n0\n1\n1'
}

@test "an option of a file system on a bind is refused, and its opposite is not" {
    not_runc "takes it in silence"
    host_dir
    local option
    for option in sync dirsync lazytime mand iversion size=1m; do
        bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["bind", "'$option'"])]' true
        try
        [ "$status" -ne 0 ]
        contains "$stderr" "mounts[5].options: '$option' cannot be set on a bind mount"
    done
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["bind", "async", "nolazytime", "nomand", "noiversion", "silent", "loud"])]' cat /mnt/file
    try
    equals "$output" "of the host"
}

@test "a remount changes the mount and its file system" {
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["size=1m", "nodev"]),
        mount("/mnt"; "tmpfs"; "tmpfs"; ["remount", "ro", "noexec", "size=2m"])]' sh -c "$show_mount" /mnt
    try
    has_option ro
    has_option noexec
    contains "$output" size=2048k
}

@test "src-nofollow, copy-symlink and dest-nofollow are about symlinks" {
    not_runc "has none of them"
    host_dir
    ln -s file "$source/link"
    bundle '.mounts += [mount("/work/copy"; "bind"; $tmp + "/source/link"; ["bind", "copy-symlink"]),
        mount("/work/plain"; "bind"; $tmp + "/source/file"; ["bind", "copy-symlink"]),
        mount("/work/here"; "bind"; $tmp + "/source/file"; ["bind", "dest-nofollow"]),
        mount("/work/it"; "bind"; $tmp + "/source/link"; ["bind", "src-nofollow"])]' \
        sh -c 'readlink /work/copy; cat /work/plain; cat /work/here; stat -c %F /etc/elsewhere; readlink /work/it; true'
    ln -s /etc/elsewhere "$bundle/rootfs/work/here"
    try
    echo "$output / $stderr"
    equals "${lines[0]}" file
    equals "${lines[1]}" "of the host"
    [ ! -e "$bundle/rootfs/etc/elsewhere" ]
    contains "$output" $'\nfile'
}

@test "copy-symlink leaves what is there" {
    not_runc "has none"
    host_dir
    ln -s file "$source/link"
    bundle '.mounts += [mount("/work/copy"; "bind"; $tmp + "/source/link"; ["bind", "copy-symlink"])]' true
    touch "$bundle/rootfs/work/copy"
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "is there already and is something else"
    [ -f "$bundle/rootfs/work/copy" ]
}

tmpfs_idmap() { is_linux 6.3 || skip "idmapped tmpfs came with Linux 6.3"; }

@test "a new file system is idmapped by a map of its own" {
    not_runc "binds only"
    tmpfs_idmap
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["mode=777", "uid=500", "gid=600"])
        + {uidMappings: [{containerID: 500, hostID: 3, size: 1}, {containerID: 0, hostID: 0, size: 1}],
           gidMappings: [{containerID: 600, hostID: 4, size: 1}, {containerID: 0, hostID: 0, size: 1}]}]' stat -c "%u %g" /mnt
    try
    equals "$output" "3 4"
}

@test "a new file system is idmapped by the container's user namespace" {
    not_runc "binds only"
    tmpfs_idmap
    bundle 'userns | .mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; ["mode=755", "idmap"])]' \
        sh -c 'touch /mnt/file; stat -c "%u %g" /mnt/file /mnt'
    try
    equals "$output" $'0 0\n0 0'
}

@test "an idmap without a user namespace, or of a kernel's own file system, is refused" {
    not_runc "1.1 has none"
    host_dir
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/source"; ["bind", "ridmap"])]' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "mounts[5].options: idmap without uidMappings needs a user namespace"
    bundle 'userns | .mounts[0].options = ["idmap"]' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "mounts[0]: a mount of type 'proc' cannot be idmapped"
}

@test "/proc and /sys must be real directories" {
    not_runc "has its own words"
    bundle . echo ran
    rmdir "$bundle/rootfs/sys"
    ln -s work "$bundle/rootfs/sys"
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "'/sys' must be a directory, and no symlink leading to it"
}

@test "tmpcopyup fills a tmpfs that is read-only afterwards" {
    not_runc
    bundle '.mounts += [mount("/etc"; "tmpfs"; "tmpfs"; ["tmpcopyup", "ro"])]' sh -c 'head -n 1 /etc/passwd; touch /etc/new'
    try
    equals "$output" "root:x:0:0::/root:/bin/sh"
    contains "$stderr" "Read-only file system"
}

@test "a device of type u is a character device" {
    bundle '.linux.devices = [{path: "/dev/un", type: "u", major: 1, minor: 3}]' stat -c "%F %t:%T" /dev/un
    try
    equals "$output" "character special file 1:3"
}
