"""The other end of joblet-front's link: a core that does what a test tells it, and the process of
joblet-front itself. Written from src/ipc/corelink.h and docs/formats alone; shares no code."""
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import zlib

MAGIC = 0x314C464A
REQUEST, REPLY, EVENT = 1, 2, 3
WAIT = 64
INLINE_MAX = 65536
OPS = ["NONE"]
NOBODY = 65534
# Descriptors $1 to $3 become 3 to 5; with limit $4 for descriptors, "" for none; program $5 as nobody.
BECOME = f'''exec 3<&"$1" 4<&"$2" 5<&"$3" && eval "exec $1<&- $2<&- $3<&-" && ulimit -n ${{4:-$(ulimit -n)}} &&
exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups -- "$5"'''
HEAD = struct.Struct("<IHHQIIIII")
_libc = ctypes.CDLL(None, use_errno=True)


def read_ops(path):
    """The operations in the order of ops.def."""
    del OPS[1:]
    with open(path, encoding="ascii") as f:
        for line in f:
            if line.startswith("JD_OP(JD_OP_"):
                OPS.append(line[len("JD_OP(JD_OP_"):].split(",")[0])


class Frame:
    def __init__(self, kind, op, ident, status=0, segment=0, text="", body=b"", fds=(), who=()):
        self.kind, self.op, self.id = kind, op, ident
        self.status, self.segment, self.text = status, segment, text
        self.body, self.fds, self.who = body, list(fds), list(who) or ["", "", "", ""]

    def send(self, sock):
        large = len(self.body) > INLINE_MAX
        fds = list(self.fds)
        if large:
            memfd = sealed_memfd(self.body)
            fds.insert(0, memfd)
        data = HEAD.pack(MAGIC, self.kind, OPS.index(self.op), self.id, self.status, self.segment,
                         len(self.body), 1 if large else 0, len(self.fds))
        for s in [*self.who, self.text]:
            raw = s.encode()
            data += struct.pack("<H", len(raw)) + raw
        if not large:
            data += self.body
        try:
            socket.send_fds(sock, [data], fds)
        finally:
            for fd in fds:
                os.close(fd)


def receive(sock):
    data, fds, _, _ = socket.recv_fds(sock, INLINE_MAX + 4096, 8)
    if not data:
        return None
    magic, kind, op, ident, status, segment, length, flags, _n = HEAD.unpack_from(data)
    assert magic == MAGIC, "front sent something else than a frame"
    at, strings = HEAD.size, []
    for _ in range(5):
        (n,) = struct.unpack_from("<H", data, at)
        strings.append(data[at + 2:at + 2 + n].decode())
        at += 2 + n
    body = data[at:]
    if flags & 1:
        with os.fdopen(fds.pop(0), "rb") as f:
            body = f.read()
    assert len(body) == length
    for fd in fds:
        os.close(fd)
    return Frame(kind, OPS[op], ident, status, segment, strings[4], body, (), strings[:4])


def sealed_memfd(data):
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data) if len(data) < 1 << 20 else _write_all(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    import fcntl
    fcntl.fcntl(fd, 1033, 0x0F)  # F_ADD_SEALS: seal, shrink, grow, write
    return fd


def _write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


class Log:
    """A job's log as the shim writes it."""

    def __init__(self, directory, job):
        self.dir = os.path.join(directory, job)
        os.makedirs(self.dir)
        self.job = job
        self.ended = False
        self.unwatched = False  # as when the kernel has no more inotify descriptors
        self.sequence = 0
        self.oldest, self.first_kept = 0, []  # bytes up to the end of each segment, and its NEXT
        self.bytes = 0
        self.began = time.time_ns()
        self.segment = -1
        self.next_segment(first=True)

    def next_segment(self, first=False):
        if not first:
            number = self.segment + 1
            for ext in ("log", "idx"):
                with open(f"{self.dir}/output.{number}.{ext}", "wb"):
                    pass
            self._record(5, 0)
            self.first_kept.append((self.bytes, self.sequence))
            self.idx.close()
            self.data.close()
        self.segment += 1
        self.data = open(f"{self.dir}/output.{self.segment}.log", "ab", buffering=0)
        self.idx = open(f"{self.dir}/output.{self.segment}.idx", "ab", buffering=0)
        self.offset = 0

    def drop_oldest(self):
        """As the shim does it for logs.max_size."""
        at, last = self.first_kept[self.oldest]
        name = f"{self.dir}/output.{self.oldest}"
        with open(f"{self.dir}/output.idx.new", "wb") as f:
            for sequence, length, stream in ((last - 1, at, 7), (last, 0, 5)):
                raw = struct.pack("<QQQQI", sequence, self.began, 0, length, stream)
                f.write(raw + struct.pack("<I", zlib.crc32(raw)))
        os.rename(f"{self.dir}/output.idx.new", name + ".idx")
        os.truncate(name + ".log", 0)
        os.unlink(name + ".log")
        if self.oldest > 0:
            os.unlink(f"{self.dir}/output.{self.oldest - 1}.idx")
        self.oldest += 1

    def _pack(self, stream, length):
        self.sequence += 1
        raw = struct.pack("<QQQQI", self.sequence, self.began + self.sequence * 1000, self.offset, length, stream)
        return raw + struct.pack("<I", zlib.crc32(raw))

    def _record(self, stream, length):
        self.idx.write(self._pack(stream, length))

    def add(self, data, stream=1):
        self.data.write(data)
        self._record(stream, len(data))
        self.offset += len(data)
        self.bytes += len(data)

    def add_many(self, pieces, stream=1):
        """The same as add for each, in two writes."""
        records = []
        for p in pieces:
            records.append(self._pack(stream, len(p)))
            self.offset += len(p)
            self.bytes += len(p)
        self.data.write(b"".join(pieces))
        self.idx.write(b"".join(records))

    def gap(self, n):
        self._record(4, n)

    def end(self):
        self.ended = True
        self._record(6, 0)

    def open(self, segment):
        fds = []
        inotify = -1 if self.unwatched else _libc.inotify_init1(os.O_CLOEXEC)
        if inotify >= 0:  # blocking on purpose: front must not mind
            fds = [inotify]
            if _libc.inotify_add_watch(inotify, self.dir.encode(), 0x2 | 0x100 | 0x80) < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch")
        while True:  # a segment may go while we look
            segment = min(n for n in self.segments() if n >= segment)
            try:
                idx = os.open(f"{self.dir}/output.{segment}.idx", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                data = os.open(f"{self.dir}/output.{segment}.log", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                data = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            if os.fstat(idx).st_nlink > 0:
                return segment, fds + [idx, data]
            os.close(idx)
            os.close(data)

    def segments(self):
        return [int(n.split(".")[1]) for n in os.listdir(self.dir) if n.endswith(".idx")]


class Core:
    """Answers front. Handlers by operation: fn(core, frame) -> Frame, or None to stay silent."""

    def __init__(self, sock, scratch):
        self.sock = sock
        self.handlers = {}
        self.seen = []
        self.refused = []  # those that front has refused itself, for the audit file
        self.listening = threading.Event()
        self.address = None
        self.sessions = {}
        self.logs = {}
        self.states = {}
        self.staging = os.path.join(scratch, "staging")
        self.log_dir = os.path.join(scratch, "logs")
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while True:
            try:
                f = receive(self.sock)
            except OSError:
                return
            if f is None:
                return
            if f.kind == EVENT:
                self.address = f.text.split(" ", 1)[1]
                self.listening.set()
                continue
            with self.lock:
                (self.refused if f.status else self.seen).append(f)
            if f.status:
                self.send(self.error(f, f.status, f.text))
                continue
            handler = self.handlers.get(f.op) or getattr(self, "on_" + f.op, None)
            answer = handler(self, f) if f.op in self.handlers else handler(f) if handler else \
                self.error(f, 12, "fake core: not answered")
            if answer:
                self.send(answer)

    def send(self, frame):
        try:
            frame.send(self.sock)
        except OSError:
            pass

    def event(self, job):
        self.send(Frame(EVENT, "NONE", 0, text=job))

    @staticmethod
    def ok(f, body=b"", text="", fds=(), segment=0):
        return Frame(REPLY, f.op, f.id, 0, segment, text, body, fds)

    @staticmethod
    def error(f, status, text):
        return Frame(REPLY, f.op, f.id, status, 0, text)

    def count(self, op):
        with self.lock:
            return sum(1 for f in self.seen if f.op == op)

    def last(self, op):
        with self.lock:
            return [f for f in self.seen if f.op == op][-1]

    # What a core does when the test says nothing else.
    def on_STAGE(self, f):
        session = f"s{f.id}"
        path = os.path.join(self.staging, session)
        os.mkdir(path)
        os.chown(path, NOBODY, NOBODY)
        self.sessions[session] = path
        return self.ok(f, text=session, fds=[os.open(path, os.O_RDONLY | os.O_DIRECTORY)])

    def on_STAGE_UPLOADS(self, f):
        return self.ok(f)

    def on_UNSTAGE(self, f):
        shutil.rmtree(self.sessions.pop(f.text))
        return self.ok(f)

    def on_GET_JOB_LOGS(self, f):
        job = _uuid_of(f.body)
        log = self.logs.get(job)
        if log is None:
            return self.error(f, 5, f"job not found: {job}")
        if log == "wait":
            return self.error(f, WAIT, "")
        segment, fds = log.open(f.segment)
        return self.ok(f, text=job, fds=fds, segment=segment)

    def on_GET_JOB(self, f):
        job = _uuid_of(f.body)
        log = self.logs.get(job)
        ended = isinstance(log, Log) and log.ended
        state = self.states.get(job, "COMPLETED" if ended else "RUNNING")
        if state is None:
            return self.error(f, 5, f"job not found: {job}")
        return self.ok(f, body=b"\x0a" + bytes([len(job)]) + job.encode() +
                       b"\x4a" + bytes([len(state)]) + state.encode())


def _uuid_of(body):
    assert body[:1] == b"\x0a"
    return body[2:2 + body[1]].decode()


class Front:
    """joblet-front with a fake core: start, stop, and what is left of it."""

    def __init__(self, program, authority, nofile=None, staging_tmpfs=None, **conf):
        self.scratch = tempfile.mkdtemp(prefix="jlf.", dir=os.environ.get("TMPDIR", "/tmp"))
        os.chmod(self.scratch, 0o755)
        cert, key = authority.server()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for s in (ours, theirs):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.core = Core(ours, self.scratch)
        os.mkdir(self.core.staging)
        os.mkdir(self.core.log_dir)
        self.mounted = None
        if staging_tmpfs:
            subprocess.run(["mount", "-t", "tmpfs", "-o", staging_tmpfs, "jl-test",
                            self.core.staging], check=True)
            self.mounted = self.core.staging
        settings = {"address": "127.0.0.1", "port": 0, "server_cert": cert.decode(),
                    "server_key": key.decode(), "ca_cert": authority.pem.decode(),
                    "grpc": {"max_streams": 1000}, "timeout_ms": 60000, "log_level": "DEBUG",
                    "log_format": "text", "node_id": "test", "version": "test",
                    "revoked": "", **conf}
        fds = [theirs.fileno(), sealed_memfd(json.dumps(settings).encode()),
               os.open(self.core.staging, os.O_RDONLY | os.O_DIRECTORY)]
        self.stderr_path = os.path.join(self.scratch, "stderr")
        self.process = self._spawn(program, fds, nofile)
        theirs.close()
        os.close(fds[1])
        os.close(fds[2])
        self.core.thread.start()

    def _spawn(self, program, fds, nofile):
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 6) for fd in fds]
        # by a shell and not by preexec_fn, for which python forks: gRPC's threads are in the way
        with open(self.stderr_path, "wb") as err:
            process = subprocess.Popen(["/bin/bash", "-c", BECOME, "bash", *map(str, high), str(nofile or ""), program],
                                       stdin=subprocess.DEVNULL, stdout=err, stderr=err, pass_fds=high, cwd="/",
                                       # a sanitizer's leak check can't look through the sandbox
                                       env={"ASAN_OPTIONS": "detect_leaks=0", "PATH": "/usr/bin:/bin"})
        for fd in high:
            os.close(fd)
        return process

    def log(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_listening(self):
        deadline = time.monotonic() + 100
        while not self.core.listening.wait(0.05):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"front does not listen ({self.process.poll()}): {self.log()}")
        return self.core.address

    def new_log(self, job):
        self.core.logs[job] = Log(self.core.log_dir, job)
        return self.core.logs[job]

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rss_peak(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        """Ends front as core does; returns its exit status (negative: the signal)."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(100)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        try:
            self.core.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.core.thread.join(5)
        self.core.sock.close()
        if self.mounted:
            subprocess.run(["umount", self.mounted], check=True)
            self.mounted = None
        shutil.rmtree(self.scratch, ignore_errors=True)
        return self.process.returncode
