"""Many jobs that sleep, and what they cost: memory (PSS) and processor time of joblet, joblet-front and
every joblet-shim and joblet-init. For sleepers.bats.

    sleepers.py INSTANCE JOBS       prints figures; 1 when a limit is broken
"""
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from grpc_client import Client

OURS = ("joblet", "joblet-front", "joblet-shim", "joblet-init")
BYTES_A_JOB = 1_500_000
SETTLE_SECONDS = 90  # the pressure of a thousand starts is no rest: it takes that long to be forgotten
IDLE_SECONDS = 10
CPU_SHARE = 0.02  # of one processor, for 200 samples a second


def ours(instance):
    """{pid: name} of the instance's processes: joblet and all below it or adopted by no one."""
    with open(f"{instance}/run/pid", encoding="ascii") as f:
        core = int(f.read())
    ret, parents, names = {core: "joblet"}, {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                text = f.read()
        except OSError:
            continue
        names[int(pid)] = text[text.index("(") + 1:text.rindex(")")]
        parents[int(pid)] = int(text[text.rindex(")") + 2:].split()[1])
    for _ in range(4):
        ret.update({p: names[p] for p, above in parents.items() if above in ret and names[p] in OURS})
    return ret


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:")) * 1024


def used(pids):
    """Processor seconds, and how often they gave the processor back (wake-ups), by name."""
    seconds, wakes = 0.0, {}
    for pid, name in pids.items():
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as f:
                wakes[name] = wakes.get(name, 0) + sum(
                    int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt"))
    return seconds, wakes


def main():
    instance, jobs = sys.argv[1], int(sys.argv[2])
    with Client.from_config(f"{instance}/config/rnx-config.yml", timeout=120) as c:
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: c.run("sleep", "3600"), range(jobs)))
        while sum(j.status == "RUNNING" for j in c.jobs()) < jobs:
            time.sleep(0.5)
            if time.monotonic() - began > 600:
                print({s: sum(j.status == s for j in c.jobs()) for s in {j.status for j in c.jobs()}})
                return 1
        print(f"{jobs} jobs run after {time.monotonic() - began:.1f} s")
    time.sleep(SETTLE_SECONDS)
    pids = ours(instance)
    sums = {}
    for pid, name in pids.items():
        sums[name] = sums.get(name, 0) + pss(pid)
    total = sum(sums.values()) / jobs
    print(f"{total / 1e3:.0f} kB a job: " + ", ".join(f"{n} {b / jobs / 1e3:.1f}" for n, b in sums.items()))
    count = {n: list(pids.values()).count(n) for n in OURS}
    print("processes: " + ", ".join(f"{n} {k}" for n, k in count.items()))
    before, wakes_before = used(pids)
    time.sleep(IDLE_SECONDS)
    after, wakes = used(pids)
    share = (after - before) / IDLE_SECONDS
    print(f"idle: {share * 100:.2f}% of a processor; wake-ups in {IDLE_SECONDS} s: "
          + ", ".join(f"{n} {wakes[n] - wakes_before[n]}" for n in wakes))
    if count["joblet-shim"] != jobs or count["joblet-init"] not in (0, jobs):
        print("a shim or an init is missing")
        return 1
    return 1 if total > BYTES_A_JOB + 100_000_000 / jobs or share > CPU_SHARE else 0


if __name__ == "__main__":
    sys.exit(main())
