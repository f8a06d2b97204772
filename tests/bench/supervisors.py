"""Memory of an idle supervisor beside a sleeping container: joblet-shim and conmon."""
import os
import signal
import subprocess
import time


def pss(pid):
    """Proportional set size in KiB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    raise RuntimeError(f"no Pss for {pid}")


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


def quiet(argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False)


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
