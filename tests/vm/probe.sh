#!/usr/bin/env bash
# shellcheck disable=SC2016
# probe.sh - run inside the guest by selftest: the kernel features and tools
# that joblet's tests need, each tried once.
set -u
share=$PWD
tmp=$(mktemp -d /tmp/probe.XXXXXX)
chmod 755 "$tmp"
cd "$tmp" || exit 1
mkdir -p root/bin root/proc root/sys root/dev root/tmp
cp /bin/busybox root/bin/
for x in sh cat true mknod head id dd sleep mkdir; do ln -s busybox "root/bin/$x"; done
probe() { if out=$("$2" 2>&1); then echo "ok $1"; else echo "FAILED $1"; echo "$out" | tail -3; fi; }

# bundle NAME JQ-EDIT COMMAND...: a bundle of busybox in $tmp/NAME
bundle() {
    local dir=$tmp/$1 edit=$2
    shift 2
    mkdir -p "$dir" && (cd "$dir" && rm -f config.json && crun spec)
    jq --arg root "$tmp/root" --argjson args "$(python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@")" \
        "$edit"'|.process.terminal=false|.root={path:$root,readonly:false}|.process.args=$args' \
        "$dir/config.json" >"$dir/new" && mv "$dir/new" "$dir/config.json"
}

controllers() { for c in cpu cpuset io memory pids hugetlb; do grep -qw $c /sys/fs/cgroup/cgroup.controllers || return 1; done; }
all_caps() { grep -q '^CapEff:.000001ffffffffff$' /proc/self/status; }
overlay() {
    mkdir -p l u w m && echo a >l/f && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m &&
        echo b >m/f && grep -q a l/f && grep -q b u/f && umount m
}
loop_ext4() { truncate -s 64M img && mkfs.ext4 -q img && mkdir -p lm && mount -o loop img lm && echo x >lm/x && umount lm; }
userns() { [ "$(unshare -Urpf --mount-proc sh -c 'echo $(id -u) $$')" = '0 1' ]; }
userns_of_a_user() { [ "$(setpriv --reuid 1000 --regid 1000 --clear-groups unshare -Ur id -u)" = 0 ]; }
# Listens in namespace $1 on $2:$3, connects from namespace $4 to $5:$6, and prints who the listener saw.
talk() {
    ip netns exec "$1" python3 -c 'import socket,sys
s=socket.create_server((sys.argv[1],int(sys.argv[2]))); open("ready","w").close()
c,a=s.accept(); c.sendall(a[0].encode()); c.close()' "$2" "$3" &
    for ((i = 0; i < 300; i++)); do [ ! -e ready ] || break; sleep 0.1; done
    rm -f ready
    ip netns exec "$4" python3 -c 'import socket,sys
print(socket.create_connection((sys.argv[1],int(sys.argv[2])),20).recv(99).decode())' "$5" "$6"
    wait
}
veth_bridge() {
    ip link add br0 type bridge && ip link set br0 up && ip addr add 10.9.0.1/24 dev br0 || return 1
    for n in 2 3; do
        ip netns add n$n && ip link add v$n type veth peer name e0 netns n$n && ip link set v$n master br0 up &&
            ip -n n$n link set e0 up && ip -n n$n addr add 10.9.0.$n/24 dev e0 &&
            ip -n n$n route add default via 10.9.0.1 || return 1
    done
    [ "$(talk n3 10.9.0.3 99 n2 10.9.0.3 99)" = 10.9.0.2 ]
}
nftables_nat() {
    ip netns add out && ip link add vo type veth peer name e0 netns out && ip link set vo up &&
        ip addr add 10.8.0.1/24 dev vo && ip -n out addr add 10.8.0.2/24 dev e0 && ip -n out link set e0 up &&
        sysctl -qw net.ipv4.ip_forward=1 || return 1
    nft -f - <<'N' || return 1
table ip probe {
  chain post { type nat hook postrouting priority 100; ip saddr 10.9.0.0/24 oifname "vo" masquerade; }
  chain pre { type nat hook prerouting priority -100; tcp dport 8080 dnat to 10.8.0.2:99; }
}
N
    [ "$(talk out 10.8.0.2 99 n2 10.9.0.1 8080)" = 10.8.0.1 ]
}
io_max() {
    grep -qw io /sys/fs/cgroup/cgroup.subtree_control || echo +io >/sys/fs/cgroup/cgroup.subtree_control
    mkdir -p /sys/fs/cgroup/iot && echo "$(cat /sys/block/vda/dev) wbps=1048576" >/sys/fs/cgroup/iot/io.max || return 1
    SECONDS=0
    sh -c 'echo $$ >/sys/fs/cgroup/iot/cgroup.procs; dd if=/dev/zero of=io bs=1M count=3 oflag=direct' && [ $SECONDS -ge 2 ]
}
freeze_kill() {
    local d=/sys/fs/cgroup/fz
    sleep 100 & mkdir -p $d && echo $! >$d/cgroup.procs && echo 1 >$d/cgroup.freeze && sleep 1 &&
        grep -q 'frozen 1' $d/cgroup.events && echo 1 >$d/cgroup.kill && sleep 1 && grep -q 'populated 0' $d/cgroup.events
}
psi() { grep -q some /proc/pressure/memory; }
sharedir() {
    (cd "$share" && python3 -c '
import os,socket,sqlite3,mmap,fcntl
c=sqlite3.connect("s.db"); assert c.execute("pragma journal_mode=wal").fetchone()[0]=="wal"; c.execute("create table t(a)"); c.commit()
s=socket.socket(socket.AF_UNIX); s.bind("sock"); s.listen(); socket.socket(socket.AF_UNIX).connect("sock"); os.mkfifo("ff")
f=open("m","w+b"); f.truncate(8192); m=mmap.mmap(f.fileno(),8192); m[0:3]=b"abc"; m.flush()
fcntl.flock(f,fcntl.LOCK_EX); fcntl.lockf(f,fcntl.LOCK_EX); os.setxattr("m","user.a",b"x"); os.chown("m",1000,1000); os.chmod("m",0o6755)
assert os.stat("m").st_mode==0o106755; os.link("m","m2"); os.rename("m2","m3"); os.unlink("m3")
g=open("t","w+"); os.unlink("t"); g.write("x"); g.seek(0); assert g.read()=="x"')
    local r=$?
    rm -f "$share"/{s.db*,sock,ff,m}
    return $r
}
limits='.linux.resources.memory={limit:67108864}|.linux.resources.cpu={quota:50000,period:100000}|.linux.resources.pids={limit:32}'
limits_of() {
    bundle lim "$limits" /bin/sh -c 'cd /sys/fs/cgroup && echo $(cat memory.max cpu.max pids.max)'
    [ "$($1 run -b lim "lim-$1")" = '67108864 50000 100000 32' ] || return 1
    bundle oom "$limits" /bin/dd if=/dev/zero of=/dev/null bs=100M count=1
    $1 run -b oom "oom-$1"
    [ $? = 137 ]
}
# 1:1 (mem) may be made, as the default list has it, and not be opened.
devices_of() {
    bundle dev '.process.capabilities.bounding+=["CAP_MKNOD"]|.process.capabilities.effective+=["CAP_MKNOD"]|.process.capabilities.permitted+=["CAP_MKNOD"]' \
        /bin/sh -c 'rm -f /tmp/m; mknod /tmp/m c 1 1 && head -c 1 /tmp/m'
    $1 run -b dev "dev-$1" 2>&1 | grep -q 'Operation not permitted'
}
userns_seccomp_of() {
    chown -R 100000:100000 root
    bundle us '.linux.namespaces+=[{type:"user"}]|.linux.uidMappings=[{containerID:0,hostID:100000,size:65536}]|.linux.gidMappings=.linux.uidMappings|.linux.seccomp={defaultAction:"SCMP_ACT_ALLOW",architectures:["SCMP_ARCH_X86_64"],syscalls:[{names:["mkdir"],action:"SCMP_ACT_ERRNO",errnoRet:1}]}' \
        /bin/sh -c 'mkdir /tmp/d 2>/dev/null || id -u'
    [ "$($1 run -b us "us-$1")" = 0 ]
    local r=$?
    chown -R 0:0 root
    return $r
}
limits_crun() { limits_of crun; }
limits_runc() { limits_of runc; }
devices_crun() { devices_of crun; }
devices_runc() { devices_of runc; }
userns_seccomp_crun() { userns_seccomp_of crun; }
userns_seccomp_runc() { userns_seccomp_of runc; }
podman_of() {
    [ "$(podman --runtime "$1" --cgroup-manager "$2" run --rm --network none --memory 64m --rootfs "$tmp/root" \
        /bin/cat /sys/fs/cgroup/memory.max 2>/dev/null)" = 67108864 ]
}
podman_cgroupfs() { podman_of crun cgroupfs; }
podman_systemd() { podman_of crun systemd && podman_of runc systemd; }
scope() {
    bundle sc "$limits"'|.linux.cgroupsPath="system.slice:probe:one"' /bin/sleep 100
    crun --systemd-cgroup run -d -b sc sc </dev/null >/dev/null 2>&1 && systemctl is-active -q probe-one.scope &&
        grep -rqx 67108864 /sys/fs/cgroup/system.slice/probe-one.scope --include=memory.max
    local r=$?
    crun delete -f sc
    return $r
}
running() { [ "$(systemctl is-system-running)" = running ]; }

list='controllers all_caps overlay loop_ext4 userns userns_of_a_user veth_bridge nftables_nat io_max freeze_kill psi sharedir
    limits_crun limits_runc devices_crun devices_runc userns_seccomp_crun userns_seccomp_runc'
if [ "$(cat /proc/1/comm)" = systemd ]; then list="$list podman_systemd scope running"; else list="$list podman_cgroupfs"; fi
for p in $list; do probe "${p//_/ }" "$p"; done
