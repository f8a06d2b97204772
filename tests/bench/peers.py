"""A command that is run and waited for, by joblet and by others who run commands: podman, ctr and srun
in a machine in the machine, as tests/engines has it, with runc and with joblet-run below them;
systemd-run where systemd runs. In interleaved rounds, so that a noisy machine hurts all alike.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
AT_ONCE = 8
# The clock, as the first thing that the command does; a static program everywhere.
CLOCK = ["sh", "-c", "echo $EPOCHREALTIME"]
# Runs what it is told by a line, again and again, inside of a machine or outside: ended with, began,
# ended (seconds of the wall clock), output, error.
RUNNER = """
import json, subprocess, sys, time
for line in sys.stdin:
    began = time.time()
    done = subprocess.run(json.loads(line), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(json.dumps([done.returncode, began, time.time(), done.stdout, done.stderr]), flush=True)
"""


class Fixture:
    """What peers.bash holds until it is told to end; `said` is what it has."""

    def __init__(self, *args):
        self.process = subprocess.Popen(["bash", f"{HERE}/peers.bash", *args], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.said = {}

    def __enter__(self):
        for line in self.process.stdout:
            name, _, rest = line.strip().partition(" ")
            if name == "ready":
                return self
            self.said[name] = rest
        raise RuntimeError(f"peers.bash ended with {self.process.wait()}")

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


class Runner:
    """Runs command lines, in a machine or here."""

    def __init__(self, prefix=(), env=None):
        self.process = subprocess.Popen([*prefix, "/usr/bin/python3", "-c", RUNNER], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=env)

    def __call__(self, argv):
        self.process.stdin.write(json.dumps(argv) + "\n")
        self.process.stdin.flush()
        status, began, ended, out, err = json.loads(self.process.stdout.readline())
        if status != 0:
            raise RuntimeError(((err or out).strip().splitlines() or [f"ended with {status}"])[-1][:100])
        return began, ended, out

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def engines(work, said):
    """{name: words before the command, or why there are none} of those in the machine."""
    group, rootfs = said["group"], f"{work}/rootfs"
    ret = {}
    for runtime in ("/usr/sbin/runc", "/usr/local/bin/joblet-run"):
        name = os.path.basename(runtime)
        ret[f"podman run, {name}"] = said["podman"] if said["podman"] != "up" else [
            "podman", "--cgroup-manager", "cgroupfs", "--runtime", runtime, "run", "--rm", "--network", "none",
            "--cgroup-parent", f"/{group}", "--rootfs", rootfs]
        ret[f"ctr run, {name}"] = said["ctr"] if said["ctr"] != "up" else [
            "ctr", "--namespace", group, "run", "--rm", "--runc-binary", runtime, "--rootfs", rootfs, "{id}"]
        if not os.path.exists("/usr/sbin/runc") and name == "runc":
            ret = dict.fromkeys(ret, "runc is not installed")
    ret["srun"] = said["srun"] if said["srun"] != "up" else ["srun", "--quiet", "/bin/busybox"]
    ret["srun --container, joblet-run"] = said["srun"] if said["srun"] != "up" else [
        "srun", "--quiet", "--container", f"{work}/bundle"]
    return ret


class Peer:
    def __init__(self, name, runner, argv, measure):
        self.name, self.runner, self.argv, self.measure = name, runner, argv, measure
        self.first, self.whole, self.rate, self.runs = [], [], 0.0, 0
        self.why = argv if isinstance(argv, str) else None

    def words(self, number):
        # ctr wants the program's whole name
        return [w.replace("{id}", f"bench-{number}") for w in self.argv] + (
            ["/bin/sh", *CLOCK[1:]] if self.argv[-1] == "{id}" else CLOCK)

    def once(self):
        if self.why:
            return
        self.runs += 1
        try:
            began, ended, out = self.runner(self.words(self.runs))
            self.first.append((float(out.split()[-1]) - began) * 1e3)
            self.whole.append((ended - began) * 1e3)
        except (RuntimeError, ValueError, IndexError) as e:
            self.why = str(e)

    def many(self, jobs):
        """Jobs a second, some at once; the best so far."""
        if self.why:
            return
        argv = self.words("%")
        argv[0] = shutil.which(argv[0]) or argv[0]
        try:
            wall, _, failed, _ = self.runner([self.measure, "-j", str(AT_ONCE), "-n", str(jobs), *argv])[2].split()
        except RuntimeError as e:
            self.why = str(e)
            return
        self.rate = max(self.rate, (jobs - int(failed)) / int(wall) * 1e9)

    def report(self, ours):
        if self.why:
            print(f"    {self.name:<30} left out: {self.why}")
            return
        whole, rate = statistics.median(self.whole), f"{self.rate:10.1f} /s"
        print(f"    {self.name:<30} {statistics.median(self.first):10.2f} ms {whole:10.2f} ms"
              f" {statistics.median(ours.whole) / whole:11.2f} {rate}"
              f" {ours.rate / self.rate if self.rate else 0:9.2f}")


def measure(build, runs, program):
    """program is the bench's `measure`, which runs others."""
    systemd = ["systemd-run", "--quiet", "--wait", "--pipe", "/bin/busybox"]
    if not os.path.isdir("/run/systemd/system"):
        systemd = "systemd is not process 1 here"
    work = tempfile.mkdtemp(prefix="joblet-bench-")
    os.chmod(work, 0o755)
    shutil.copy(program, f"{work}/measure")
    try:
        with Fixture("joblet", build) as joblet, Fixture("engines", work, build) as machine:
            here = Runner(env={**os.environ, "RNX_CONFIG": joblet.said["config"]})
            there = Runner(["nsenter", "-t", machine.said["machine"], "--mount", "--pid", "--net", "--uts", "--ipc",
                            "env", "-i", "HOME=/root", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
                           if "machine" in machine.said else [])
            peers = [Peer("joblet: rnx job run --wait", here, [f"{build}/rnx", "job", "run", "--wait", "/bin/busybox"],
                          f"{work}/measure")]
            peers += [Peer(name, there, argv, f"{work}/measure")
                      for name, argv in engines(work, machine.said).items()]
            peers.append(Peer("systemd-run", here, systemd, f"{work}/measure"))
            for _ in range(runs):
                for peer in peers:
                    peer.once()
            for _ in range(3):
                for peer in peers:
                    peer.many(runs)
            here.close()
            there.close()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"  a command, run and waited for: {runs} rounds; {runs} of them, {AT_ONCE} at once, best of 3 rounds\n"
          f"    {'':<30} {'its first word':>13} {'its end':>12} {'ours/theirs'} {'a second':>10} {'ours/theirs':>12}")
    for peer in peers:
        peer.report(peers[0])
    sys.stdout.flush()
