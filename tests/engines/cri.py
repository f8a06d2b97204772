#!/usr/bin/python3
"""What Kubernetes' kubelet asks of containerd, one call a command line:

    cri.py run-pod NAME CGROUP-PARENT LOG-DIR     prints the pod's id; network of the node
    cri.py create POD CGROUP-PARENT LOG-DIR NAME IMAGE LIMIT COMMAND...
                                                  prints the container's id; LIMIT: bytes of memory
    cri.py start | stop | remove CONTAINER
    cri.py status CONTAINER                       prints state (1 running, 2 exited), exit code, reason
    cri.py exec CONTAINER COMMAND...              its output, its exit code
    cri.py update CONTAINER LIMIT
    cri.py stop-pod | remove-pod POD

Messages are {field number: value}, numbers as in CRI's api.proto (runtime.v1): a handful of fields
is not worth a generated module.
"""

import sys

import grpc

SOCKET = "unix:///run/containerd/containerd.sock"


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def encode(message):
    out = b""
    for number, values in message.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, int):
                out += varint(number << 3) + varint(value)
                continue
            data = encode(value) if isinstance(value, dict) else value.encode()
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def decode(data):
    """{field number: its last value}: an int, or bytes"""
    pos, message = 0, {}

    def number():
        nonlocal pos
        n = shift = 0
        while True:
            byte = data[pos]
            pos += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n

    while pos < len(data):
        key = number()
        value = number()
        if key & 7 == 2:
            pos, value = pos + value, data[pos:pos + value]
        message[key >> 3] = value
    return message


def call(method, message):
    with grpc.insecure_channel(SOCKET) as channel:
        rpc = channel.unary_unary("/runtime.v1.RuntimeService/" + method, encode, decode)
        try:
            return rpc(message, timeout=30)
        except grpc.RpcError as err:
            sys.exit(f"{method}: {err.details()}")


NODE_NETWORK = {1: 2}


def pod_config(name, parent, logs):
    return {1: {1: name, 2: "uid-" + name, 3: "default"}, 3: logs,
            8: {1: parent, 2: {1: NODE_NETWORK}}}


def run_pod(name, parent, logs):
    print(call("RunPodSandbox", {1: pod_config(name, parent, logs)})[1].decode())


def create(pod, parent, logs, name, image, limit, *command):
    config = {1: {1: name}, 2: {1: image}, 3: list(command), 11: name + ".log",
              15: {1: {4: int(limit)}, 2: {3: NODE_NETWORK}}}
    reply = call("CreateContainer", {1: pod, 2: config, 3: pod_config("pod", parent, logs)})
    print(reply[1].decode())


def status(container):
    reply = decode(call("ContainerStatus", {1: container})[1])
    print(reply.get(3, 0), reply.get(7, 0), reply.get(10, b"").decode())


def run_exec(container, *command):
    reply = call("ExecSync", {1: container, 2: list(command), 3: 20})
    sys.stdout.write(reply.get(1, b"").decode())
    sys.stderr.write(reply.get(2, b"").decode())
    sys.exit(reply.get(3, 0))


COMMANDS = {
    "run-pod": run_pod,
    "create": create,
    "start": lambda c: call("StartContainer", {1: c}),
    "stop": lambda c: call("StopContainer", {1: c, 2: 10}),
    "remove": lambda c: call("RemoveContainer", {1: c}),
    "status": status,
    "exec": run_exec,
    "update": lambda c, limit: call("UpdateContainerResources", {1: c, 2: {4: int(limit)}}),
    "stop-pod": lambda p: call("StopPodSandbox", {1: p}),
    "remove-pod": lambda p: call("RemovePodSandbox", {1: p}),
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
