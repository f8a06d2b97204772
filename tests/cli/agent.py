"""agent.py SOCKET OUT [ANSWER...]: a seccomp agent, as runtime-spec config-linux.md has it. Listens on
SOCKET; each connection brings one container process state with the listener, which goes to OUT.N (N
from 1) as JSON with "n_fds" added and "closed": whether the runtime closed the connection. Then it
answers the calls that are notified, ANSWER after ANSWER: an errno, or "continue"; the last one stays.
OUT.calls gets a line for each: number and answer."""
import array
import fcntl
import json
import os
import select
import socket
import struct
import sys

RECV, SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND
CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE

path, out = sys.argv[1:3]
answers = sys.argv[3:] or ["continue"]
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.bind(path + ".new")
server.listen(4)
os.rename(path + ".new", path)  # there only when it listens
calls = open(out + ".calls", "w", buffering=1)
listeners, seen, said = [], 0, 0


def take(conn):
    """One state: text until the end, descriptors with its first part."""
    text, fds = b"", array.array("i")
    conn.settimeout(20)
    while True:
        part, ancillary, _, _ = conn.recvmsg(65536, socket.CMSG_SPACE(8 * 4))
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        if not part:
            break
        text += part
    conn.close()
    state = json.loads(text)
    state["n_fds"], state["closed"] = len(fds), True
    return state, fds[0]


def answer(fd):
    global said
    notif = bytearray(80)
    try:
        fcntl.ioctl(fd, RECV, notif)
    except OSError:  # its process is gone
        return
    ident, _, _, nr = struct.unpack_from("<QIIi", notif)
    word = answers[min(said, len(answers) - 1)]
    said += 1
    calls.write(f"{nr} {word}\n")
    if word == "continue":
        reply = struct.pack("<QqiI", ident, 0, 0, CONTINUE)
    else:
        reply = struct.pack("<QqiI", ident, 0, -int(word), 0)
    try:
        fcntl.ioctl(fd, SEND, reply)
    except OSError:
        pass


while True:
    ready = select.poll()
    ready.register(server, select.POLLIN)
    for fd in listeners:
        ready.register(fd, select.POLLIN)
    for fd, event in ready.poll():
        if fd == server.fileno():
            state, listener = take(server.accept()[0])
            listeners.append(listener)
            seen += 1
            with open(f"{out}.{seen}.new", "w") as f:
                json.dump(state, f)
            os.rename(f"{out}.{seen}.new", f"{out}.{seen}")
        elif event & select.POLLIN:
            answer(fd)
        else:
            listeners.remove(fd)
            os.close(fd)
