"""A client of joblet that shares none of its code: python3-grpcio, and messages that grpc_tools makes
of src/api/*.proto when this is imported.

    from grpc_client import Client, pb
    with Client.from_config("DIR/config/rnx-config.yml", node="default") as c:
        uuid = c.run("sh", "-c", "echo hello", max_memory=64)
        print(c.logs(uuid), c.wait(uuid).exit_code)

A refusal raises grpc.RpcError; `code_of` calls something and returns its status code and words.
Debian's own interpreter: /usr/bin/python3.
"""

import atexit
import os
import shutil
import sys
import tempfile
import time

import grpc
from grpc_tools import protoc

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PROTO = os.environ.get("JOBLET_PROTO_DIR", os.path.join(_TOP, "src", "api"))


def _generate():
    made = tempfile.mkdtemp(prefix="joblet-proto-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    args = ["protoc", "-I" + _PROTO, "--python_out=" + made, "--grpc_python_out=" + made]
    for name in ("joblet.proto", "health.proto"):
        if protoc.main(args + [name]) != 0:
            raise RuntimeError("grpc_tools refuses %s/%s" % (_PROTO, name))
    sys.path.insert(0, made)


_generate()
import health_pb2 as health_pb  # noqa: E402  (made by _generate)
import health_pb2_grpc as health_rpc  # noqa: E402
import joblet_pb2 as pb  # noqa: E402
import joblet_pb2_grpc as rpc  # noqa: E402

ENDED = ("COMPLETED", "FAILED", "STOPPED", "CANCELED", "TIMEOUT")


def channel(address, ca=None, cert=None, key=None, name="joblet", **options):
    """A channel with mutual TLS; PEM as str or bytes. options: further channel options."""

    def octets(pem):
        return pem.encode() if isinstance(pem, str) else pem

    creds = grpc.ssl_channel_credentials(octets(ca), octets(key), octets(cert))
    opts = [
        ("grpc.ssl_target_name_override", name),
        ("grpc.max_receive_message_length", 128 << 20),
        ("grpc.max_send_message_length", 128 << 20),
        ("grpc.enable_http_proxy", 0),
    ]
    opts += [("grpc." + k, v) for k, v in options.items()]
    return grpc.secure_channel(address, creds, options=opts)


def code_of(call, *args, **kwargs):
    """(status code, words) of a call, whether it succeeds or not. Streams are read to their end."""
    try:
        answer = call(*args, **kwargs)
        if hasattr(answer, "code") and hasattr(answer, "__next__"):
            for _ in answer:
                pass
        return grpc.StatusCode.OK, ""
    except grpc.RpcError as e:
        return e.code(), e.details()


class Client:
    def __init__(self, address, ca=None, cert=None, key=None, timeout=100, **options):
        self.timeout = timeout
        self.channel = channel(address, ca, cert, key, **options)
        self.job = rpc.JobServiceStub(self.channel)
        self.network = rpc.NetworkServiceStub(self.channel)
        self.volume = rpc.VolumeServiceStub(self.channel)
        self.monitoring = rpc.MonitoringServiceStub(self.channel)
        self.runtime = rpc.RuntimeServiceStub(self.channel)
        self.health = health_rpc.HealthStub(self.channel)

    @classmethod
    def from_config(cls, path, node="default", **kwargs):
        """With the certificates of a node in an rnx-config.yml."""
        import yaml

        with open(path, encoding="utf-8") as f:
            n = yaml.safe_load(f)["nodes"][node]
        return cls(n["address"], n["ca"], n["cert"], n["key"], **kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.channel.close()

    def run(self, command, *args, uploads=None, **fields):
        """Submits a job; its uuid. uploads: {path: bytes, (bytes, mode) or None for a directory}."""
        request = pb.RunJobRequest(command=command, args=args, **fields)
        for path, content in (uploads or {}).items():
            u = request.uploads.add(path=path)
            if content is None:
                u.is_directory = True
            elif isinstance(content, tuple):
                u.content, u.mode = content
            else:
                u.content = content
        return self.job.RunJob(request, timeout=self.timeout).job_uuid

    def status(self, uuid):
        return self.job.GetJobStatus(pb.GetJobStatusRequest(uuid=uuid), timeout=self.timeout)

    def wait(self, uuid, seconds=300):
        """The status once the job has ended; TimeoutError after `seconds`."""
        until = time.monotonic() + seconds
        while True:
            s = self.status(uuid)
            if s.status in ENDED:
                return s
            if time.monotonic() > until:
                raise TimeoutError("job %s is still %s" % (uuid, s.status))
            time.sleep(0.05)

    def log_chunks(self, uuid, seconds=300, **fields):
        """DataChunks as they come; cancel() on the result ends it."""
        return self.job.GetJobLogs(pb.GetJobLogsRequest(uuid=uuid, **fields), timeout=seconds)

    def logs(self, uuid, stream=None, seconds=300, **fields):
        """All output as bytes, until the job has ended; stream 1 or 2 alone if given."""
        chunks = self.log_chunks(uuid, seconds, **fields)
        return b"".join(c.payload for c in chunks if stream in (None, c.stream))

    def stop(self, uuid, grace_ms=0):
        request = pb.StopJobRequest(uuid=uuid, grace_ms=grace_ms)
        return self.job.StopJob(request, timeout=self.timeout + grace_ms / 1000)

    def jobs(self):
        return list(self.job.ListJobs(pb.EmptyRequest(), timeout=self.timeout).jobs)

    def is_serving(self):
        answer = self.health.Check(health_pb.HealthCheckRequest(), timeout=self.timeout)
        return answer.status == health_pb.HealthCheckResponse.SERVING
