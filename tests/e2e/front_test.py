#!/usr/bin/python3
"""joblet-front against a hostile client (python3-grpcio) and a core that does as told (fakecore.py).

front_test.py [NAME...] runs the cases whose name holds one of the words and prints TAP.
Needs root (it starts joblet-front as nobody) and $JOBLET_BUILD, where joblet-front was built.
"""
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc  # noqa: E402
import fakecore  # noqa: E402
import pki  # noqa: E402
import rawh2  # noqa: E402

# gRPC 1.51 aborts a process that forks while its threads end, which they do with the last channel.
KEPT = grpc.insecure_channel("127.0.0.1:1")

PROGRAM = os.path.join(os.environ.get("JOBLET_BUILD", TOP), "joblet-front")
JOB = "11111111-2222-4333-8444-555555555555"
Code = grpc.StatusCode
pb = None
CA = None
CASES = []


def case(fn):
    CASES.append(fn)
    return fn


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def equal(got, want, what="value"):
    check(got == want, f"{what}: got {got!r}, want {want!r}")


def wait_for(fn, what, seconds=100):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if fn():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def load_messages(directory):
    from grpc_tools import protoc
    source = os.path.join(TOP, "src", "api")
    if protoc.main(["protoc", f"-I{source}", f"--python_out={directory}",
                    os.path.join(source, "joblet.proto")]) != 0:
        raise RuntimeError("protoc refused joblet.proto")
    sys.path.insert(0, directory)
    import joblet_pb2
    return joblet_pb2


class Client:
    """One connection with the certificate of a role (or what is given)."""

    def __init__(self, address, role="admin", cert=None, authority=None):
        authority = authority or CA
        cert = cert if cert is not None else authority.client(role)
        creds = grpc.ssl_channel_credentials(CA.pem, cert[1] if cert else None,
                                             cert[0] if cert else None)
        self.channel = grpc.secure_channel(address, creds, [
            ("grpc.ssl_target_name_override", "joblet"), ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)])

    def call(self, method, request=b"", service="JobService", timeout=100):
        fn = self.channel.unary_unary(f"/joblet.{service}/{method}")
        return fn(request if isinstance(request, bytes) else request.SerializeToString(),
                  timeout=timeout)

    def refused(self, method, request=b"", **kw):
        try:
            self.call(method, request, **kw)
        except grpc.RpcError as e:
            return e.code(), e.details()
        raise AssertionError(f"{method} was not refused")

    def log(self, job=JOB, timeout=60, **fields):
        fn = self.channel.unary_stream("/joblet.JobService/GetJobLogs",
                                       response_deserializer=pb.DataChunk.FromString)
        return fn(pb.GetJobLogsRequest(uuid=job, **fields).SerializeToString(), timeout=timeout)

    def log_text(self, job=JOB, **fields):
        return b"".join(c.payload for c in self.log(job, **fields))

    def run(self, uploads=(), **fields):
        files = [pb.FileUpload(path=p, content=c) for p, c in uploads]
        return pb.RunJobRequest(command="true", uploads=files, **fields)

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def raw(front, cert=None, **more):
    return rawh2.Connection(front.core.address, CA.pem, cert or CA.client("admin"), **more)


def split(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


def is_closed(s):
    s.setblocking(False)
    try:
        while s.recv(4096):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def reaches_core(client):
    """Whether a call gets as far as the fake core, which has no answer to it."""
    return client.refused("ListJobs") == (Code.UNIMPLEMENTED, "fake core: not answered")


def serves(address):
    with Client(address) as c:
        return reaches_core(c)


class Running:
    """A front that listens; what it left is checked at the end."""

    def __init__(self, **conf):
        self.conf = conf

    def __enter__(self):
        self.front = fakecore.Front(PROGRAM, CA, **self.conf)
        try:
            self.front.wait_listening()
        except Exception:
            self.front.stop()
            raise
        return self.front

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                wait_for(lambda: not os.listdir(self.front.core.staging), "an empty staging root")
        finally:
            log, status = self.front.log(), self.front.stop()
        if kind is None:
            equal(status, 0, f"exit status of joblet-front ({log[-2000:]})")
        else:
            sys.stderr.write(log[-4000:])


# ---- the door

@case
def a_role_decides_what_is_called():
    with Running() as front:
        front.core.handlers["RUN_JOB"] = lambda core, f: core.ok(
            f, pb.RunJobResponse(job_uuid=JOB, status="RUNNING").SerializeToString())
        front.core.handlers["LIST_JOBS"] = lambda core, f: core.ok(f)
        for role in ("viewer", "READER"):
            with Client(front.core.address, role) as c:
                c.call("ListJobs")
                equal(c.refused("RunJob", c.run()),
                      (Code.PERMISSION_DENIED,
                       "role reader is not allowed to perform operation run_job"), role)
                equal(c.refused("StopJob", pb.StopJobRequest(uuid=JOB))[0],
                      Code.PERMISSION_DENIED, role)
        for role in ("developer", "maintainer", "Admin"):
            with Client(front.core.address, role) as c:
                equal(pb.RunJobResponse.FromString(c.call("RunJob", c.run())).job_uuid, JOB, role)
        with_body = [f for f in front.core.seen if f.op == "RUN_JOB" and f.body]
        equal(len(with_body), 3, "requests that reached core")
        refused = [f for f in front.core.seen if f.op in ("RUN_JOB", "STOP_JOB") and not f.body]
        equal([f.who[1] for f in refused], ["viewer"] * 2 + ["READER"] * 2,
              "refusals that core was told, for its audit file")


@case
def who_may_not_call_is_refused_before_his_message():
    enough = threading.Event()

    def never():
        enough.wait(100)
        yield from ()

    with Running() as front, Client(front.core.address, "viewer") as c:
        try:
            c.channel.stream_unary("/joblet.JobService/RunJob")(never(), timeout=60)
            raise AssertionError("RunJob was not refused")
        except grpc.RpcError as e:
            equal(e.code(), Code.PERMISSION_DENIED)
        finally:
            enough.set()


@case
def a_certificate_without_a_role_may_do_nothing():
    with Running() as front:
        for subject in ("/CN=x", "/CN=x/OU=root", "/CN=x/OU=administrator", "/CN=admin/O=admin"):
            with Client(front.core.address, cert=CA.issue(subject)) as c:
                code, text = c.refused("ListJobs")
                equal(code, Code.PERMISSION_DENIED, subject)
                check("failed to extract client role" in text, text)
        both = CA.issue("/CN=x/OU=admin/OU=viewer")
        with Client(front.core.address, cert=both) as c:
            equal(c.refused("RunJob", c.run())[0], Code.PERMISSION_DENIED, "admin and viewer")
        wait_for(lambda: len(front.core.seen) == 5, "five refusals that core was told")
        check(all(not f.body for f in front.core.seen), "a request reached core")


@case
def foreign_expired_and_missing_certificates_are_refused_by_tls():
    foreign = pki.Authority(os.path.join(CA.dir, "foreign"), "Test-CA")  # even of the same name
    with Running() as front:
        for what, cert in (("foreign", foreign.client("admin")),
                           ("expired", CA.client("admin", days=-1)),
                           ("for a server", CA.server()), ("none", ())):
            with Client(front.core.address, cert=cert) as c:
                code = c.refused("ListJobs")[0]
                check(code in (Code.UNAVAILABLE, Code.UNAUTHENTICATED), f"{what}: {code}")
        equal(front.core.seen, [], "requests that reached core")
        front.core.handlers["LIST_JOBS"] = lambda core, f: core.ok(f)
        with Client(front.core.address) as c:
            c.call("ListJobs")


@case
def tls_1_2_and_plain_text_are_refused():
    with Running() as front:
        host, port = front.core.address.split(":")
        cert, key = CA.client("admin")
        with tempfile.NamedTemporaryFile(dir=CA.dir) as f:
            f.write(cert + key)
            f.flush()
            for version, good in ((ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)):
                ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
                ctx.minimum_version = ctx.maximum_version = version
                ctx.set_alpn_protocols(["h2"])
                ctx.load_cert_chain(f.name)
                try:
                    with socket.create_connection((host, int(port)), 10) as raw, \
                            ctx.wrap_socket(raw) as tls:
                        tls.recv(1)
                        ok = tls.version() == "TLSv1.3"
                except (ssl.SSLError, ConnectionError):
                    ok = False
                equal(ok, good, str(version))
        channel = grpc.insecure_channel(front.core.address)
        try:
            channel.unary_unary("/joblet.JobService/ListJobs")(b"", timeout=5)
            raise AssertionError("plain text was answered")
        except grpc.RpcError as e:
            check(e.code() in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED), str(e.code()))
        channel.close()


@case
def core_is_told_of_each_refusal_that_it_does_not_know():
    def told():
        with front.core.lock:
            return [(f.op, f.status, f.body.decode(), f.text) for f in front.core.refused]

    def refused(want, *args, **kw):
        before = len(told())
        code, text = c.refused(*args, **kw)
        wait_for(lambda: len(told()) > before, f"{args[0]} is told")
        equal((told()[before:]), [(*want[:1], code.value[0], want[1], text)])

    def upload(*messages):
        stage = c.channel.stream_unary("/joblet.JobService/StageUploads")
        return stage((m.SerializeToString() for m in messages), timeout=100)

    def refused_upload(*messages):
        before = len(told())
        try:
            upload(*messages)
            raise AssertionError("not refused")
        except grpc.RpcError as e:
            wait_for(lambda: len(told()) > before, "told")
            equal(told()[before:], [("STAGE_UPLOADS", e.code().value[0], "", e.details())])

    with Running(timeout_ms=1000) as front, Client(front.core.address) as c:
        refused(("RUN_JOB", ""), "RunJob", pb.RunJobRequest())
        refused(("RUN_JOB", ""), "RunJob", c.run(max_cpu=-1))
        refused(("RUN_JOB", ""), "RunJob", c.run(volumes=["a/b"]))
        refused(("RUN_JOB", ""), "RunJob", c.run([("same", b"1"), ("same", b"2")]))
        refused(("STOP_JOB", "zz"), "StopJob", pb.StopJobRequest(uuid="zz"))
        refused(("STOP_JOB", JOB), "StopJob", pb.StopJobRequest(uuid=JOB, grace_ms=-1))
        refused(("STOP_JOB", ""), "StopJob", b"\xff")
        refused(("CREATE_VOLUME", "v" * 79), "CreateVolume", pb.CreateVolumeRequest(name="v" * 200, size="1MB"), service="VolumeService")
        refused(("REMOVE_VOLUME", "a/b"), "RemoveVolume", pb.RemoveVolumeRequest(name="a/b"), service="VolumeService")
        refused_upload(pb.UploadChunk(path="../a", eof=True))
        refused_upload(pb.UploadChunk(path="a"))
        # core's own refusal of the directory is no line of its file
        front.core.handlers["STAGE"] = lambda core, f: core.error(f, 8, "full")
        refused_upload(pb.UploadChunk(path="a", eof=True))
        refused(("RUN_JOB", ""), "RunJob", c.run([("a", b"1")]))
        del front.core.handlers["STAGE"]
        n = len(told())
        c.refused("GetJobStatus", pb.GetJobStatusRequest(uuid="zz"))  # reading
        c.refused("NoSuchMethod")
        c.refused("StopJob", pb.StopJobRequest(uuid=JOB))  # by core
        front.core.handlers["RUN_JOB"] = lambda core, f: None
        equal(c.refused("RunJob", c.run())[0], Code.DEADLINE_EXCEEDED)  # core has it
        session = pb.StageUploadsResponse.FromString(upload(pb.UploadChunk(path="a", eof=True))).upload_session
        equal(front.core.last("STAGE_UPLOADS").text, session, "core knows that it is whole")
        shutil.rmtree(front.core.sessions.pop(session))
        front.core.handlers["STAGE_UPLOADS"] = lambda core, f: core.error(f, 5, "gone")
        try:
            upload(pb.UploadChunk(path="a", eof=True))
            raise AssertionError("a session that core does not know")
        except grpc.RpcError as e:
            equal((e.code(), e.details()), (Code.NOT_FOUND, "gone"))
        equal(told()[n:], [], "told though core knows")


@case
def an_unknown_method_is_named():
    with Running() as front, Client(front.core.address) as c:
        code, text = c.refused("Explode")
        equal(code, Code.UNIMPLEMENTED, "status")
        check("/joblet.JobService/Explode" in text, text)
        equal(c.refused("RunWorkflow")[0], Code.UNIMPLEMENTED, "known but not built")


@case
def health_needs_no_role():
    with Running() as front, Client(front.core.address, cert=CA.issue("/CN=probe")) as c:
        answer = c.channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=100)
        equal(answer, b"\x08\x01", "SERVING")


@case
def core_learns_who_asks():
    with Running() as front:
        front.core.handlers["LIST_JOBS"] = lambda core, f: core.ok(f)
        with Client(front.core.address, "developer") as c:
            c.call("ListJobs")
        name, unit, serial, peer = front.core.last("LIST_JOBS").who
        equal((name, unit), ("developer-client", "developer"), "names")
        equal(int(serial, 16), CA.serial, "serial")
        check(peer.startswith("127.0.0.1:"), peer)


# ---- requests and answers

@case
def answers_of_every_size_come_whole():
    with Running() as front, Client(front.core.address) as c:
        for size in (0, 1, 65536, 65537, 20 << 20):
            body = os.urandom(size)
            front.core.handlers["LIST_JOBS"] = lambda core, f, body=body: core.ok(f, body)
            check(c.call("ListJobs") == body, f"answer of {size} bytes differs")


@case
def an_error_of_core_is_the_clients_error():
    with Running() as front, Client(front.core.address) as c:
        front.core.handlers["STOP_JOB"] = lambda core, f: core.error(f, 9, "job is not running")
        equal(c.refused("StopJob", pb.StopJobRequest(uuid=JOB)),
              (Code.FAILED_PRECONDITION, "job is not running"))


@case
def a_silent_core_is_not_waited_for_forever():
    with Running(timeout_ms=300) as front, Client(front.core.address) as c:
        late = []
        front.core.handlers["LIST_JOBS"] = lambda core, f: late.append(f)
        front.core.handlers["RUN_JOB"] = lambda core, f: late.append(f)
        equal(c.refused("ListJobs")[0], Code.DEADLINE_EXCEEDED)
        equal(c.refused("RunJob", c.run())[0], Code.DEADLINE_EXCEEDED)
        for f in late:  # the answer that nobody wants any more
            front.core.send(front.core.ok(f))
        front.core.handlers["LIST_JOBS"] = lambda core, f: core.ok(f, b"\x0a\x00")

        def answered():  # 300 ms may not do for us
            try:
                return c.call("ListJobs") == b"\x0a\x00"
            except grpc.RpcError as e:
                equal(e.code(), Code.DEADLINE_EXCEEDED)
                return False

        wait_for(answered, "an answer")


@case
def core_gets_what_was_understood_not_what_came():
    with Running() as front, Client(front.core.address) as c:
        front.core.handlers["RUN_JOB"] = lambda core, f: core.ok(f)
        clean = c.run(args=["a", "b"], environment={"A": "1"})
        noise = b"\xc2\x3e\x05extra" + b"\x92\x4e\x02{}"  # fields 1000 and 1250
        c.call("RunJob", clean.SerializeToString() + noise)
        got = front.core.last("RUN_JOB").body
        check(b"extra" not in got, "an unknown field reached core")
        equal(pb.RunJobRequest.FromString(got), clean)


@case
def malformed_requests_are_refused():
    with Running() as front, Client(front.core.address) as c:
        bad = {"RunJob": [b"\x12\x05sh", b"\xff", b"\x12\x02\xc3\x28", b"\x12\x03a\x00b", b"",
                          b"\x42\x03\x0a\x05x", b"\x0b\x0c"],
               "GetJobStatus": [b"\x0a\x02\xff\xfe", b"\x0a\x7f", b"", b"\x0a\x03../"],
               "StopJob": [b"\x08\x01", b"\x0a\x01x"]}
        for method, requests in bad.items():
            for r in requests:
                equal(c.refused(method, r)[0], Code.INVALID_ARGUMENT, f"{method} {r!r}")
        for r in (b"\x0a\x02\xff\xfe", b"\x0a\x05x", b""):
            call = c.channel.unary_stream("/joblet.JobService/GetJobLogs")(r, timeout=100)
            try:
                next(call)
                raise AssertionError("GetJobLogs was not refused")
            except grpc.RpcError as e:
                equal(e.code(), Code.INVALID_ARGUMENT, f"GetJobLogs {r!r}")
        equal(front.core.seen, [], "requests that reached core")


@case
def random_bytes_do_no_harm():
    rng = random.Random(7)
    seed = pb.RunJobRequest(command="sh", args=["-c", "x"], environment={"A": "b"},
                            uploads=[pb.FileUpload(path="a", content=b"b")]).SerializeToString()
    with Running() as front, Client(front.core.address) as c:
        front.core.handlers["RUN_JOB"] = lambda core, f: core.error(f, 3, "no")
        for _ in range(400):
            data = bytearray(seed)
            for _ in range(rng.randint(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            c.refused("RunJob", bytes(data[:rng.randint(1, len(data))]))
        for method in ("ListJobs", "GetJobStatus", "StopJob"):
            for _ in range(50):
                c.refused(method, bytes(rng.randrange(256) for _ in range(rng.randint(1, 40))))


@case
def a_message_over_the_limit_is_refused():
    with Running(grpc={"max_recv": 1 << 20}) as front, Client(front.core.address) as c:
        code = c.refused("RunJob", c.run([("big", bytes(2 << 20))]))[0]
        equal(code, Code.RESOURCE_EXHAUSTED)
        code = c.refused("GetJobStatus", pb.GetJobStatusRequest(uuid="a" * 70000))[0]
        equal(code, Code.INVALID_ARGUMENT)


@case
def many_requests_are_in_flight_at_once():
    with Running() as front, Client(front.core.address) as c:
        held = []
        front.core.handlers["LIST_JOBS"] = lambda core, f: held.append(f)
        fn = c.channel.unary_unary("/joblet.JobService/ListJobs")
        calls = [fn.future(b"", timeout=100) for _ in range(300)]
        wait_for(lambda: len(held) == 300, "300 requests at core")
        order = list(held)
        random.Random(1).shuffle(order)
        for f in order:
            front.core.send(front.core.ok(f))
        for call in calls:
            equal(call.result(), b"")


# ---- uploads

def accept_run(front, look=None):
    def run(core, f):
        req = pb.RunJobRequest.FromString(f.body)
        path = core.sessions.pop(req.upload_session, None) if req.upload_session else None
        if look:
            look(req, path)
        if path:
            shutil.rmtree(path)
        return core.ok(f, pb.RunJobResponse(job_uuid=JOB).SerializeToString())
    front.core.handlers["RUN_JOB"] = run


@case
def uploads_are_written_and_core_gets_names_alone():
    big = os.urandom(5 << 20)
    seen = {}

    def look(req, path):
        seen["req"] = req
        for root, dirs, files in os.walk(path):
            for name in files + dirs:
                full = os.path.join(root, name)
                data = open(full, "rb").read() if name in files else None
                seen[os.path.relpath(full, path)] = (os.stat(full).st_mode & 0o7777, data)

    with Running() as front, Client(front.core.address) as c:
        accept_run(front, look)
        req = c.run([("run.sh", b"echo"), ("a/b/c.bin", big), ("none", b"")])
        req.uploads[0].mode = 0o100755
        req.uploads.add(path="out", is_directory=True, mode=0o700)
        c.call("RunJob", req)
        equal(seen["run.sh"], (0o755, b"echo"))
        check(seen["a/b/c.bin"] == (0o644, big), "a/b/c.bin differs")
        equal(seen["none"], (0o644, b""))
        equal(seen["a/b"][0], 0o755)
        equal(seen["out"][0], 0o700)
        got = seen["req"]
        equal([u.path for u in got.uploads], ["run.sh", "a/b/c.bin", "none", "out"])
        check(all(not u.content for u in got.uploads), "contents crossed to core")
        equal(front.core.last("STAGE").text, f"bytes={4 + (5 << 20)} files=4")


@case
def bad_upload_paths_are_refused_and_leave_nothing():
    with Running() as front, Client(front.core.address) as c:
        accept_run(front)
        for path in ("../x", "a/../../x", "/etc/passwd", "", ".", "..", "a//b", "etc/passwd",
                     "usr/bin/x", "proc/1", "a\nb", "a/" + "b" * 256, "c" * 5000):
            code, text = c.refused("RunJob", c.run([("ok", b"1"), (path, b"2")]))
            equal(code, Code.INVALID_ARGUMENT, f"{path[:40]!r}: {text}")
        code, text = c.refused("RunJob", c.run([("a", b"1"), ("a", b"2")]))
        equal(code, Code.INVALID_ARGUMENT, f"twice: {text}")
        check("twice" in text, text)
        code, text = c.refused("RunJob", c.run([("a", b"1"), ("a/b", b"2")]))
        equal(code, Code.INVALID_ARGUMENT, f"below a file: {text}")
        equal(front.core.count("RUN_JOB"), 0, "requests that reached core")
        code, text = c.refused("RunJob", c.run([("a", b"1")], upload_session="x"))
        equal(code, Code.INVALID_ARGUMENT, text)


@case
def a_symlink_in_the_staging_directory_is_not_followed():
    with Running() as front, Client(front.core.address) as c:
        accept_run(front)
        target = os.path.join(front.scratch, "outside")
        os.mkdir(target)
        os.chmod(target, 0o777)
        plain = front.core.on_STAGE

        def stage(core, f):
            answer = plain(f)
            os.symlink(target, os.path.join(core.sessions[answer.text], "link"))
            return answer

        front.core.handlers["STAGE"] = stage
        code, text = c.refused("RunJob", c.run([("link/x", b"1")]))
        equal(code, Code.INVALID_ARGUMENT, text)
        code, text = c.refused("RunJob", c.run([("link", b"1")]))
        equal(code, Code.INVALID_ARGUMENT, text)
        equal(os.listdir(target), [], "written through the link")


@case
def ten_thousand_small_files_are_one_request():
    count = {}

    def look(_req, path):
        count["n"] = sum(len(files) for _, _, files in os.walk(path))

    with Running() as front, Client(front.core.address) as c:
        accept_run(front, look)
        c.call("RunJob", c.run([(f"d{i % 100}/f{i}", b"x%d" % i) for i in range(10000)]))
        equal(count["n"], 10000)


@case
def a_large_upload_costs_its_size_once_and_holds_up_nobody():
    size = 100 << 20
    with Running() as front, Client(front.core.address) as c, Client(front.core.address) as other:
        sizes, waits = [], []
        accept_run(front, lambda req, path: sizes.append(os.path.getsize(f"{path}/big")))
        front.core.handlers["LIST_JOBS"] = lambda core, f: core.ok(f)
        other.call("ListJobs")
        before = front.rss_peak()
        req = c.run([("big", bytes(size))]).SerializeToString()
        call = c.channel.unary_unary("/joblet.JobService/RunJob").future(req, timeout=300)
        while not call.done():
            began = time.monotonic()
            other.call("ListJobs")
            waits.append(time.monotonic() - began)
            time.sleep(0.005)
        call.result()
        equal(sizes, [size])
        # less than a second, or on a slow machine only a part of the time
        check(max(waits) < 1 + sum(waits) / 4, f"another client waited {max(waits):.2f} s")
        used = front.rss_peak() - before
        check(used < 2.6 * size, f"an upload of {size >> 20} MiB took {used >> 20} MiB of memory")


@case
def large_requests_together_have_a_ceiling():
    size, n = 12 << 20, 24
    with Running(grpc={"max_recv": 16 << 20}, timeout_ms=300000) as front:
        waiting = []
        plain = front.core.on_STAGE
        front.core.handlers["STAGE"] = lambda core, f: waiting.append(f)  # answered below
        accept_run(front)
        clients = [Client(front.core.address) for _ in range(n)]
        req = clients[0].run([("big", bytes(size))]).SerializeToString()
        before = front.rss_peak()
        calls = [c.channel.unary_unary("/joblet.JobService/RunJob").future(req, timeout=300) for c in clients]
        refused = lambda: [c for c in calls if c.done()]
        wait_for(lambda: len(waiting) + len(refused()) == n, "every request taken or refused")
        check(2 <= len(waiting) <= 5, f"{len(waiting)} of {n} requests were taken")
        for call in refused():
            equal(call.code(), Code.RESOURCE_EXHAUSTED)
            check("try again in a moment, or send files by pieces" in call.details(), call.details())
        used = front.rss_peak() - before
        check(used < 270 << 20, f"{n} requests of {size >> 20} MiB took {used >> 20} MiB of memory")
        with Client(front.core.address) as c:
            check(reaches_core(c), "a small request is refused with the large ones")
        front.core.handlers["STAGE"] = lambda core, f: plain(f)
        for f in waiting:
            front.core.send(plain(f))
        wait_for(lambda: all(c.done() for c in calls), "every request answered")
        clients[0].call("RunJob", req)
        for c in clients:
            c.close()


@case
def a_message_that_is_much_too_large_is_not_taken_in():
    with Running(grpc={"max_recv": 1 << 20}) as front, Client(front.core.address) as c:
        reaches_core(c)
        before = front.rss_peak()
        code, words = c.refused("ListJobs", bytes(600 << 20), timeout=300)
        equal(code, Code.RESOURCE_EXHAUSTED)
        used = front.rss_peak() - before
        check(used < 300 << 20, f"a message of 600 MiB took {used >> 20} MiB of memory")
        check(reaches_core(c), "the connection serves on")


@case
def a_refused_job_gives_its_uploads_back():
    with Running() as front, Client(front.core.address) as c:
        front.core.handlers["RUN_JOB"] = lambda core, f: core.error(f, 5, "no such runtime")
        equal(c.refused("RunJob", c.run([("a", b"1")])), (Code.NOT_FOUND, "no such runtime"))
        wait_for(lambda: not os.listdir(front.core.staging), "staging is empty")
        front.core.handlers["STAGE"] = lambda core, f: core.error(f, 8, "no room")
        equal(c.refused("RunJob", c.run([("a", b"1")])), (Code.RESOURCE_EXHAUSTED, "no room"))


@case
def a_client_that_vanishes_leaves_no_staging():
    with Running() as front:
        gate, staged = threading.Event(), threading.Event()
        plain = front.core.on_STAGE

        def stage(core, f):
            staged.set()
            gate.wait(100)
            return plain(f)

        front.core.handlers["STAGE"] = stage
        accept_run(front)
        c = Client(front.core.address)  # gone before the directory is there
        call = c.channel.unary_unary("/joblet.JobService/RunJob").future(
            c.run([("a", b"1")]).SerializeToString(), timeout=300)
        check(staged.wait(100), "STAGE")
        call.cancel()
        c.close()
        time.sleep(0.2)
        gate.set()
        wait_for(lambda: front.core.count("UNSTAGE") == 1, "UNSTAGE")
        del front.core.handlers["STAGE"]
        for i in range(12):  # gone somewhere in the middle
            before = front.core.count("STAGE")
            c = Client(front.core.address)
            call = c.channel.unary_unary("/joblet.JobService/RunJob").future(
                c.run([("a", bytes(30 << 20))]).SerializeToString(), timeout=300)
            wait_for(lambda: front.core.count("STAGE") > before, "STAGE")
            time.sleep(0.002 * i)
            call.cancel()
            c.close()
        wait_for(lambda: not os.listdir(front.core.staging), "staging is empty")
        fds = front.open_fds()
        check(fds < 40, f"{fds} descriptors are open")


@case
def a_full_disk_is_told_with_the_file():
    front = fakecore.Front(PROGRAM, CA, staging_tmpfs="size=4m")
    try:
        front.wait_listening()
        with Client(front.core.address) as c:
            accept_run(front)
            code, text = c.refused("RunJob", c.run([("small", b"1"), ("dir/big", bytes(9 << 20))]))
            equal(code, Code.RESOURCE_EXHAUSTED, text)
            check("'dir/big'" in text and "No space left" in text, text)
            wait_for(lambda: not os.listdir(front.core.staging), "staging is empty")
            c.call("RunJob", c.run([("big", bytes(3 << 20))]))
    finally:
        front.stop()


@case
def the_last_inodes_are_not_taken_by_uploads():
    front = fakecore.Front(PROGRAM, CA, staging_tmpfs="size=64m,nr_inodes=1070")
    try:
        front.wait_listening()
        with Client(front.core.address) as c:
            accept_run(front)
            stage = c.channel.stream_unary("/joblet.JobService/StageUploads")
            for paths in ([f"f{i}" for i in range(1100)],
                          [f"{i}/" + "d/" * 14 + "f" for i in range(70)]):  # directories count, too
                pieces = (pb.UploadChunk(path=p, eof=True).SerializeToString() for p in paths)
                for call in (lambda: stage(pieces, timeout=100), lambda: c.call("RunJob", c.run((p, b"") for p in paths))):
                    try:
                        call()
                        raise AssertionError("not refused")
                    except grpc.RpcError as e:
                        equal((e.code(), e.details()),
                              (Code.RESOURCE_EXHAUSTED, "the server's disk for jobs has less than 5 % of its inodes left"))
                    wait_for(lambda: not os.listdir(front.core.staging), "staging is empty")
    finally:
        front.stop()


# ---- logs

def lines(n, first=0):
    return [b"line %06d\n" % i for i in range(first, first + n)]


@case
def history_and_then_what_comes_live():
    with Running() as front, Client(front.core.address) as c:
        log = front.new_log(JOB)
        log.add(b"one\n")
        log.add(b"oops\n", 2)
        log.add(b"two\n")
        log.add(b"[joblet] note\n", 3)
        stream = c.log()
        got = [next(stream) for _ in range(4)]
        equal([(g.payload, g.stream, g.sequence) for g in got],
              [(b"one\n", 1, 1), (b"oops\n", 2, 2), (b"two\n", 1, 3), (b"[joblet] note\n", 2, 4)])
        check(abs(got[0].timestamp - time.time_ns()) < 60e9, "timestamp")
        for i in range(20):
            log.add(b"live %d\n" % i)
            equal(next(stream).payload, b"live %d\n" % i)
        log.add(b"no newline")
        log.gap(12345)
        log.add(b"after\n")
        log.end()
        text = b"".join(g.payload for g in stream)
        equal(text, b"no newline\n[joblet: 12345 bytes of output were dropped here: disk full]\n"
              b"after\n")


@case
def without_inotify_live_lines_come_all_the_same():
    with Running() as front, Client(front.core.address) as c:
        log = front.new_log(JOB)
        log.unwatched = True
        stream = c.log()
        for i in range(4):
            log.add(b"live %d\n" % i)
            equal(next(stream).payload, b"live %d\n" % i)
        log.end()
        equal(list(stream), [])


@case
def a_hundred_thousand_lines_come_once_in_order_in_few_messages():
    with Running() as front, Client(front.core.address) as c:
        log = front.new_log(JOB)
        log.add_many(lines(100000))
        log.end()
        chunks = list(c.log())
        check(b"".join(k.payload for k in chunks) == b"".join(lines(100000)), "lines differ")
        check(max(len(k.payload) for k in chunks) <= 1 << 20, "a chunk is too large")
        equal(chunks[-1].sequence, 100000)
        check(len(chunks) < 10, f"{len(chunks)} chunks")


@case
def live_lines_come_once_and_in_order_to_every_reader():
    with Running() as front, Client(front.core.address) as c:
        log = front.new_log(JOB)
        results = [None] * 5

        def read(i):
            results[i] = c.log_text()

        threads = [threading.Thread(target=read, args=(i,)) for i in range(5)]
        for t in threads:
            t.start()
        for i in range(0, 20000, 50):
            if i % 1000 == 0:
                log.add(b"".join(lines(50, i)))
            else:
                log.add_many(lines(50, i))
            if i % 5000 == 4950:
                log.next_segment()
        log.end()
        for t in threads:
            t.join(100)
        for i, text in enumerate(results):
            check(text == b"".join(lines(20000)), f"reader {i} got something else")


@case
def reading_goes_on_after_any_sequence():
    with Running() as front, Client(front.core.address) as c:
        log = front.new_log(JOB)
        for first in (0, 10, 20):
            for p in lines(10, first):
                log.add(p)
            if first < 20:
                log.next_segment()
        log.end()
        # sequences: 1-10, NEXT 11, 12-21, NEXT 22, 23-32, END 33
        for from_sequence, skipped in ((0, 0), (1, 0), (2, 1), (10, 9), (11, 10), (12, 10),
                                       (13, 11), (23, 20), (32, 29), (33, 30), (99, 30)):
            equal(c.log_text(from_sequence=from_sequence), b"".join(lines(30)[skipped:]),
                  f"from {from_sequence}")
        whole = list(c.log())
        equal([k.sequence for k in whole], [10, 21, 32])
        equal(c.log_text(from_sequence=whole[0].sequence + 1), b"".join(lines(20, 10)))


@case
def the_last_lines_over_segments():
    with Running() as front, Client(front.core.address) as c:
        log = front.new_log(JOB)
        for first in (0, 100, 200):
            log.add_many(lines(100, first))
            if first < 200:
                log.next_segment()
        for n in (1, 5, 100, 101, 250, 300, 1000):
            equal(c.log_text(tail_lines=n, no_follow=True), b"".join(lines(300)[-n:]), f"{n} lines")
        log.add(b"partial")
        equal(c.log_text(tail_lines=2, no_follow=True), lines(300)[-1] + b"partial")
        log.next_segment()
        equal(c.log_text(tail_lines=1, no_follow=True), b"partial", "an empty last segment")
        log.end()
        equal(c.log_text(tail_lines=1), b"partial", "followed to the end")


def cut(n):
    return b"[joblet: the first %d bytes of output are no longer kept: logs.max_size]\n" % n


@case
def what_a_ceiling_took_is_told_and_the_rest_comes():
    with Running() as front, Client(front.core.address) as c:
        log = front.new_log(JOB)
        for first in (0, 10, 20, 30):
            log.add_many(lines(10, first))
            log.next_segment()
        log.drop_oldest()
        log.drop_oldest()
        rest = b"".join(lines(20, 20))
        equal(c.log_text(no_follow=True), cut(240) + rest)
        marks = [(k.dropped_bytes, k.sequence, k.stream) for k in c.log(no_follow=True) if k.dropped_bytes]
        equal(marks, [(240, 21, 2)])
        # sequences: 1-10, NEXT 11, 12-21, NEXT 22, 23-32, ...
        for from_sequence, text in ((1, cut(240) + rest), (21, cut(240) + rest), (22, rest), (23, rest),
                                    (24, b"".join(lines(19, 21))), (33, b"".join(lines(10, 30)))):
            equal(c.log_text(from_sequence=from_sequence, no_follow=True), text, f"from {from_sequence}")
        for n in (1, 10, 19):
            equal(c.log_text(tail_lines=n, no_follow=True), b"".join(lines(40)[-n:]), f"{n} lines")
        for n in (21, 1000):
            equal(c.log_text(tail_lines=n, no_follow=True), cut(240) + rest, f"{n} lines")
        log.end()
        equal(c.log_text(), cut(240) + rest)


@case
def followers_meet_a_ceiling_where_they_are():
    with Running() as front, Client(front.core.address) as c:
        log = front.new_log(JOB)
        log.add(b"first\n")
        quick = c.log()
        equal(next(quick).payload, b"first\n")
        log.next_segment()
        log.add(b"second\n")
        equal(next(quick).payload, b"second\n")
        log.drop_oldest()  # behind it: nothing that it has not seen
        log.next_segment()
        log.add(b"third\n")
        equal(next(quick).payload, b"third\n")
        # one that is slow holds a segment open that goes under its hands
        piece = b"x" * 65535 + b"\n"
        for _ in range(400):
            log.add(piece)
        slow = c.log()
        seen = [next(slow)]
        log.next_segment()
        log.add(b"fourth\n")
        log.drop_oldest()
        log.drop_oldest()
        log.end()
        seen += list(slow)
        whole = b"first\nsecond\nthird\n" + piece * 400 + b"fourth\n"
        # what comes between two marks stands where the mark before it says
        parts = re.split(cut(0).replace(b"[", b"\\[").replace(b"0", b"(\\d+)"), b"".join(k.payload for k in seen))
        equal(parts[:2], [b"", b"6"], "it began when the first segment was gone already")
        at = 0
        for where, text in zip(parts[1::2], parts[2::2]):
            check(int(where) >= at, f"{where} after {at}")
            at = int(where)
            check(whole.startswith(text, at), f"at {at}: {text[:80]}")
            at += len(text)
        equal((at, parts[-1]), (len(whole), b"fourth\n"))
        equal(int(parts[-2]), log.first_kept[2][0])
        equal([k.sequence for k in seen], sorted({k.sequence for k in seen}), "sequences")


@case
def no_follow_ends_at_what_is_stored():
    with Running() as front, Client(front.core.address) as c:
        log = front.new_log(JOB)
        equal(c.log_text(no_follow=True), b"", "an empty log")
        log.add(b"a\n")
        equal(c.log_text(no_follow=True), b"a\n")
        front.core.logs[JOB] = "wait"
        equal(c.log_text(no_follow=True), b"", "a log not begun")
        front.core.logs[JOB] = log


@case
def a_job_that_has_not_begun_is_waited_for():
    with Running() as front, Client(front.core.address) as c:
        front.core.logs[JOB] = "wait"
        stream = c.log()
        wait_for(lambda: front.core.count("GET_JOB_LOGS") >= 1, "the question")
        log = front.new_log(JOB)
        log.add(b"begun\n")
        front.core.event(JOB)
        equal(next(stream).payload, b"begun\n")
        log.end()
        equal(list(stream), [])
        front.core.logs[JOB] = "wait"  # and without an event
        stream = c.log()
        wait_for(lambda: front.core.count("GET_JOB_LOGS") >= 4, "asked again by itself")
        front.core.logs[JOB] = log
        equal(b"".join(k.payload for k in stream), b"begun\n")


@case
def the_end_comes_although_the_shim_died():
    with Running() as front, Client(front.core.address) as c:
        log = front.new_log(JOB)
        log.add(b"a\n")
        stream = c.log()
        equal(next(stream).payload, b"a\n")
        wait_for(lambda: front.core.count("GET_JOB") == 1, "the state was asked for")
        front.core.event("99999999-2222-4333-8444-555555555555")  # another job's
        log.add(b"last\n")
        front.core.states[JOB] = "FAILED"
        front.core.event(JOB)
        equal(b"".join(k.payload for k in stream), b"last\n")
        equal(c.log_text(), b"a\nlast\n", "asked after the end")
        front.core.states[JOB] = None  # deleted meanwhile
        equal(c.log_text(), b"a\nlast\n", "deleted while it is read")


@case
def a_log_does_not_end_before_its_job():
    with Running() as front, Client(front.core.address) as c:
        log = front.new_log(JOB)
        log.add(b"last\n")
        front.core.states[JOB] = "RUNNING"  # the exit code is not known yet
        log.end()
        ended_at = []
        stream = c.log()
        stream.add_done_callback(lambda _: ended_at.append(time.monotonic()))
        equal(next(stream).payload, b"last\n")
        wait_for(lambda: front.core.count("GET_JOB") >= 1, "the state was asked for")
        time.sleep(0.2)
        equal(ended_at, [], "the stream ended")
        front.core.states[JOB] = "FAILED"
        front.core.event(JOB)
        equal(list(stream), [])
        front.core.states[JOB] = "RUNNING"  # and when core's word was lost
        stream = c.log()
        next(stream)
        wait_for(lambda: front.core.count("GET_JOB") >= 3, "the state was asked for")
        front.core.states[JOB] = "FAILED"
        equal(list(stream), [])


@case
def an_unknown_job_has_no_log():
    with Running() as front, Client(front.core.address) as c:
        try:
            c.log_text("abcdef")
            raise AssertionError("not refused")
        except grpc.RpcError as e:
            equal((e.code(), e.details()), (Code.NOT_FOUND, "job not found: abcdef"))


@case
def a_damaged_log_says_so():
    with Running() as front, Client(front.core.address) as c:
        log = front.new_log(JOB)
        for p in lines(3):
            log.add(p)
        with open(f"{log.dir}/output.0.idx", "r+b") as f:
            f.seek(40 + 7)
            f.write(b"\x77")
        stream = c.log()
        equal(next(stream).payload, lines(1)[0])
        try:
            next(stream)
            raise AssertionError("not refused")
        except grpc.RpcError as e:
            equal(e.code(), Code.DATA_LOSS, e.details())


@case
def two_hundred_streams_and_a_slow_reader():
    with Running() as front:
        log = front.new_log(JOB)
        clients = [Client(front.core.address) for _ in range(8)]
        idle = front.open_fds()
        slow = clients[0].log()  # nobody reads it
        streams = [clients[i % 8].log() for i in range(200)]
        log.add(b"hello\n")
        for s in streams:
            equal(next(s).payload, b"hello\n")
        log.add_many([os.urandom(60000) for _ in range(400)])  # 24 MB
        fast = sum(len(k.payload) for k in clients[7].log(no_follow=True))
        equal(fast, 6 + 400 * 60000, "a fast reader beside a slow one")
        used = front.open_fds() - idle
        check(used < 201 * 2 + 30, f"{used} descriptors for 201 streams")
        for c in clients:
            c.close()
        check(slow.code() is not None, "the slow reader's call is over")
        wait_for(lambda: front.open_fds() <= idle, "descriptors are closed")
        log.end()
        with Client(front.core.address) as c:
            check(c.log_text()[:6] == b"hello\n", "a new reader")


@case
def streams_have_a_ceiling():
    with Running(nofile=256) as front, Client(front.core.address) as c, \
            Client(front.core.address) as other:
        front.new_log(JOB).add(b"x\n")
        streams = []

        def served(client, n):
            refused = []
            before = len(streams)
            for _ in range(n):
                s = client.log()
                try:
                    next(s)
                    streams.append(s)
                except grpc.RpcError as e:
                    equal(e.code(), Code.RESOURCE_EXHAUSTED, e.details())
                    refused.append(e.details())
            return len(streams) - before, refused

        # 32 with 256 descriptors; one certificate gets three quarters
        got, refused = served(c, 60)
        equal((got, set(refused)), (24, {"this certificate has too many open streams"}))
        got, refused = served(other, 60)
        equal((got, set(refused)), (8, {"the server has too many open streams"}))
        for s in streams:
            s.cancel()


@case
def streams_of_metrics_count_among_the_streams():
    mine, theirs = "this certificate has too many open streams", "the server has too many open streams"
    with Running(nofile=256) as front, raw(front) as c, raw(front) as other:  # two certificates
        front.new_log(JOB)
        front.core.handlers["STREAM_JOB_METRICS"] = lambda core, f: core.error(f, fakecore.WAIT, "")
        ask = pb.StreamJobMetricsRequest(job_uuid=JOB).SerializeToString()
        for client, n, words in ((c, 36, mine), (other, 52, theirs)):
            for _ in range(60):
                client.call("StreamJobMetrics", ask)
            client.wait(lambda: client.told(words) == n, f"{n} refused")
        with Client(front.core.address, cert=c.cert) as same:
            try:
                next(same.log())
                raise AssertionError("not refused")
            except grpc.RpcError as e:
                equal(e.code(), Code.RESOURCE_EXHAUSTED, e.details())


@case
def calls_without_a_message_have_a_ceiling():
    words = "this certificate has too many open calls"
    with Running(timeout_ms=300000, grpc={"max_streams": 1000, "keepalive_timeout_ms": 300000}) as front:
        cert = CA.client("admin")
        many = [raw(front, cert=cert) for _ in range(4)]
        for c in many:
            for _ in range(800):
                c.head("ListJobs")

        def refused():
            for c in many:
                c.read()
            return sum(c.told(words) for c in many)

        wait_for(lambda: refused() == 3200 - 3072, "all but three quarters of 4096 refused")
        check(serves(front.core.address), "another certificate")
        with Client(front.core.address, cert=cert) as c:
            equal(c.refused("ListJobs"), (Code.RESOURCE_EXHAUSTED, words))
        for c in many:
            c.close()
        with Client(front.core.address, cert=cert) as c:
            wait_for(lambda: c.refused("ListJobs")[0] == Code.UNIMPLEMENTED, "its calls are given back")


@case
def who_begins_a_call_goes_on_with_it():
    late = "did not come in time"
    with Running(timeout_ms=1500) as front, raw(front) as c:
        first = [c.head("ListJobs"), c.head("StageUploads"), c.head("NoSuchMethod")]
        run = c.head("RunJob")  # may be large, and come over a slow line
        half = c.head("StageUploads")
        c.message(half, pb.UploadChunk(path="a", data=b"x").SerializeToString())
        wait_for(lambda: os.listdir(front.core.staging), "an upload has begun")
        c.wait(lambda: c.told(f"the request message {late}") == 3, "no first message")
        c.wait(lambda: half in c.ended, "no second one")
        equal(c.told(f"the next piece of the upload {late}"), 1)
        check(all(s in c.ended for s in first) and run not in c.ended, "streams that are over")
        wait_for(lambda: front.core.count("UNSTAGE") == 1, "UNSTAGE")


@case
def one_certificate_cannot_have_all_uploads():
    with Running(timeout_ms=300000) as front, raw(front) as c:
        for _ in range(64):
            c.message(c.head("StageUploads"), pb.UploadChunk(path="a", data=b"x").SerializeToString())
        c.wait(lambda: c.told("this certificate has too many open uploads") == 16, "16 of 64 refused")
        wait_for(lambda: len(os.listdir(front.core.staging)) == 48, "48 uploads have begun")
        with Client(front.core.address) as other:
            stage = other.channel.stream_unary("/joblet.JobService/StageUploads")
            answer = stage(iter([pb.UploadChunk(path="a", eof=True).SerializeToString()]), timeout=100)
            session = pb.StageUploadsResponse.FromString(answer).upload_session
        c.close()
        wait_for(lambda: front.core.count("UNSTAGE") == 48, "given back")
        shutil.rmtree(front.core.sessions.pop(session))


@case
def answers_that_are_not_fetched_have_a_ceiling():
    size = 256 << 10

    def fetches(client):
        try:
            return len(client.call("ListJobs")) == size
        except grpc.RpcError as e:
            equal(e.code(), Code.RESOURCE_EXHAUSTED, e.details())
            return False

    with Running(timeout_ms=300000, grpc={"max_send": 8 << 20, "max_streams": 1000, "keepalive_timeout_ms": 300000}) as front, \
            raw(front, window=0) as c:
        front.core.handlers["LIST_JOBS"] = lambda core, f: core.ok(f, bytes(size))
        front.core.handlers["STOP_JOB"] = lambda core, f: core.ok(f)
        with Client(front.core.address) as other:
            check(fetches(other), "another certificate")
            before = front.rss_peak()
            for _ in range(300):
                c.call("ListJobs")
            # 64 MiB for all, 48 for one certificate
            c.wait(lambda: c.told("this certificate has too many answers that it has not fetched") == 300 - 192, "the rest refused")
            used = front.rss_peak() - before
            check(used < 90 << 20, f"answers for 48 MiB took {used >> 20} MiB of memory")
            check(fetches(other), "another certificate")
            with Client(front.core.address, cert=c.cert) as same:
                check(not fetches(same), "more than its share")
                same.call("StopJob", pb.StopJobRequest(uuid=JOB))  # whose answer is small
            c.close()
            with Client(front.core.address, cert=c.cert) as same:
                wait_for(lambda: fetches(same), "what the connection held is given back")


@case
def an_answer_that_is_not_fetched_is_cut():
    with Running(timeout_ms=1500) as front, raw(front, window=0) as c:
        front.core.handlers["LIST_JOBS"] = lambda core, f: core.ok(f, bytes(1000))
        for _ in range(3):
            c.call("ListJobs")
        c.wait(lambda: len(c.headers) == 3, "the answers' headers")
        check(not c.ended, "answers that have waited for nobody")
        c.wait(lambda: len(c.ended) == 3, "calls are cut")
        check(not c.closed, "the connection stays")


@case
def connections_have_a_ceiling():
    # few descriptors: 128 connections, 96 of one address; none is ended for being slow
    with Running(nofile=2048, grpc={"max_streams": 1000, "connection_timeout_ms": 600000}) as front:
        equal(serves(front.core.address), True, "a client before")
        idle = []
        for _ in range(300):  # strangers who never speak
            idle.append(socket.create_connection(split(front.core.address), 60))
        equal(serves(front.core.address), True, "a client beside 300 strangers")
        check(front.open_fds() < 96 * 2 + 60, f"{front.open_fds()} descriptors")
        closed = sum(is_closed(s) for s in idle)
        check(300 - 96 <= closed < 300, f"{closed} of 300 strangers were let go")
        check(all(is_closed(s) for s in idle[:100]), "the oldest went first")
        with Client(front.core.address) as c:  # who has called stays, whoever else comes
            check(reaches_core(c), "the first call")
            for _ in range(200):
                idle.append(socket.create_connection(split(front.core.address), 60))
            for _ in range(20):
                check(reaches_core(c), "a call on the old connection")
            count = front.log().count("front.listen")
            equal(count, 1, "starts of front")
        for s in idle:
            s.close()
        wait_for(lambda: front.open_fds() < 60, "the descriptors are back")
        equal(serves(front.core.address), True, "a client after")


@case
def one_certificate_cannot_have_all_connections():
    with Running(nofile=2048) as front:
        cert = CA.client("admin")
        mine, refused = [], 0
        for _ in range(110):
            c = Client(front.core.address, cert=cert)
            mine.append(c)
            if not reaches_core(c):
                refused += 1
        check(0 < refused <= 20, f"{refused} of 110 were refused")
        for c in mine[:90]:
            check(reaches_core(c), "a call on an old connection")
        for c in mine:
            c.close()
        wait_for(lambda: front.open_fds() < 60, "the descriptors are back")
        equal(serves(front.core.address), True, "a client after")


@case
def who_speaks_slowly_does_not_stay():
    with Running(grpc={"max_streams": 1000, "connection_timeout_ms": 1000}) as front:
        drops = [socket.create_connection(split(front.core.address), 60) for _ in range(40)]

        def given_up():  # the first bytes of a handshake, one at a time
            for s in drops:
                try:
                    s.send(b"\x16")
                except OSError:
                    pass
            time.sleep(0.25)
            return all(is_closed(s) for s in drops)

        wait_for(lambda: serves(front.core.address), "a client beside them")
        wait_for(given_up, "half-open handshakes are ended")
        wait_for(lambda: serves(front.core.address), "a client after them")
        for s in drops:
            s.close()


# ---- life and death

@case
def a_core_that_dies_ends_every_call():
    front = fakecore.Front(PROGRAM, CA)
    try:
        front.wait_listening()
        front.new_log(JOB).add(b"x\n")
        front.core.handlers["LIST_JOBS"] = lambda core, f: None
        with Client(front.core.address) as c:
            stream = c.log()
            next(stream)
            call = c.channel.unary_unary("/joblet.JobService/ListJobs").future(b"", timeout=100)
            wait_for(lambda: front.core.count("LIST_JOBS") == 1, "the request")
            front.core.sock.shutdown(socket.SHUT_RDWR)
            for what in (lambda: next(stream), call.result):
                try:
                    what()
                    raise AssertionError("the call went on without core")
                except grpc.RpcError as e:
                    equal((e.code(), e.details()), (Code.UNAVAILABLE, "joblet core went away"))
            equal(front.process.wait(100), 0, "exit status")
    finally:
        front.stop()


@case
def sigterm_ends_it_cleanly():
    front = fakecore.Front(PROGRAM, CA)
    front.wait_listening()
    front.new_log(JOB).add(b"x\n")
    front.core.handlers["LIST_JOBS"] = front.core.handlers["STREAM_SYSTEM_METRICS"] = lambda core, f: None
    over = threading.Event()
    with Client(front.core.address) as c, raw(front) as bare:
        bare.head("RunJob")
        stream = c.log()
        next(stream)
        watch = c.channel.unary_stream("/joblet.MonitoringService/StreamSystemMetrics")(b"", timeout=100)
        stage = c.channel.stream_unary("/joblet.JobService/StageUploads").future(half_an_upload(over), timeout=100)
        call = c.channel.unary_unary("/joblet.JobService/ListJobs").future(b"", timeout=100)
        wait_for(lambda: front.core.count("LIST_JOBS") == 1 and front.core.count("STREAM_SYSTEM_METRICS") == 1 and
                 front.core.count("STAGE") == 1, "the requests")
        front.process.terminate()
        for what, words in ((lambda: next(stream), "the server is going down"), (lambda: next(watch), "the server is going down"),
                            (stage.result, "the server is going down"),
                            (call.result, "the server is going down; whether this was done is not known")):
            try:
                what()
                raise AssertionError("the call went on")
            except grpc.RpcError as e:
                equal((e.code(), e.details()), (Code.UNAVAILABLE, words))
        bare.wait(lambda: bare.told("the server is going down") == 1, "a call without a message ends")
        equal(front.process.wait(100), 0, "exit status")
        over.set()
    front.stop()


def half_an_upload(over):
    yield pb.UploadChunk(path="a", data=b"x").SerializeToString()
    over.wait(100)


@case
def a_port_in_use_is_named():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        front = fakecore.Front(PROGRAM, CA, port=s.getsockname()[1])
        equal(front.process.wait(100), 1, "exit status")
        log = front.log()
        front.stop()
        check(f"127.0.0.1:{s.getsockname()[1]}" in log and "in use" in log, log)


@case
def it_refuses_root_arguments_and_a_missing_core():
    done = subprocess.run([PROGRAM], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    equal(done.returncode, 1)
    check(b"does not run as root" in done.stderr, done.stderr)
    done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", PROGRAM],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    equal(done.returncode, 1)
    check(b"joblet starts joblet-front" in done.stderr, done.stderr)
    done = subprocess.run([PROGRAM, "--port=1"], capture_output=True, check=False)
    equal(done.returncode, 1)
    check(b"takes no arguments" in done.stderr, done.stderr)


@case
def it_has_given_everything_up():
    with Running() as front, Client(front.core.address) as c:
        front.core.handlers["LIST_JOBS"] = lambda core, f: core.ok(f)
        c.call("ListJobs")
        pid = front.process.pid
        tasks = os.listdir(f"/proc/{pid}/task")
        check(len(tasks) >= 2, "gRPC has threads")
        for tid in tasks:
            with open(f"/proc/{pid}/task/{tid}/status", encoding="ascii") as f:
                status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
            equal(status["Uid"].split(), ["65534"] * 4, tid)
            equal(status["NoNewPrivs"], "1", tid)
            equal(status["Seccomp"], "2", tid)
            for cap in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                equal(int(status[cap], 16), 0, f"{tid} {cap}")
        equal(os.stat(f"/proc/{pid}/io").st_uid, 0, "owner of /proc/PID: it is not dumpable")


def main():
    global pb, CA, PROGRAM
    words = sys.argv[1:]
    cases = [c for c in CASES if not words or any(w in c.__name__ for w in words)]
    scratch = tempfile.mkdtemp(prefix="jlfp.")
    failed = 0
    try:
        fakecore.read_ops(os.path.join(TOP, "src", "ipc", "ops.def"))
        pb = load_messages(scratch)
        # It is started here as nobody, who may not get to where it was built (below /root, say).
        os.chmod(scratch, 0o711)
        PROGRAM = shutil.copy(PROGRAM, scratch)
        CA = pki.Authority(os.path.join(scratch, "ca"))
        print(f"1..{len(cases)}", flush=True)
        for number, fn in enumerate(cases, 1):
            began = time.monotonic()
            try:
                fn()
                print(f"ok {number} {fn.__name__} # {time.monotonic() - began:.1f} s", flush=True)
            except Exception:  # a case that fails must not end the others
                failed += 1
                print(f"not ok {number} {fn.__name__}", flush=True)
                for line in traceback.format_exc().splitlines():
                    print(f"# {line}", flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
