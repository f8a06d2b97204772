#!/usr/bin/python3
"""Measures joblet beside the peers that are installed, in one interleaved run, and prints medians
and ratios. Losing rows too.

Usage: bench.py --joblet-run PATH --joblet-shim PATH --measure PATH [--floor PATH] [--runs N]

Rows:
  run true        RUNTIME run of a busybox `true` bundle, terminal false, all namespaces of
                  `runc spec` (with a network namespace), no seccomp; wall time in ms
  peak memory     largest resident set of the runtime's processes (wait4's ru_maxrss), KiB
  idle supervisor PSS of joblet-shim and of conmon beside a sleeping container, KiB

Each runtime runs once per round and rounds are interleaved, so that a noisy machine hurts all of
them alike. Ratios are of medians. Needs root and busybox-static.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time


def quiet(argv, **kwargs):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False, **kwargs)


def make_bundle(parent, name, args, cgroup):
    bundle = os.path.join(parent, name)
    bin_dir = os.path.join(bundle, "rootfs", "bin")
    os.makedirs(bin_dir)
    for sub in ("proc", "sys", "dev", "tmp"):
        os.makedirs(os.path.join(bundle, "rootfs", sub))
    shutil.copy("/bin/busybox", bin_dir)
    for applet in ("true", "sleep", "sh"):
        os.symlink("busybox", os.path.join(bin_dir, applet))
    subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    path = os.path.join(bundle, "config.json")
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    config["process"]["terminal"] = False
    config["process"]["args"] = args
    config["process"].pop("rlimits", None)
    config["linux"]["cgroupsPath"] = cgroup
    with open(path, "w", encoding="utf-8") as f:
        json.dump(config, f)
    return bundle


def run_once(measure, argv):
    """Wall time in ms and peak resident set in KiB of one foreground run."""
    answer = subprocess.run([measure, *argv], stdin=subprocess.DEVNULL, capture_output=True,
                            check=True, text=True).stdout.split()
    if answer[2] != "0":
        raise RuntimeError(f"{' '.join(argv)}: wait status {answer[2]}")
    return int(answer[0]) / 1e6, int(answer[1])


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    raise RuntimeError(f"no Pss for {pid}")


def bench_run(measure, runtimes, bundle, work, rounds, floor):
    samples = {name: [] for name in runtimes}
    peaks = {name: 0 for name in runtimes}
    if floor:
        samples["floor"] = []
    for i in range(rounds + 3):
        for name, path in runtimes.items():
            cid = f"joblet-bench-{os.getpid()}-{name}-{i}"
            wall, peak = run_once(measure, [path, "--root", os.path.join(work, "root-" + name), "run",
                                            "--bundle", bundle, cid])
            if i >= 3:  # the first rounds warm the caches
                samples[name].append(wall)
                peaks[name] = max(peaks[name], peak)
        if floor:
            wall, _ = run_once(measure, [floor, os.path.join(bundle, "rootfs"), "/bin/true"])
            if i >= 3:
                samples["floor"].append(wall)
    return samples, peaks


def wait_for(check, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.02)
    raise RuntimeError(f"timed out: {what}")


def read_pid(path):
    try:
        with open(path, encoding="ascii") as f:
            return int(f.read().strip() or 0)
    except (OSError, ValueError):
        return 0


def idle_shim(shim, runtime, bundle, work, cgroup):
    state, log = os.path.join(work, "shim-state"), os.path.join(work, "shim-log")
    os.makedirs(state)
    os.makedirs(log)
    cid = f"joblet-bench-shim-{os.getpid()}"
    root = os.path.join(work, "root-shim")
    process = subprocess.Popen([shim, "--id", cid, "--bundle", bundle, "--state-dir", state,
                                "--log-dir", log, "--runtime-root", root, "--runtime", runtime,
                                "--cgroup", cgroup],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        pid = wait_for(lambda: read_pid(os.path.join(state, "pid")), 10, "the shim's container")
        time.sleep(0.5)
        size = pss(process.pid)
        os.kill(pid, signal.SIGKILL)
        process.wait(10)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        quiet([runtime, "--root", root, "delete", "--force", cid])
    return size


def idle_conmon(conmon, runtime, bundle, work):
    cid = f"joblet-bench-conmon-{os.getpid()}"
    pid_file = os.path.join(work, "conmon.pid")
    own_pid_file = os.path.join(work, "conmon-own.pid")
    # conmon's `create` finds the container under the runtime's default root; give it ours
    wrapper = os.path.join(work, "runtime-wrapper")
    root = os.path.join(work, "root-conmon")
    with open(wrapper, "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\nexec {runtime} --root {root} "$@"\n')
    os.chmod(wrapper, 0o755)
    subprocess.run([conmon, "-c", cid, "-u", cid, "-n", cid, "-r", wrapper, "-b", bundle,
                    "-p", pid_file, "-P", own_pid_file, "--exit-dir", work,
                    "--socket-dir-path", work, "-l", "k8s-file:" + os.path.join(work, "conmon.log"),
                    "--api-version", "1"],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   check=True)
    own = wait_for(lambda: read_pid(own_pid_file), 10, "conmon's pid")
    pid = wait_for(lambda: read_pid(pid_file), 10, "conmon's container")
    subprocess.run([wrapper, "start", cid], check=True, stdin=subprocess.DEVNULL)
    time.sleep(0.5)
    size = pss(own)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{own}"), 10, "the end of conmon")
    quiet([wrapper, "delete", "--force", cid])
    return size


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--joblet-run", required=True)
    parser.add_argument("--joblet-shim", required=True)
    parser.add_argument("--floor")
    parser.add_argument("--measure", required=True)
    parser.add_argument("--runs", type=int, default=40)
    options = parser.parse_args()
    measure = os.path.abspath(options.measure)

    runtimes = {"joblet-run": os.path.abspath(options.joblet_run)}
    for peer in ("runc", "crun"):
        path = shutil.which(peer)
        if path:
            runtimes[peer] = path
    work = tempfile.mkdtemp(prefix="joblet-bench-")
    cgroup = f"/joblet-bench-{os.getpid()}"
    try:
        bundle = make_bundle(work, "true", ["true"], cgroup + "/true")
        for name, path in list(runtimes.items()):  # a peer that can't run here is said, not measured
            probe = subprocess.run([path, "--root", os.path.join(work, "root-" + name), "run",
                                    "--bundle", bundle, f"joblet-bench-{os.getpid()}-{name}"],
                                   stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                   check=name == "joblet-run")
            if probe.returncode != 0:
                print(f"{name}: left out, it does not run here: {probe.stderr.strip()}")
                del runtimes[name]

        samples, peaks = bench_run(measure, runtimes, bundle, work, options.runs, options.floor)
        ours = statistics.median(samples["joblet-run"])
        print(f"run true, {options.runs} interleaved rounds       median     p90   ours/theirs")
        for name, walls in samples.items():
            walls.sort()
            median = statistics.median(walls)
            print(f"  {name:<12} {median:22.2f} ms {walls[int(len(walls) * .9)]:6.2f} ms"
                  f"   {ours / median:6.2f}")
        print("peak memory of the runtime                              ours/theirs")
        for name, peak in peaks.items():
            print(f"  {name:<12} {peak:22d} KiB            {peaks['joblet-run'] / peak:6.2f}")

        sleeper = make_bundle(work, "sleep", ["sleep", "300"], cgroup + "/sleep")
        shim = idle_shim(os.path.abspath(options.joblet_shim), runtimes["joblet-run"], sleeper,
                         work, cgroup + "/sleep")
        print("PSS of the idle supervisor of one sleeping container    ours/theirs")
        print(f"  {'joblet-shim':<12} {shim:22d} KiB")
        conmon = shutil.which("conmon")
        if conmon and "runc" in runtimes:
            theirs = idle_conmon(conmon, runtimes["runc"], sleeper, work)
            print(f"  {'conmon':<12} {theirs:22d} KiB            {shim / theirs:6.2f}")
        else:
            print("  conmon: not installed here")
    finally:
        for root, _, _ in os.walk("/sys/fs/cgroup"):
            if root.endswith(cgroup):
                for below, _, _ in os.walk(root, topdown=False):
                    try:
                        os.rmdir(below)
                    except OSError:
                        pass
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
