"""Kills joblet and joblet-front again and again while clients submit jobs, and then holds every job
that was accepted against what it was told to print and to exit with. For kills.bats.

    kills.py INSTANCE KILLS     the instance's directory (tests/e2e/lib.bash: a keeper starts joblet
                                again, its pid is in run/pid)

A submission whose answer was lost may have made a job or not; if it has, that job counts as well.
"""
import os
import random
import signal
import sys
import threading
import time

import grpc
from grpc_client import ENDED, Client

CLIENTS = 4
SCRIPT = ("i=0; while [ $i -lt {lines} ]; do echo line $i of {name}; i=$((i + 1)); "
          "[ $((i % 40)) -ne 0 ] || sleep 0.0{pause}; done; exit {code}")
CALM = 1000  # lines of a job at most


class Load(threading.Thread):
    """One client that submits a job after the other; `asked` is name -> (lines, exit code)."""

    def __init__(self, config, number, done):
        super().__init__()
        self.config, self.number, self.done = config, number, done
        self.asked, self.accepted, self.error = {}, {}, None
        self.random = random.Random(number)

    def run(self):
        try:
            with Client.from_config(self.config, timeout=10, initial_reconnect_backoff_ms=50,
                                    min_reconnect_backoff_ms=50, max_reconnect_backoff_ms=200) as c:
                while not self.done.is_set():
                    self.submit(c)
                    time.sleep(0.15)
        except Exception as e:  # told by the main thread
            self.error = e

    def submit(self, c):
        name = f"job-{self.number}-{len(self.asked)}"
        lines, code = self.random.randrange(CALM), self.random.randrange(120)
        self.asked[name] = (lines, code)
        script = SCRIPT.format(lines=lines, name=name, code=code, pause=self.random.randrange(1, 9))
        try:
            self.accepted[c.run("sh", "-c", script, name=name)] = name
        except grpc.RpcError as e:
            if e.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED,
                                grpc.StatusCode.DEADLINE_EXCEEDED):
                raise


def pid_of(instance, which):
    """joblet, or the joblet-front that it started; None when there is none at the moment."""
    try:
        with open(f"{instance}/run/pid", encoding="ascii") as f:
            pid = int(f.read())
        if which == "joblet":
            return pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            for child in f.read().split():
                with open(f"/proc/{child}/comm", encoding="ascii") as comm:
                    if comm.read() == "joblet-front\n":
                        return int(child)
    except (OSError, ValueError):
        pass
    return None


def kill(instance, which):
    """True when there was one. By pidfd: the number may be another's by now."""
    pid = pid_of(instance, which)
    if pid is None:
        return False
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if pid_of(instance, which) != pid:
            return False
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)


def answers(config, seconds):
    """Waits until the list comes."""
    until = time.monotonic() + seconds
    while True:
        try:
            with Client.from_config(config, timeout=5) as c:
                return c.jobs()
        except grpc.RpcError as e:
            if time.monotonic() > until:
                raise TimeoutError(f"no answer within {seconds} s: {e.details()}") from e
            time.sleep(0.02)


def check(c, job, lines, code):
    """What is wrong with this job, or None."""
    status = c.wait(job.uuid, 120)
    want = "COMPLETED" if code == 0 else "FAILED"
    if (status.status, status.exit_code) != (want, code):
        return f"{status.status} {status.exit_code} ({status.reason}), not {want} {code}"
    log = c.logs(job.uuid).decode()
    if log != "".join(f"line {i} of {job.name}\n" for i in range(lines)):
        return f"its log has {log.count(chr(10))} lines of {lines}"
    return None


def main():
    instance, kills = sys.argv[1], int(sys.argv[2])
    config = f"{instance}/config/rnx-config.yml"
    done, killed = threading.Event(), {"joblet": 0, "front": 0}
    loads = [Load(config, n, done) for n in range(CLIENTS)]
    for load in loads:
        load.start()
    try:
        while sum(killed.values()) < kills:
            which = random.choice(("joblet", "front"))
            time.sleep(random.random() * random.choice((0.1, 0.3, 1.2)))
            killed[which] += kill(instance, which)
            if random.random() < 0.7:  # else it is killed while it comes up
                answers(config, 60)
    finally:
        done.set()
        for load in loads:
            load.join()
    for load in loads:
        if load.error:
            raise load.error
    asked = {name: how for load in loads for name, how in load.asked.items()}
    accepted = {uuid: name for load in loads for uuid, name in load.accepted.items()}
    jobs = answers(config, 60)
    bad = [f"{name}: accepted as {uuid} and not there" for uuid, name in accepted.items()
           if uuid not in {j.uuid for j in jobs}]
    with Client.from_config(config) as c:
        for job in jobs:
            wrong = check(c, job, *asked[job.name])
            if wrong:
                bad.append(f"{job.name} {job.uuid}: {wrong}")
        assert all(j.status in ENDED for j in c.jobs())
    print(f"{killed['joblet']} times joblet, {killed['front']} times joblet-front; {len(accepted)} jobs "
          f"accepted of {len(asked)}, {len(jobs)} ran")
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
