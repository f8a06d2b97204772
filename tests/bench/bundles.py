"""The bundles that tests/bench measures: one image of busybox, and a config.json a variant."""
import copy
import json
import os
import shutil
import subprocess

ROOTLESS_UID = 65533  # an ordinary user; it needs no entry anywhere

VARIANTS = {
    "minimal": "pid and mount namespace",
    "network": "all namespaces of `runc spec`, the network's too",
    "seccomp": "the same, and podman's seccomp profile of 437 names",
    "limits": "network, and limits of memory, cpu and pids",
    "rootless": "an ordinary user's, with a user namespace and no control group",
}

here = os.path.dirname(os.path.abspath(__file__))
profile = os.path.join(here, "..", "data", "config", "podman-plain.json")


def make_image(rootfs):
    for sub in ("bin", "proc", "sys", "dev", "tmp"):
        os.makedirs(os.path.join(rootfs, sub))
    shutil.copy("/bin/busybox", os.path.join(rootfs, "bin"))
    for applet in ("true", "sleep", "sh"):
        os.symlink("busybox", os.path.join(rootfs, "bin", applet))


def spec(directory, *flags):
    """What `runc spec` writes, without a terminal and without the limit that needs a capability."""
    subprocess.run(["runc", "spec", *flags], cwd=directory, check=True)
    path = os.path.join(directory, "config.json")
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    os.unlink(path)
    config["process"]["terminal"] = False
    config["process"].pop("rlimits", None)
    return config


class Bundles:
    def __init__(self, work, cgroup):
        self.work = work
        self.cgroup = cgroup
        self.rootfs = os.path.join(work, "image", "rootfs")
        make_image(self.rootfs)
        self.base = spec(work)
        self.rootless = spec(work, "--rootless")

    def config(self, variant):
        config = copy.deepcopy(self.rootless if variant == "rootless" else self.base)
        linux = config["linux"]
        if variant == "rootless":
            for key in ("uidMappings", "gidMappings"):
                linux[key] = [{"containerID": 0, "hostID": ROOTLESS_UID, "size": 1}]
            return config
        if variant == "minimal":
            linux["namespaces"] = [{"type": "pid"}, {"type": "mount"}]
            config.pop("hostname", None)
        if variant == "seccomp":
            with open(profile, encoding="utf-8") as f:
                linux["seccomp"] = json.load(f)["linux"]["seccomp"]
        if variant == "limits":
            linux["resources"] = {"memory": {"limit": 512 << 20},
                                  "cpu": {"shares": 512, "quota": 100000, "period": 100000},
                                  "pids": {"limit": 100}}
        return config

    def make(self, name, variant, args, memory=None):
        """A bundle directory that runs args; memory: a limit in bytes."""
        bundle = os.path.join(self.work, name)
        os.makedirs(bundle, exist_ok=True)
        config = self.config(variant)
        config["process"]["args"] = args
        config["root"]["path"] = self.rootfs
        if variant != "rootless":
            config["linux"]["cgroupsPath"] = f"{self.cgroup}/{name}"
        if memory:
            config["linux"]["resources"] = {"memory": {"limit": memory}}
        with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as f:
            json.dump(config, f)
        return bundle
