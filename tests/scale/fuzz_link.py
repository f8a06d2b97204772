"""The link between joblet-front and joblet, fuzzed from front's end: requests of every operation, by
every role, with messages that are whole, changed, cut off or noise, and packets that are none.

joblet may refuse, and may end a link that breaks the protocol; it must answer each request, never
with an internal error, refuse who lacks the role, keep its jobs, and live.

    fuzz_link.py SECONDS [SEED]     $JOBLET_BUILD: a build, best one with sanitizers
"""
import os
import random
import re
import sys
import time

import core_test
import fakecore
import methods_test
import roles_table
from core_test import DENIED, ENDED, INTERNAL, WAIT, Core, check, equal, wait_for
from google.protobuf.message_factory import MessageFactory
from grpc_client import pb

STATUSES = set(range(17)) | {WAIT}
STABLE = 11  # seconds; joblet forgets the deaths before
UNITS = ("admin", "admin", "admin", "maintainer", "developer", "reader", "viewer", "", "ceo", "admin,viewer", "x" * 63)


def rows():
    """{operation of the link: (its name, the class of its message or None)}"""
    with open(os.path.join(core_test.TOP, "src/ipc/ops.def"), encoding="ascii") as f:
        found = re.findall(r'^JD_OP\(JD_OP_(\w+),\s*"(\w+)",\s*(?:NULL|"/joblet\.(\w+)/(\w+)")', f.read(), re.M)
    services, new = pb.DESCRIPTOR.services_by_name, MessageFactory().GetPrototype
    return {op: (name, new(services[s].methods_by_name[m].input_type) if s else None)
            for op, name, s, m in found}


def sensible(op, message, ids, rng):
    """A request that could be right."""
    some = rng.choice(ids) if ids and rng.random() < 0.8 else "12345678"
    some = some[:rng.choice((36, 36, 8, 4, 3))]
    for field in ("uuid", "job_uuid"):
        if field in message.DESCRIPTOR.fields_by_name:
            setattr(message, field, some)
    if op == "RUN_JOB":
        message.command = rng.choice(("true", "sh", "nope", "sleep"))
        message.args.extend({"sh": ["-c", "echo x; exit 3"], "sleep": ["0.2"]}.get(message.command, []))
        message.max_memory = rng.choice((0, 0, 32, 3))
        message.schedule = rng.choice(("", "", "1h", "soon"))
        message.priority = rng.choice((0, 0, 100, 101))
    elif op in ("CREATE_VOLUME", "REMOVE_VOLUME"):
        message.name = rng.choice(("a", "b", "../c"))
        if op == "CREATE_VOLUME":
            message.size, message.type = rng.choice(("1MB", "0")), rng.choice(("memory", "tape"))
    elif op in ("CREATE_NETWORK", "REMOVE_NETWORK"):
        message.name = rng.choice(("none", "no such", "x" * 70))
    return message.SerializeToString()


def noise(body, rng):
    """The body with a few bytes changed, put in, or left out."""
    body = bytearray(body)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(body) + 1)
        kind = rng.randrange(3)
        if kind == 0 and at < len(body):
            body[at] = rng.randrange(256)
        elif kind == 1:
            body[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        else:
            del body[at:at + rng.randrange(1, 9)]
    return bytes(body)


def body_of(op, cls, ids, rng):
    kind = rng.randrange(6)
    if cls is None or kind == 0:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
    if kind == 1:
        return methods_test.fill(cls(), rng.randrange(64)).SerializeToString()
    body = sensible(op, cls(), ids, rng)
    return noise(body, rng) if kind == 2 else body


def packet(rng):
    """Something that is not a packet of the link, or hardly one."""
    good = fakecore.HEAD.pack(fakecore.MAGIC, 1, rng.randrange(40), 7, rng.randrange(3), rng.randrange(3),
                              rng.randrange(70000), rng.randrange(3), rng.randrange(6)) + bytes(10)
    return (noise(good, rng), bytes(rng.randrange(256) for _ in range(rng.randrange(1, 200))))[rng.randrange(2)]


def one(c, table, ids, rng):
    op = rng.choice(list(table))
    name, cls = table[op]
    unit = rng.choice(UNITS)
    text = rng.choice(("", "", "revoked", "bytes=1 files=1", "x" * 511, rng.choice(ids or [""])))
    segment = rng.choice((0, 0, 1, 7, 2**32 - 1)) if op in ("GET_JOB_LOGS", "GET_JOB_METRICS", "STREAM_JOB_METRICS") else 0
    reply = c.link.ask(op, body_of(op, cls, ids, rng), who=("fuzz", unit, "0A", "test:1"), text=text, segment=segment)
    for fd in reply.fds:
        os.close(fd)
    check(reply.status in STATUSES and reply.status != INTERNAL, f"{op}: status {reply.status} {reply.text}")
    check(reply.status == 0 or reply.text, f"{op}: status {reply.status} without a word")
    least = {o: role for service in roles_table.TABLE.values() for o, role in service.values()}[name]
    role = {"viewer": "reader", "admin,viewer": "reader"}.get(unit, unit if unit in roles_table.RANK else "none")
    if text != "revoked":
        equal(reply.status == DENIED, roles_table.RANK.index(role) < roles_table.RANK.index(least),
              f"{op} as {unit}: {reply.status} {reply.text}")
    if op == "RUN_JOB" and reply.status == 0:
        ids.append(pb.RunJobResponse.FromString(reply.body).job_uuid)


def main(seconds, seed):
    rng, ids, n, broken = random.Random(seed), [], 0, 0
    table, in_a_row, born = rows(), 0, time.monotonic()
    with Core(joblet__maxConcurrentJobs=8, joblet__stopGrace="1s") as c:
        first = c.process.pid
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                one(c, table, ids, rng)
                n += 1
                if time.monotonic() - born > STABLE:
                    in_a_row = 0
                # what is no packet may cost the link, and no more; joblet waits longer and longer before
                # it starts a front again whose predecessors did not live
                if rng.randrange(300) == 0 and in_a_row < 3:
                    before = c.link
                    c.link.sock.send(packet(rng))
                    wait_for(lambda: before.closed or answers(before), "an end or an answer")
                    if before.closed:
                        c.accept()
                        broken, in_a_row, born = broken + 1, in_a_row + 1, time.monotonic()
                del ids[:-50]
        except BaseException:
            print(f"# seed {seed}, request {n + 1}")
            raise
        check(c.process.poll() is None and c.process.pid == first, "joblet is the same")
        for job in c.list():
            if job.status not in ENDED:
                c.link.ask("STOP_JOB", pb.StopJobRequest(uuid=job.uuid, grace_ms=1).SerializeToString())
                c.link.ask("CANCEL_JOB", pb.CancelJobRequest(uuid=job.uuid).SerializeToString())
        for job in c.list():
            c.wait(job.uuid)
        for volume in ("a", "b"):
            c.link.ask("REMOVE_VOLUME", pb.RemoveVolumeRequest(name=volume).SerializeToString())
        equal(c.wait(c.run("true")).status, "COMPLETED", "a job at the end")
        bad = re.search(r".*(AddressSanitizer|runtime error:|LeakSanitizer).*", c.text())
        check(not bad, bad and bad.group())
    print(f"{n} requests, {broken} links broken, seed {seed}")


def answers(link):
    """A link that has closed answers nothing."""
    try:
        return link.ask("LIST_JOBS").status == 0
    except (AssertionError, OSError):
        return False


if __name__ == "__main__":
    core_test.pb = pb
    fakecore.read_ops(os.path.join(core_test.TOP, "src", "ipc", "ops.def"))
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6))
