#!/usr/bin/python3
"""Measures joblet beside the peers that are installed, in one interleaved run, and prints medians
and ratios. Losing rows too.

Rows (--rows picks some):
  run        RUNTIME run of a busybox `true`, once a variant (bundles.py says which); ms
  lifecycle  create, start, delete --force of the same with the variant `network`; ms
  exec       RUNTIME exec of `true` in a container that sleeps; ms
  parallel   runs a second with 1, 2, 4, 8 and 16 at once (--parallel runs each)
  memory     largest resident set of the runtime's processes (wait4's ru_maxrss), KiB
  limit      smallest memory limit of the container under which `true` still runs, KiB
  syscalls   system calls of one run, the runtime and its children until the program runs (strace)
  idle       PSS of joblet-shim and of conmon beside a sleeping container, KiB
  daemon     joblet as a whole, over its API: submissions, answers, short jobs a second (daemon.py);
             beside podman run, ctr run, srun and systemd-run, those that are installed (peers.py)

`floor` does what the kernel must do for the same container and nothing else (floor.c).
Each runtime runs once per round and rounds are interleaved, so that a noisy machine hurts all of
them alike. Ratios are of medians, ours over theirs: below 1 is better, but for runs a second.
Needs root and busybox-static, and runc for `runc spec`.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import daemon
from bundles import ROOTLESS_UID, VARIANTS, Bundles
from supervisors import idle_conmon, idle_shim, quiet

ROWS = ("run", "lifecycle", "exec", "parallel", "memory", "limit", "syscalls", "idle", "daemon")
AT_ONCE = (1, 2, 4, 8, 16)
WARM_UP = 3
LIMITS_KIB = (8192, 6144, 4096, 3072, 2048, 1536, 1024, 768, 640, 512, 448, 384, 320, 256, 192, 128)


class Bench:
    def __init__(self, options, work):
        self.work = work
        self.rounds = options.runs
        self.parallel_runs = options.parallel
        self.measure_path = os.path.abspath(options.measure)
        self.floor = os.path.abspath(options.floor)
        self.shim = os.path.abspath(options.joblet_shim)
        self.cgroup = f"/joblet-bench-{os.getpid()}"
        self.bundles = Bundles(work, self.cgroup)
        self.peaks = {}
        self.serial = 0
        self.told = set()
        self.runtimes = {"joblet-run": os.path.abspath(options.joblet_run)}
        for peer in ("runc", "crun"):
            path = shutil.which(peer)
            if path:
                self.runtimes[peer] = path
        os.chmod(work, 0o755)

    def call(self, name, *args, rootless=False):
        """The command line of a runtime, with a state root of its own."""
        root = os.path.join(self.work, f"root-{name}{'-user' if rootless else ''}")
        if rootless and not os.path.isdir(root):
            os.mkdir(root)
            os.chown(root, ROOTLESS_UID, ROOTLESS_UID)
        return [self.runtimes[name], "--root", root, *args]

    def new_id(self, name):
        self.serial += 1
        return f"jb-{os.getpid()}-{name}-{self.serial}"

    def measure(self, argv, *flags):
        """(wall ms, peak KiB); every run must exit with 0."""
        env = {"PATH": os.environ["PATH"]}
        if "-u" in flags:
            env["XDG_RUNTIME_DIR"] = self.work
        answer = subprocess.run([self.measure_path, *flags, *argv], stdin=subprocess.DEVNULL,
                                capture_output=True, check=True, text=True, env=env).stdout.split()
        if answer[2] != "0":
            raise RuntimeError(f"{' '.join(argv)}: wait status {answer[3]}")
        return int(answer[0]) / 1e6, int(answer[1])

    def run_once(self, name, bundle, rootless=False):
        flags = ("-u", str(ROOTLESS_UID)) if rootless else ()
        wall, peak = self.measure(self.call(name, "run", "--bundle", bundle, self.new_id(name),
                                            rootless=rootless), *flags)
        self.peaks[name] = max(self.peaks.get(name, 0), peak)
        return wall

    def able(self, bundle, rootless=False):
        """The runtimes that can run this bundle here; those that can't are said once, not measured."""
        ret = []
        for name in self.runtimes:
            argv = self.call(name, "run", "--bundle", bundle, self.new_id(name), rootless=rootless)
            user = {"user": ROOTLESS_UID, "group": ROOTLESS_UID, "extra_groups": []} if rootless else {}
            probe = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                   check=False, env={**os.environ, "XDG_RUNTIME_DIR": self.work}, **user)
            if probe.returncode == 0:
                ret.append(name)
            else:
                said = f"{name}: left out, {(probe.stderr.strip().splitlines() or ['no message'])[-1][:160]}"
                if said not in self.told:
                    print(said)
                self.told.add(said)
        return ret

    def interleaved(self, calls):
        """{name: [values]} of {name: function}, in rounds."""
        samples = {name: [] for name in calls}
        for i in range(self.rounds + WARM_UP):
            for name, call in calls.items():
                value = call()
                if i >= WARM_UP:
                    samples[name].append(value)
        return samples

    def report_ms(self, title, samples):
        print(f"{title}\n  {'':<12} {'median':>12} {'p90':>12} {'ours/theirs':>12}")
        ours = statistics.median(samples["joblet-run"]) if samples.get("joblet-run") else 0
        for name, values in samples.items():
            values.sort()
            median = statistics.median(values)
            print(f"  {name:<12} {median:9.2f} ms {values[int(len(values) * .9)]:9.2f} ms"
                  f" {ours / median:12.2f}")

    def run(self):
        floor_flags = {"minimal": ["-n"], "rootless": ["-u"]}
        for variant, what in VARIANTS.items():
            rootless = variant == "rootless"
            bundle = self.bundles.make(f"run-{variant}", variant, ["true"])
            flags = ("-u", str(ROOTLESS_UID)) if rootless else ()
            calls = {name: lambda name=name: self.run_once(name, bundle, rootless)
                     for name in self.able(bundle, rootless)}
            calls["floor"] = lambda: self.measure([self.floor, *floor_flags.get(variant, []),
                                                   self.bundles.rootfs, "/bin/true"], *flags)[0]
            self.report_ms(f"run, {variant}: {what}; {self.rounds} rounds", self.interleaved(calls))

    def lifecycle(self):
        bundle = self.bundles.make("lifecycle", "network", ["true"])

        def once(name):
            cid = self.new_id(name)
            verbs = (("create", "--bundle", bundle, cid), ("start", cid), ("delete", "--force", cid))
            return sum(self.measure(self.call(name, *verb))[0] for verb in verbs)

        calls = {name: lambda name=name: once(name) for name in self.able(bundle)}
        self.report_ms("create + start + delete, network", self.interleaved(calls))

    def sleeper(self, name, bundle):
        cid = self.new_id(name)
        quiet(self.call(name, "run", "--detach", "--bundle", bundle, cid))
        return cid

    def exec(self):
        names = self.able(self.bundles.make("probe", "network", ["true"]))
        cids = {name: self.sleeper(name, self.bundles.make(f"exec-{name}", "network", ["sleep", "900"]))
                for name in names}
        state = subprocess.run(self.call("joblet-run", "state", cids["joblet-run"]), check=True,
                               capture_output=True, text=True).stdout
        pid = state.split('"pid":')[1].split(",")[0].strip()
        calls = {name: lambda name=name: self.measure(self.call(name, "exec", cids[name], "true"))[0]
                 for name in names}
        calls["floor"] = lambda: self.measure([self.floor, "-e", pid, "/bin/true"])[0]
        try:
            self.report_ms("exec of true in a container that sleeps, network", self.interleaved(calls))
        finally:
            for name, cid in cids.items():
                quiet(self.call(name, "delete", "--force", cid))

    def parallel(self):
        names = self.able(self.bundles.make("probe", "network", ["true"]))
        config = self.bundles.make("parallel", "network", ["true"])
        print(f"runs a second with N at once, network; {self.parallel_runs} runs, best of 3 rounds\n"
              f"  {'at once':<12}" + "".join(f"{name:>13}" for name in names) + "   ours/theirs")
        for at_once in AT_ONCE:
            best = dict.fromkeys(names, 0.0)
            for _ in range(3):
                for name in names:
                    bundle = self.without_group_path(config)
                    argv = self.call(name, "run", "--bundle", bundle, self.new_id(name) + "-%")
                    wall, _ = self.measure(argv, "-j", str(at_once), "-n", str(self.parallel_runs))
                    best[name] = max(best[name], self.parallel_runs / wall * 1000)
            ratios = " ".join(f"{best['joblet-run'] / best[name]:6.2f}" for name in names[1:])
            print(f"  {at_once:<12}" + "".join(f"{best[name]:11.1f}/s" for name in names) + f"   {ratios}")

    @staticmethod
    def without_group_path(bundle):
        """One configuration for many containers: each gets a control group of its own id."""
        path = os.path.join(bundle, "config.json")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        if "cgroupsPath" in text:
            start = text.index('"cgroupsPath"')
            end = text.index('"', text.index(":", start) + 3) + 1
            text = text[:start].rstrip().rstrip(",") + text[end:]
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        return bundle

    def memory(self):
        bundle = self.bundles.make("probe", "network", ["true"])
        for name in self.able(bundle):
            for _ in range(WARM_UP):
                self.run_once(name, bundle)
        print("peak memory of the runtime                               ours/theirs")
        for name, peak in self.peaks.items():
            print(f"  {name:<12} {peak:9d} KiB {self.peaks['joblet-run'] / peak:28.2f}")

    def smallest_limit(self, name):
        smallest = None
        for kib in LIMITS_KIB:
            bundle = self.bundles.make(f"limit-{name}", "network", ["true"], memory=kib << 10)
            for _ in range(3):
                cid = self.new_id(name)
                if quiet(self.call(name, "run", "--bundle", bundle, cid)).returncode != 0:
                    quiet(self.call(name, "delete", "--force", cid))
                    return smallest
            smallest = kib
        return smallest

    def limit(self):
        names = self.able(self.bundles.make("probe", "network", ["true"]))
        print("smallest memory limit under which true runs (three times of three)")
        for name in names:
            kib = self.smallest_limit(name)
            print(f"  {name:<12} {f'{kib} KiB' if kib else f'more than {LIMITS_KIB[0]} KiB':>13}")

    def syscalls(self):
        if not shutil.which("strace"):
            print("system calls: strace is not installed")
            return
        names = self.able(self.bundles.make("probe", "network", ["true"]))
        print("system calls of one run, network")
        for name in names:
            out = os.path.join(self.work, "strace")
            subprocess.run(["strace", "-f", "-c", "-o", out,
                            *self.call(name, "run", "--bundle", os.path.join(self.work, "probe"),
                                       self.new_id(name))],
                           check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            with open(out, encoding="utf-8") as f:
                total = [line.split() for line in f if line.rstrip().endswith("total")][0]
            print(f"  {name:<12} {total[3] if len(total) > 4 else total[2]:>9}")

    def idle(self):
        bundle = self.bundles.make("sleep", "network", ["sleep", "300"])
        shim = idle_shim(self.shim, self.runtimes["joblet-run"], bundle, self.work,
                         self.cgroup + "/sleep")
        print("PSS of the idle supervisor of one sleeping container     ours/theirs")
        print(f"  {'joblet-shim':<12} {shim:9d} KiB")
        conmon = shutil.which("conmon")
        if conmon and "runc" in self.runtimes:
            theirs = idle_conmon(conmon, self.runtimes["runc"], bundle, self.work)
            print(f"  {'conmon':<12} {theirs:9d} KiB {shim / theirs:28.2f}")
        else:
            print("  conmon: not installed here")

    def daemon(self):
        daemon.measure(os.path.dirname(self.shim), 10000, self.rounds, self.measure_path)

    def clean(self):
        for root, _, _ in os.walk("/sys/fs/cgroup"):
            if root.endswith(self.cgroup):
                for below, _, _ in os.walk(root, topdown=False):
                    try:
                        os.rmdir(below)
                    except OSError:
                        pass
        shutil.rmtree(self.work, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--joblet-run", required=True, metavar="PATH")
    parser.add_argument("--joblet-shim", required=True, metavar="PATH")
    parser.add_argument("--floor", required=True, metavar="PATH")
    parser.add_argument("--measure", required=True, metavar="PATH")
    parser.add_argument("--runs", type=int, default=40, metavar="N", help="rounds a row")
    parser.add_argument("--parallel", type=int, default=160, metavar="N", help="runs of a parallel row")
    parser.add_argument("--rows", default=",".join(ROWS), metavar="ROW,...")
    options = parser.parse_args()
    rows = options.rows.split(",")
    for row in rows:
        if row not in ROWS:
            parser.error(f"--rows: '{row}' is none of {', '.join(ROWS)}")
    bench = Bench(options, tempfile.mkdtemp(prefix="joblet-bench-"))
    try:
        with open("/proc/loadavg", encoding="ascii") as f:
            print(f"load at the start: {f.read().split()[0]}, {os.cpu_count()} processors")
        for row in ROWS:
            if row in rows:
                getattr(bench, row)()
                sys.stdout.flush()
    finally:
        bench.clean()
    return 0


if __name__ == "__main__":
    sys.exit(main())
