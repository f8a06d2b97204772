"""The row `daemon` of bench.py: a joblet of its own, made by tests/e2e/lib.bash, measured by load.c
over the API, beside the time that `podman run`, `ctr run`, `srun` and `systemd-run` take for a `true`.

    daemon.py --build DIR [--jobs N] [--runs N]
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SETTINGS = "--set joblet.maxWaitingJobs=20000 --set 'joblet.retention={max_jobs: 20000, max_age: 168h}'"
INSTANCE = """
. "$1/../e2e/lib.bash"
here=$1/../e2e
trap 'instance_end >&2' EXIT
eval "instance_new --set joblet.stopGrace=1s $4" && instance_start || exit 1
shift 1
"$build/tests/bench/load" "$RNX_CONFIG" $1
[ -z "$2" ] || rnx job stop "$(rnx job list --json | jq -r '.[] | select(.status == "RUNNING") | .id' | head -n 1)" >&2
keeper_stop
rm -f "$I/state/joblet.db"*
"""
PEERS = {
    "podman": ["podman", "run", "--rm", "--network=none", "--rootfs", "{rootfs}", "true"],
    "ctr": ["ctr", "run", "--rm", "--rootfs", "{rootfs}", "joblet-bench", "true"],
    "srun": ["srun", "-Q", "true"],
    "systemd-run": ["systemd-run", "--quiet", "--wait", "true"],
}


def load(build, args, settings, is_queue=False):
    """{name: number} that load.c prints."""
    env = {**os.environ, "JOBLET_BUILD": build}
    done = subprocess.run(["bash", "-c", INSTANCE, "bash", HERE, args, "1" if is_queue else "", settings],
                          env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    figures = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    if not figures:
        raise RuntimeError(f"load {args}: {done.stderr[-1000:]}")
    return {name: float(value) for name, value in figures.items()}


def row(what, value, unit, wanted, is_least=False):
    good = value >= wanted if is_least else value <= wanted
    print(f"  {what:<48} {value:9.2f} {unit:<6} wanted: {'at least' if is_least else 'at most'} {wanted}"
          f"{'' if good else '  (missed)'}")


def peers(runs, rootfs):
    """Medians in ms of what runs here; the others are named."""
    print("  a `true`, run and waited for, by others:")
    for name, argv in PEERS.items():
        argv = [a.replace("{rootfs}", rootfs) for a in argv]
        if not shutil.which(name):
            print(f"    {name:<12} not installed here")
            continue
        walls = []
        for _ in range(runs):
            began = time.monotonic()
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            walls.append((time.monotonic() - began) * 1e3)
            if done.returncode != 0:
                print(f"    {name:<12} left out: {(done.stderr.strip().splitlines() or ['no message'])[-1][:100]}")
                break
        else:
            print(f"    {name:<12} {statistics.median(walls):9.2f} ms")


def measure(build, jobs, runs, rootfs):
    build = os.path.abspath(build)
    print(f"joblet: {jobs} jobs queued by 8 clients, {runs * 10} short ones run, {runs} started one by one")
    q = load(build, f"queue {jobs} 8", "--set joblet.maxConcurrentJobs=1 " + SETTINGS, True)
    row("submissions a second", q["submit_per_s"], "/s", 500, True)
    for name in ("list", "status"):
        row(f"{name} while they come, 99 of 100", q[f"{name}_p99_ms"], "ms", 20)
        row(f"{name} with all of them there, 99 of 100", q[f"quiet_{name}_p99_ms"], "ms", 20)
    r = load(build, f"run {runs * 10} 8", "--set joblet.maxConcurrentJobs=8 " + SETTINGS)
    row("short jobs a second", r["jobs_per_s"], "/s", 60, True)
    s = load(build, f"start {runs}", SETTINGS)
    print(f"  {'from the submission to what `date` prints':<48} {s['start_p50_ms']:9.2f} ms     median")
    peers(runs, rootfs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", required=True, metavar="DIR")
    parser.add_argument("--jobs", type=int, default=10000, metavar="N")
    parser.add_argument("--runs", type=int, default=40, metavar="N")
    parser.add_argument("--rootfs", default="/", metavar="DIR", help="of the containers of podman and ctr")
    options = parser.parse_args()
    measure(options.build, options.jobs, options.runs, options.rootfs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
