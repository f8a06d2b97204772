#!/usr/bin/python3
"""notify.py listen PATH FILE: appends each datagram that comes to PATH to FILE, and a line of dashes.
notify.py send PID MESSAGE: says it to the notify socket that process PID sees, from inside.
notify.py fill PID: the same with what no service manager should get to see."""
import array
import ctypes
import os
import socket
import sys


def listen(path, file):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(path)
    with open(file, "ab", 0) as out:
        while True:
            data, ancillary, _, _ = sock.recvmsg(65536, 1024)
            out.write(data + (b"FDS\n" if ancillary else b"") + b"---\n")


def inside(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/mnt") as ns:
        if libc.setns(ns.fileno(), 0x20000) != 0:
            sys.exit("setns: " + os.strerror(ctypes.get_errno()))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.connect("/run/notify/notify.sock")
    return sock


def fill(sock):
    fds = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))]
    sock.sendmsg([b"FDSTORE=1\nMAINPID=1\nSTATUS=with\x1b[2J escapes\nSTATUS=good\nX=Y\nREADY=2\n"], fds)
    sock.send(b"READY=1" + b"x" * 5000)
    sock.send(b"\n\n\0\nNOTIFYACCESS=all\nMONOTONIC_USEC=1a\n")


if sys.argv[1] == "listen":
    listen(sys.argv[2], sys.argv[3])
elif sys.argv[1] == "send":
    inside(sys.argv[2]).send(sys.argv[3].encode())
else:
    fill(inside(sys.argv[2]))
