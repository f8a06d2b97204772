"""The API over the network, fuzzed for a time: every method of joblet.proto with messages that are right,
at the extremes of their fields, changed, cut off or noise, several at once, some given up half-way.

    fuzz_api.py CONFIG SECONDS [SEED]     rnx-config.yml of a running instance; exit 1 and what was wrong
"""
import random
import sys
import threading
import time

import grpc
import methods_test
import yaml
from fuzz_link import noise, sensible
from google.protobuf.message_factory import MessageFactory
from grpc_client import channel, pb

THREADS = 3
BAD = methods_test.BAD + (grpc.StatusCode.UNAVAILABLE,)
OPS = {"RunJob": "RUN_JOB", "CreateVolume": "CREATE_VOLUME", "RemoveVolume": "REMOVE_VOLUME",
       "CreateNetwork": "CREATE_NETWORK", "RemoveNetwork": "REMOVE_NETWORK"}


def body_of(method, ids, rng):
    cls = MessageFactory().GetPrototype(method.input_type)
    kind = rng.randrange(6)
    if kind == 0:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(80)))
    if kind == 1:
        return methods_test.fill(cls(), rng.randrange(64)).SerializeToString()
    body = sensible(OPS.get(method.name, ""), cls(), ids, rng)
    return noise(body, rng) if kind < 4 else body


def call(chan, path, method, body, rng):
    """Its status code, words and, of one that answers once, the answer."""
    kind = ("stream" if method.client_streaming else "unary") + "_" + (
        "stream" if method.server_streaming else "unary")
    request = iter([body] * rng.randrange(3)) if method.client_streaming else body
    timeout = 30 if not method.server_streaming else 2
    try:
        if not method.server_streaming and rng.randrange(20) == 0:  # given up half-way
            getattr(chan, kind)(path).future(request, timeout=timeout).cancel()
            return grpc.StatusCode.CANCELLED, "", b""
        answer = getattr(chan, kind)(path)(request, timeout=timeout)
        if method.server_streaming:
            for _ in range(rng.randrange(3)):
                next(answer, None)
            answer.cancel()
            return grpc.StatusCode.OK, "", b""
        return grpc.StatusCode.OK, "", answer
    except grpc.RpcError as e:
        return e.code(), e.details(), b""


def run(node, seconds, seed, said):
    rng, ids, n = random.Random(seed), [], 0
    methods = list(methods_test.methods())
    end = time.monotonic() + seconds
    with channel(node["address"], node["ca"], node["cert"], node["key"]) as chan:
        while time.monotonic() < end:
            path, method = rng.choice(methods)
            body = body_of(method, ids, rng)
            code, words, answer = call(chan, path, method, body, rng)
            n += 1
            if code in BAD or (code == grpc.StatusCode.DEADLINE_EXCEEDED and not method.server_streaming):
                said.append(f"{path} {body.hex()[:400]}: {code.name}: {words} (seed {seed}, call {n})")
            if code == grpc.StatusCode.OK and method.name == "RunJob" and answer:
                ids = (ids + [pb.RunJobResponse.FromString(answer).job_uuid])[-50:]
    print(f"{n} calls, seed {seed}")


def main(config, seconds, seed):
    with open(config, encoding="utf-8") as f:
        node = yaml.safe_load(f)["nodes"]["default"]
    said = []
    threads = [threading.Thread(target=run, args=(node, seconds, seed + i, said)) for i in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print("\n".join(said[:30]))
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(10**6)))
