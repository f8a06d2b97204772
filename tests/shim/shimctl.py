#!/usr/bin/python3
"""A client of the shim that shares no code with it: the control socket, the job's log, the exit
record, each read by its format document.

  shimctl.py wait SOCKET [PHASE]     prints the states until PHASE (default done or failed) or EOF
  shimctl.py state SOCKET            asks, prints one state
  shimctl.py stop SOCKET GRACE_MS    asks to stop; prints the state
  shimctl.py kill SOCKET SIGNAL
  shimctl.py stuck SOCKET            asks for states and never reads; prints when it was dropped
  shimctl.py raw SOCKET HEX          sends these bytes; prints what comes back, or "dropped"
  shimctl.py log DIR [STREAM]        checks the whole log; prints the bytes of a stream (or all)
  shimctl.py records DIR             prints the records: sequence stream offset length
  shimctl.py sync FD                 reads one state from an open descriptor
"""
import os
import socket
import struct
import sys
import zlib

PACKET = struct.Struct("<3sBIQIiQQI")
RECORD = struct.Struct("<QQQQII")
PHASES = ["starting", "running", "ending", "done", "failed"]
STREAMS = {1: "stdout", 2: "stderr", 3: "note", 4: "gap", 5: "next", 6: "end", 7: "cut"}


def request(kind, arg=0):
    return PACKET.pack(b"JSC", 1, kind, arg, 0, 0, 0, 0, 0)


def show(packet):
    magic, version, kind, arg, phase, pid, started, dropped, zero = PACKET.unpack(packet)
    assert (magic, version, kind, zero) == (b"JSC", 1, 4, 0), packet
    print(PHASES[phase], pid, started, dropped, flush=True)
    return PHASES[phase]


def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(200)
    fd = os.open(os.path.dirname(path) or ".", os.O_PATH)
    s.connect("/proc/self/fd/%d/%s" % (fd, os.path.basename(path)))
    os.close(fd)
    return s


def ask(path, packet):
    s = connect(path)
    s.send(packet)
    return show(s.recv(4096))


def wait(path, phase=None):
    s = connect(path)
    s.send(request(1))
    while True:
        packet = s.recv(4096)
        if not packet:
            return 0 if phase is None else 1
        now = show(packet)
        if now == phase or (phase is None and now in ("done", "failed")):
            return 0


def stuck(path):
    s = connect(path)
    sent = 0
    try:
        while sent < 100000:
            s.send(request(1))
            sent += 1
    except (BrokenPipeError, ConnectionResetError):
        print("dropped")
        return 0
    return 1


def raw(path, packet):
    s = connect(path)
    s.send(packet)
    try:
        answer = s.recv(4096)
    except ConnectionResetError:
        answer = b""
    if answer:
        show(answer)
    else:
        print("dropped")


def read_segment(directory, number, after):
    """The records of one segment; `after` is the sequence of the last one before it."""
    index = open(os.path.join(directory, "output.%d.idx" % number), "rb").read()
    path = os.path.join(directory, "output.%d.log" % number)
    assert len(index) % RECORD.size == 0, "index ends in a torn record"
    cut = index and STREAMS[RECORD.unpack_from(index)[4]] == "cut"
    data = b"" if cut else open(path, "rb").read()
    at = 0
    records = []
    for i in range(0, len(index), RECORD.size):
        seq, wall, offset, length, stream, crc = RECORD.unpack_from(index, i)
        assert crc == zlib.crc32(index[i:i + 36]), "check sum"
        name = STREAMS[stream]
        assert seq == after + 1 or (name == "cut" and seq > after), "sequence"
        assert offset == at, "offset"
        after = seq
        chunk = b""
        if name in ("stdout", "stderr", "note"):
            assert 0 < length <= 65536
            chunk = data[offset:offset + length]
            assert len(chunk) == length, "bytes of a record are missing"
            at += length
        records.append((seq, name, offset, length, chunk))
    assert at == len(data), "bytes without a record"
    assert not cut or [r[1] for r in records] == ["cut", "next"], "more than a cut"
    return records


def read_log(directory):
    numbers = sorted(int(n.split(".")[1]) for n in os.listdir(directory)
                     if n.startswith("output.") and n.endswith(".idx"))
    assert numbers == list(range(numbers[0], numbers[-1] + 1)), "a segment is missing"
    records = []
    for number in numbers:
        records += read_segment(directory, number, records[-1][0] if records else 0)
        assert number == numbers[-1] or records[-1][1] == "next", "no next"
    assert records and records[-1][1] == "end", "no end"
    assert [r[1] for r in records].count("end") == 1
    return records


def main(argv):
    what, path = argv[1], argv[2]
    if what == "wait":
        return wait(path, *argv[3:4])
    if what == "state":
        ask(path, request(1))
    elif what == "stop":
        ask(path, request(2, int(argv[3])))
    elif what == "kill":
        ask(path, request(3, int(argv[3])))
    elif what == "stuck":
        return stuck(path)
    elif what == "raw":
        raw(path, bytes.fromhex(argv[3]))
    elif what == "log":
        for record in read_log(path):
            if len(argv) < 4 or argv[3] == record[1]:
                sys.stdout.buffer.write(record[4])
    elif what == "records":
        for record in read_log(path):
            print(*record[:4])
    elif what == "sync":
        show(os.read(int(path), 4096))
    else:
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
