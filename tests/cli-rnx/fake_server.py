#!/usr/bin/python3
"""A JobService over mutual TLS for the tests of rnx: it answers from a script, not from jobs.

fake_server.py --config joblet-config.yml --proto DIR --port N [--die-after K] [--record FILE]
  --proto DIR     where joblet_pb2.py is (made by grpc_tools from joblet.proto)
  --port 0        any free port; "port N" is printed when it listens
  --lines N       the log: N lines, a record each, numbered from 1 (default 1000)
  --die-after K   exit in the middle of the log, after K records of one call
  --unavailable K answer the first K log calls with UNAVAILABLE
  --record FILE   what RunJob got, as JSON
"""
import argparse
import base64
import json
import os
import re
import sys
import threading
import time
from concurrent import futures

import grpc

ap = argparse.ArgumentParser()
ap.add_argument("--config", required=True)
ap.add_argument("--proto", required=True)
ap.add_argument("--port", type=int, default=0)
ap.add_argument("--lines", type=int, default=1000)
ap.add_argument("--die-after", type=int, default=0)
ap.add_argument("--unavailable", type=int, default=0)
ap.add_argument("--record")
opt = ap.parse_args()
sys.path.insert(0, opt.proto)
import joblet_pb2 as pb  # noqa: E402  (made for the test)

KNOWN = "11111111-2222-4333-8444-555555555555"
SECOND = "aaaaaaaa-2222-4333-8444-555555555555"
started = time.time_ns()
refusals = [opt.unavailable]


def pem(key):
    text = open(opt.config, encoding="utf-8").read()
    m = re.search(r"^  %s: \|\n((?:    .*\n)+)" % key, text, re.M)
    return re.sub(r"^    ", "", m.group(1), flags=re.M).encode()


def run_job(req, ctx):
    if req.name == "refuse-me":
        ctx.abort(grpc.StatusCode.PERMISSION_DENIED, "role reader is not allowed to perform operation run_job")
    if req.name == "die":  # the request has come, the answer never goes
        os._exit(9)
    if req.network == "host":
        ctx.abort(grpc.StatusCode.PERMISSION_DENIED,
                  "network 'host' is not allowed on this server (network.allow_host_network)")
    if opt.record:
        with open(opt.record, "w", encoding="utf-8") as f:
            json.dump({
                "name": req.name, "command": req.command, "args": list(req.args),
                "max_cpu": req.max_cpu, "max_memory": req.max_memory, "max_io_bps": req.max_io_bps,
                "cpu_cores": req.cpu_cores, "schedule": req.schedule, "network": req.network,
                "volumes": list(req.volumes), "runtime": req.runtime, "work_dir": req.work_dir,
                "environment": dict(req.environment), "secret": dict(req.secret_environment),
                "session": req.upload_session, "timeout": req.timeout_seconds, "gpu": [req.gpu_count, req.gpu_memory_mb],
                "uploads": [[u.path, u.mode, u.is_directory, len(u.content),
                             base64.b64encode(u.content[:64]).decode()] for u in req.uploads],
            }, f)
    if req.name == "no-time":
        return pb.RunJobResponse(job_uuid=KNOWN, status="INITIALIZING", command=req.command)
    status = "SCHEDULED" if req.schedule else "RUNNING"
    return pb.RunJobResponse(job_uuid=KNOWN, status=status, command=req.command,
                             start_time="" if req.schedule else "2026-01-02T03:04:05.5Z",
                             scheduled_time="2026-01-02T04:34:05Z" if req.schedule else "")


def stage_uploads(chunks, ctx):
    files = {}
    for n, c in enumerate(chunks):
        if c.path == "stall":  # flow control: nothing more is taken
            open(opt.record + ".stalled", "w").close()
            while ctx.is_active():
                time.sleep(0.05)
            open(opt.record + ".gone", "w").close()
            return None
        if c.path == "refuse-me":
            ctx.set_trailing_metadata((("joblet-answer", "1"),))
            ctx.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the server's disk for jobs has less than 5 % left")
        f = files.setdefault(c.path, [c.mode, c.is_directory, 0, 0])
        f[2] += len(c.data)
        f[3] += c.eof
    with open(opt.record + ".staged", "w", encoding="utf-8") as out:
        json.dump(files, out)
    return pb.StageUploadsResponse(upload_session="session-1", files=len(files))


WAITING = pb.GetJobStatusResponse(
    uuid="bbbbbbbb-2222-4333-8444-555555555555", command="true", status="PENDING", priority=5,
    created_time="2026-01-02T03:04:01Z", reason="waits for a slot: 1 of 1 jobs run")
CANCELED = pb.GetJobStatusResponse(
    uuid="cccccccc-2222-4333-8444-555555555555", command="true", status="CANCELED", exit_code=-1,
    created_time="2026-01-02T03:04:01Z", end_time="2026-01-02T03:04:09Z",
    scheduled_time="2026-01-03T03:04:01Z", reason="canceled before it began")


LONG = pb.GetJobStatusResponse(
    uuid="dddddddd-2222-4333-8444-555555555555", command="sh", args=["-c", "a" * 20000 + "end-of-command"],
    status="RUNNING", volumes=["v" * 5000 + "\x1bend-of-volume"], environment={"E": "e" * 32000 + "end-of-value"})


def job_status(req, ctx):
    for r in (WAITING, CANCELED, LONG):
        if len(req.uuid) >= 4 and r.uuid.startswith(req.uuid):
            return r
    if len(req.uuid) < 4 or not KNOWN.startswith(req.uuid):
        ctx.abort(grpc.StatusCode.NOT_FOUND, "job %s not found" % req.uuid)
    r = pb.GetJobStatusResponse(
        uuid=KNOWN, name="evil\x1b[2Jname", command="sh", args=["-c", "exit 137"], status="FAILED",
        created_time="2026-01-02T03:04:01Z", start_time="2026-01-02T03:04:05Z", end_time="2026-01-02T03:05:35Z", exit_code=137,
        reason="Job killed due to memory limit", max_cpu=50, max_memory=64, network="none",
        work_dir="/work", uploads=["a.txt"], node_id="n-1")
    r.environment["B"] = "2"
    r.environment["A"] = "1"
    r.secret_environment["S"] = "***"
    r.result.memory_peak = 67108864
    r.result.oom = True
    return r


def list_jobs(req, ctx):
    return pb.Jobs(jobs=[
        pb.Job(uuid=KNOWN, name="older", command="sh", args=["-c", "echo a\necho b"],
               status="COMPLETED", start_time="2026-01-02T03:04:05Z"),
        pb.Job(uuid=SECOND, command="x" * 200, status="RUNNING", start_time="2026-01-03T03:04:05Z",
               max_cpu=50),
    ])


def list_networks(req, ctx):
    return pb.Networks(networks=[
        pb.Network(name="a-name-of-more-than-fifteen", cidr="10.1.0.0/24", bridge="jl-1"),
        pb.Network(name="none", builtin=True),
    ])


def stop_job(req, ctx):
    if not KNOWN.startswith(req.uuid):
        ctx.abort(grpc.StatusCode.NOT_FOUND, "job %s not found" % req.uuid)
    return pb.StopJobResponse(uuid=KNOWN, status="STOPPED", end_time="2026-01-02T03:05:35Z", exit_code=143)


def job_logs(req, ctx):
    if not KNOWN.startswith(req.uuid):
        ctx.abort(grpc.StatusCode.NOT_FOUND, "job %s not found" % req.uuid)
    if refusals[0] > 0:
        refusals[0] -= 1
        ctx.abort(grpc.StatusCode.UNAVAILABLE, "joblet is starting")
    first = max(1, req.from_sequence)
    if req.tail_lines:
        first = max(first, opt.lines - req.tail_lines + 1)
    for n, i in enumerate(range(first, opt.lines + 1)):
        if opt.die_after and n == opt.die_after:
            threading.Timer(0.02, os._exit, [9]).start()  # some of it is still on its way
            while True:
                time.sleep(1)
        payload = b"line %d\n" % i if i % 100 else b"bin \xff %d\n" % i
        yield pb.DataChunk(payload=payload, stream=2 if i % 2 else 1,
                           timestamp=1767323045000000000 + i, sequence=i)
        if i % 97 == 0:
            yield pb.DataChunk()  # keep-alive


def unary(fn, req):
    return grpc.unary_unary_rpc_method_handler(
        fn, request_deserializer=req.FromString, response_serializer=lambda m: m.SerializeToString())


server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=[
    ("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 128 << 20)])
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("joblet.JobService", {
    "RunJob": unary(run_job, pb.RunJobRequest),
    "GetJobStatus": unary(job_status, pb.GetJobStatusRequest),
    "ListJobs": unary(list_jobs, pb.EmptyRequest),
    "StopJob": unary(stop_job, pb.StopJobRequest),
    "StageUploads": grpc.stream_unary_rpc_method_handler(
        stage_uploads, request_deserializer=pb.UploadChunk.FromString,
        response_serializer=lambda m: m.SerializeToString()),
    "GetJobLogs": grpc.unary_stream_rpc_method_handler(
        job_logs, request_deserializer=pb.GetJobLogsRequest.FromString,
        response_serializer=lambda m: m.SerializeToString()),
}),))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("joblet.NetworkService", {
    "ListNetworks": unary(list_networks, pb.EmptyRequest),
}),))
creds = grpc.ssl_server_credentials([(pem("serverKey"), pem("serverCert"))], pem("caCert"), True)
port = server.add_secure_port("127.0.0.1:%d" % opt.port, creds)
server.start()
print("port", port, flush=True)
server.wait_for_termination()
