"""console.py SOCKET OUT [INPUT [AFTER [ROWSxCOLS]]]: what an engine does with --console-socket. Listens on
SOCKET, gets one terminal's master by SCM_RIGHTS, types INPUT once the terminal has said AFTER and
was given that size, and writes what the terminal says to OUT until the container has closed it. OUT.size gets the size that the terminal had at first; OUT.message, the
number of descriptors that came."""
import array
import fcntl
import os
import socket
import struct
import sys
import termios

path, out = sys.argv[1:3]
text = sys.argv[3].encode() if len(sys.argv) > 3 else b""
after = sys.argv[4].encode() if len(sys.argv) > 4 else b""
size = tuple(map(int, sys.argv[5].split("x"))) if len(sys.argv) > 5 else None
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(path + ".new")
listener.listen(1)
os.rename(path + ".new", path)  # there only when it listens
listener.settimeout(60)
conn, _ = listener.accept()
_, ancillary, _, _ = conn.recvmsg(4096, socket.CMSG_SPACE(8 * 4))
fds = array.array("i")
for level, kind, data in ancillary:
    if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
        fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
with open(out + ".message", "w") as f:
    f.write(f"{len(fds)}\n")
master = fds[0]
rows, cols, _, _ = struct.unpack("HHHH", fcntl.ioctl(master, termios.TIOCGWINSZ, b"\0" * 8))
with open(out + ".size", "w") as f:
    f.write(f"{rows} {cols}\n")
heard = b""
with open(out, "wb", buffering=0) as f:
    while True:
        if text and after in heard:
            if size:
                fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
            os.write(master, text)
            text = b""
        try:
            data = os.read(master, 65536)
        except OSError:  # EIO: nobody has the other end any more
            break
        if not data:
            break
        f.write(data)
        heard += data
