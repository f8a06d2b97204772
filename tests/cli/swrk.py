"""swrk.py - the caller's end of `criu swrk FD`, for programs in CRIU's place: takes the request,
notifies, and responds, in the wire format of protocol buffers. The numbers are those of CRIU's own
rpc.proto. A test's program begins with `from swrk import *`."""
import array
import os
import socket
import sys

TYPES = {1: "dump", 2: "restore", 4: "pre-dump"}
NOTIFY = 6
OPTIONS = {"pid": 2, "leave_running": 3, "ext_unix_sk": 4, "tcp_established": 5, "shell_job": 7, "file_locks": 8, "log_file": 10,
           "notify_scripts": 12, "root": 13, "parent_img": 14, "track_mem": 15, "auto_dedup": 16, "work_dir_fd": 17,
           "link_remap": 18, "rst_sibling": 26, "manage_cgroups_mode": 34, "empty_ns": 38, "freeze_cgroup": 44,
           "tcp_skip_in_flight": 46, "orphan_pts_master": 50, "tcp_close": 52, "lsm_profile": 53, "lsm_mount_context": 63}


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def take_varint(data):
    n = shift = 0
    while True:
        n |= (data[0] & 127) << shift
        shift += 7
        data, last = data[1:], data[0] < 128
        if last:
            return n, data


def fields(data):
    """The values by field number; numbers and bytes are all that CRIU's requests have."""
    found = {}
    while data:
        key, data = take_varint(data)
        value, data = take_varint(data)
        if key & 7 == 2:
            value, data = data[:value], data[value:]
        found.setdefault(key >> 3, []).append(value)
    return found


channel = socket.socket(fileno=int(sys.argv[2]))
request = fields(channel.recv(1 << 20))
kind = TYPES[request[1][0]]
options = fields(request[2][0])


def option(name):
    """Its value, a text or a number; None: it is not set."""
    value = options.get(OPTIONS[name], [None])[0]
    return value.decode() if isinstance(value, bytes) else value


def external():
    return [name.decode() for name in options.get(37, [])]


def inherited():
    return {fields(one)[1][0].decode(): fields(one)[2][0] for one in options.get(27, [])}


def send(data, fds=()):
    channel.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])


def notify(moment, pid=None, fd=None):
    """Whether the caller lets CRIU go on."""
    text = field(1, moment.encode()) + (field(2, pid) if pid else b"")
    send(field(1, NOTIFY) + field(2, 1) + field(5, text), [] if fd is None else [fd])
    answer = fields(channel.recv(65536))
    assert answer[1] == [NOTIFY], answer
    return answer[3] == [1]


def respond(success, pid=None, log=None):
    """The end, with what the log is to have."""
    if log:
        write(f"/proc/{os.getppid()}/fd/{option('work_dir_fd')}/{option('log_file')}", log)
    send(field(1, request[1][0]) + field(2, int(success)) + (field(4, field(1, pid)) if pid else b""))
    sys.exit(0 if success else 1)


def write(path, text):
    with open(path, "w") as f:
        f.write(f"{text}\n")


assert sys.argv[1] == "swrk", sys.argv
