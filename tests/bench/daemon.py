"""The row `daemon` of bench.py: a joblet of its own, made by tests/e2e/lib.bash, measured by load.c
over the API, and beside others by peers.py.

    daemon.py [--build DIR] [--jobs N] [--runs N]
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

import peers

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
# The starts, then joblet-run alone with the bundle of such a job, while a job of the kind lives (its
# namespaces with it). What joblet has in /run, and joblet-run's state, is on a tmpfs, as /run is.
STARTS = """
. "$1/../e2e/lib.bash"
here=$1/../e2e
trap 'keeper_stop; umount -l "$I/run"; instance_end >&2' EXIT
instance_new && mount -t tmpfs -o mode=0755 joblet-run "$I/run" && instance_start || exit 1
"$build/tests/bench/load" "$RNX_CONFIG" start $2
id=$(job sleep 1000)
until_true 10 has_status "$id" RUNNING || exit 1
mkdir "$I/own"
$py "$1/daemon.py" --own "$I/jobs/$id" >"$I/own/config.json" || exit 1
for ((i = 0; i < $2; i++)); do
    began=$EPOCHREALTIME
    echo "own $began $("$build/joblet-run" --root "$I/run/own" run --bundle "$I/own" own-$i 2>&1)"
done
rnx job stop "$id" >&2
"""


def load(build, args, settings, is_queue=False):
    """{name: number} that load.c prints."""
    env = {**os.environ, "JOBLET_BUILD": build}
    done = subprocess.run(["bash", "-c", INSTANCE, "bash", HERE, args, "1" if is_queue else "", settings],
                          env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    figures = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    if not figures:
        raise RuntimeError(f"load {args}: {done.stderr[-1000:]}")
    return {name: float(value) for name, value in figures.items()}


def starts(build, runs, network):
    """ms from a submission to the job's first instruction, and of joblet-run's own start; medians."""
    env = {**os.environ, "JOBLET_BUILD": build, "JOBLET_TEST_NETWORK": network}
    done = subprocess.run(["unshare", "--net", "--mount", "bash", "-c", "ip link set lo up\n" + STARTS, "bash", HERE, str(runs)],
                          env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    try:
        whole = next(float(value) for name, value in (f for f in lines if len(f) == 2) if name == "start_p50_ms")
        own = statistics.median(int(f[2]) / 1e6 - float(f[1]) * 1e3 for f in lines if f[0] == "own")
    except (StopIteration, ValueError, IndexError) as e:
        raise RuntimeError(f"starts: {e}: {done.stdout[-500:]} {done.stderr[-1000:]}") from e
    return whole, own


def process_of(job):
    """The pid of a `sleep` of the job with this id, found by its control group."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as comm, \
                 open(f"/proc/{pid}/cgroup", encoding="ascii") as groups:
                if comm.read() == "sleep\n" and job in groups.read():
                    return pid
        except OSError:  # it has just ended
            pass
    raise RuntimeError(f"job {job} has no `sleep`")


def own_bundle(job):
    """The configuration of the job in this directory, made that of a container beside it."""
    with open(f"{job}/config.json", encoding="ascii") as f:
        config = json.load(f)
    inside = process_of(os.path.basename(job))
    for ns in config["linux"]["namespaces"]:
        if "path" in ns:  # a lease's: its file goes when the job has it
            ns["path"] = f"/proc/{inside}/ns/{ns['type'].replace('network', 'net')}"
    config["linux"]["cgroupsPath"] += "-own"
    config["process"]["args"][-2:] = ["date", "+%s%N"]
    json.dump(config, sys.stdout)


def row(what, value, unit, wanted, is_least=False):
    good = value >= wanted if is_least else value <= wanted
    print(f"  {what:<48} {value:9.2f} {unit:<6} wanted: {'at least' if is_least else 'at most'} {wanted}"
          f"{'' if good else '  (missed)'}")


def measure(build, jobs, runs, program):
    build = os.path.abspath(build)
    print(f"joblet: {jobs} jobs queued by 8 clients, {runs * 10} short ones run, {runs} started one by one")
    q = load(build, f"queue {jobs} 8", "--set joblet.maxConcurrentJobs=1 " + SETTINGS, True)
    row("submissions a second", q["submit_per_s"], "/s", 500, True)
    for name in ("list", "status"):
        row(f"{name} while they come, 99 of 100", q[f"{name}_p99_ms"], "ms", 20)
        row(f"{name} with all of them there, 99 of 100", q[f"quiet_{name}_p99_ms"], "ms", 20)
    r = load(build, f"run {runs * 10} 8", "--set joblet.maxConcurrentJobs=8 " + SETTINGS)
    row("short jobs a second", r["jobs_per_s"], "/s", 60, True)
    for network in ("none", "bridge"):
        whole, own = starts(build, runs, network)
        print(f"  {f'submission to first instruction, network {network}':<48} {whole:9.2f} ms")
        print(f"  {'  joblet-run alone, the same bundle':<48} {own:9.2f} ms")
        row("  the difference", whole - own, "ms", 3)
    peers.measure(build, runs, os.path.abspath(program))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", metavar="DIR", default=".")
    parser.add_argument("--jobs", type=int, default=10000, metavar="N")
    parser.add_argument("--runs", type=int, default=40, metavar="N")
    parser.add_argument("--measure", default="tests/bench/measure", metavar="PATH")
    parser.add_argument("--own", metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.own:
        own_bundle(options.own)
        return 0
    measure(options.build, options.jobs, options.runs, options.measure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
