#!/usr/bin/env python3
"""ttysink.py SOCKET OUTPUT - a console socket that takes terminals one after the other, and appends
what their containers write to OUTPUT. Until it is killed."""
import os
import select
import socket
import sys

server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.bind(sys.argv[1])
server.listen(64)
output = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
open_conns, masters = [], []
while True:
    ready, _, _ = select.select([server] + open_conns + masters, [], [])
    for at in ready:
        if at is server:
            open_conns.append(server.accept()[0])
        elif at in open_conns:
            try:
                _, fds, _, _ = socket.recv_fds(at, 4096, 4)
                masters += fds
            except OSError:
                pass  # who sent it was killed in the middle of it
            open_conns.remove(at)
            at.close()
        else:
            try:
                data = os.read(at, 65536)
            except OSError:  # EIO: nobody has the other end any more
                data = b""
            if data:
                os.write(output, data.replace(b"\r", b""))  # as the terminal ends its lines
            else:
                masters.remove(at)
                os.close(at)
