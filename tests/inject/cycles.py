#!/usr/bin/python3
"""cycles.py [--jobs N] [--seed N] JOBLET-RUN COUNT - COUNT lives of containers, N at once, of random
kinds: run; create, start, kill, delete; run --detach, exec, delete; run and create with kill -9 of
joblet-run at a random moment; and pause, update and resume with kill -9 of some, the end by gc, which
takes from the others what has ended and nothing else. Every exit status must be right, and in the end nothing be left:
no state, control group, process or mount, and no more memory be in use than there was (as root)."""
import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

CODES = (0, 1, 7, 42)
PARENT = f"joblet-test-cycles-{os.getpid()}"


def config(args, cgroup, rootfs):
    caps = ["CAP_KILL"]
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": args, "env": ["PATH=/bin"], "cwd": "/",
                    "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
                    "noNewPrivileges": True},
        "root": {"path": rootfs, "readonly": True},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
        "linux": {"cgroupsPath": cgroup,
                  "resources": {"memory": {"limit": 64 << 20}, "pids": {"limit": 20}},
                  "namespaces": [{"type": t} for t in ("pid", "ipc", "uts", "mount", "network")]},
    }


class Cycles:
    def __init__(self, runtime, count, seed, work):
        self.runtime, self.left, self.work = runtime, count, work
        self.random, self.lock = random.Random(seed), threading.Lock()
        self.wrong, self.kinds, self.root = [], collections.Counter(), f"{work}/state"
        self.rootfs = f"{work}/rootfs"
        for name in ("bin", "proc", "dev"):
            os.makedirs(f"{self.rootfs}/{name}")
        shutil.copy("/bin/busybox", f"{self.rootfs}/bin/sh")
        os.mkdir(self.root, 0o700)

    def rt(self, *args, timeout=60):
        with tempfile.TemporaryFile() as err:  # not a pipe: a detached container keeps it open
            done = subprocess.run([self.runtime, "--root", self.root, *args], timeout=timeout,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
            err.seek(0)
            done.stderr = err.read(300)
        return done

    def expect(self, what, done, codes):
        if done.returncode not in codes:
            with self.lock:
                self.wrong.append(f"{what}: exit {done.returncode}, not {codes}: "
                                  f"{done.stderr.decode(errors='replace')}")

    def bundle(self, at, args):
        path = f"{self.work}/b{at}"
        os.makedirs(path, exist_ok=True)
        with open(f"{path}/config.json", "w") as f:
            json.dump(config(args, f"/{PARENT}/c{at}", self.rootfs), f)
        return path

    def run(self, at, cid, rnd):
        code = rnd.choice(CODES)
        b = self.bundle(at, ["/bin/sh", "-c", f"exit {code}"])
        self.expect("run", self.rt("run", "-b", b, cid), (code,))

    def steps(self, at, cid, rnd):
        b = self.bundle(at, ["/bin/sh", "-c", "read x </proc/self/stat; while :; do wait; sleep 100; done"])
        self.expect("create", self.rt("create", "-b", b, cid), (0,))
        self.expect("start", self.rt("start", cid), (0,))
        self.expect("kill", self.rt("kill", cid, "KILL"), (0,))
        # until the kernel has let go of it a plain delete is refused
        self.expect("delete", self.rt("delete", *(["--force"] if rnd.random() < .5 else []), cid), (0, 1))
        self.expect("delete --force", self.rt("delete", "--force", cid), (0,))

    def inside(self, at, cid, rnd):
        code = rnd.choice(CODES)
        b = self.bundle(at, ["/bin/sh", "-c", "sleep 1000"])
        self.expect("run --detach", self.rt("run", "-d", "-b", b, cid), (0,))
        self.expect("exec", self.rt("exec", cid, "/bin/sh", "-c", f"exit {code}"), (code,))
        self.expect("delete --force", self.rt("delete", "--force", cid), (0,))

    def killed(self, at, cid, rnd):
        b = self.bundle(at, ["/bin/sh", "-c", "sleep 0.01"])
        verb = rnd.choice((["run"], ["create"], ["run", "-d"]))
        p = subprocess.Popen([self.runtime, "--root", self.root, *verb, "-b", b, cid],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        time.sleep(rnd.random() * 0.008)
        p.kill()
        p.wait()
        self.expect("delete --force after kill -9", self.rt("delete", "--force", cid), (0,))

    def changed(self, at, cid, rnd):
        b = self.bundle(at, ["/bin/sh", "-c", "sleep 1000"])
        self.expect("run --detach", self.rt("run", "-d", "-b", b, cid), (0,))
        for verb in (["pause"], ["update", "--pids-limit", "10"], ["resume"]):
            if rnd.random() < .5:
                self.expect(verb[0], self.rt(*verb, cid), (0, 1))  # 1: one before it was killed
                continue
            p = subprocess.Popen([self.runtime, "--root", self.root, *verb, cid],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
            time.sleep(rnd.random() * 0.004)
            p.kill()
            p.wait()
        self.expect("update", self.rt("update", "--pids-limit", "20", cid), (0,))
        self.expect("kill", self.rt("kill", cid, "KILL"), (0,))
        self.expect("gc", self.rt("gc", "--older-than", "0s"), (0,))
        self.expect("delete --force", self.rt("delete", "--force", cid), (0,))

    def worker(self, at):
        while True:
            with self.lock:
                if self.left == 0 or len(self.wrong) > 20:
                    return
                self.left -= 1
                number, rnd = self.left, random.Random(self.random.random())
                kind = rnd.choice((self.run, self.steps, self.inside, self.killed, self.changed))
                self.kinds[kind.__name__] += 1
            try:
                kind(at, f"c{number}", rnd)
            except subprocess.TimeoutExpired as e:
                with self.lock:
                    self.wrong.append(f"{kind.__name__}: hangs: {e.cmd}")


def group_dirs():
    with open("/proc/self/mountinfo") as f:
        mounts = {line.split()[4] for line in f if " - cgroup" in line}
    return [f"{m}/{PARENT}" for m in mounts if os.path.isdir(f"{m}/{PARENT}")]


def remains(c):
    """What is still there, as lines."""
    found = [f"state: {n}" for n in os.listdir(c.root)]
    for top in group_dirs():
        found += [f"cgroup: {top}/{n}" for n in os.listdir(top) if os.path.isdir(f"{top}/{n}")]
    with open("/proc/self/mountinfo") as f:
        found += [f"mount: {line.strip()}" for line in f if c.work in line]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cgroup") as f, open(f"/proc/{pid}/cmdline") as g:
                command = g.read()
                if PARENT in f.read() or c.root in command:
                    found.append(f"process: {pid} {command!r}")
        except OSError:
            pass
    return found


def available():
    with open("/proc/meminfo") as f:
        return int(next(line for line in f if line.startswith("MemAvailable")).split()[1])


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--jobs", type=int, default=4)
    args.add_argument("--seed", type=int, default=int(time.time()))
    args.add_argument("runtime")
    args.add_argument("count", type=int)
    args = args.parse_args()
    work = tempfile.mkdtemp(prefix="joblet-cycles.")
    os.chmod(work, 0o755)
    c = Cycles(os.path.abspath(args.runtime), args.count, args.seed, work)
    memory, fds, begin = available(), len(os.listdir("/proc/self/fd")), time.time()
    workers = [threading.Thread(target=c.worker, args=(i,)) for i in range(args.jobs)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    took = time.time() - begin
    for _ in range(1000):  # the last of a killed container's processes may be ending
        left = remains(c)
        if not left:
            break
        time.sleep(0.1)
    grown = memory - available()
    if len(os.listdir("/proc/self/fd")) != fds:
        left.append("descriptors of this test")
    for line in c.wrong + left:
        print(line)
    print(f"{args.count} cycles {dict(c.kinds)} with seed {args.seed} in {took:.1f} s: "
          f"{len(c.wrong)} wrong, {len(left)} left; {grown} KiB less memory (of the machine, which others use, too)")
    for top in group_dirs():
        os.rmdir(top) if not left else None
    if not left:
        shutil.rmtree(work)
    sys.exit(1 if c.wrong or left else 0)


main()
