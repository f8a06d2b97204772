"""Every method of joblet.proto, from its descriptors, called with what a client should not send:
nothing, garbage, cut-off and oversized messages, every field at its extremes. python3-grpcio.

Each answer is a refusal that fits (never INTERNAL, UNKNOWN or silence) or a success that harms
nobody, a method that the server does not have is UNIMPLEMENTED, and joblet and joblet-front are the
same processes at the end as at the beginning.
    methods_test.py CONFIG      rnx-config.yml; exit 1 and what was wrong on standard output
"""
import random
import sys

import grpc
import yaml
from google.protobuf.descriptor import FieldDescriptor as F
from google.protobuf.message_factory import MessageFactory
from grpc_client import channel, pb

BAD = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS,
       grpc.StatusCode.ABORTED)
STREAM_SECONDS = 2     # a stream that is right goes on until we leave it
UNARY_SECONDS = 100
INTEGERS = {F.TYPE_INT32: (-2**31, 2**31 - 1), F.TYPE_INT64: (-2**63, 2**63 - 1),
            F.TYPE_UINT32: (0, 2**32 - 1), F.TYPE_UINT64: (0, 2**64 - 1)}
TEXTS = ("", "x" * 70000, "a\nb", "../../etc/passwd", "%s%n%s", "\u202e\u00e9\U0001f600", "-", "0000")


def methods():
    for service in pb.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            yield f"/{service.full_name}/{method.name}", method


def value_of(field, pick):
    if field.type in INTEGERS:
        return INTEGERS[field.type][pick % 2]
    if field.type == F.TYPE_STRING:
        return TEXTS[pick % len(TEXTS)]
    if field.type == F.TYPE_BYTES:
        return b"\0\xff" * (1 + pick % 5000)
    if field.type in (F.TYPE_DOUBLE, F.TYPE_FLOAT):
        return (float("nan"), float("inf"), -1e300)[pick % 3]
    return True


def fill(message, pick, depth=0):
    """Every field at an extreme of its type."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type and field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is None:
                getattr(message, field.name)[TEXTS[pick % len(TEXTS)]] = TEXTS[(pick + 1) % len(TEXTS)]
        elif field.message_type:
            if depth < 3:
                below = getattr(message, field.name)
                fill(below.add() if field.label == F.LABEL_REPEATED else below, pick, depth + 1)
        elif field.type == F.TYPE_ENUM:
            values = [-1] if field.label == F.LABEL_REPEATED else -1
            if field.label == F.LABEL_REPEATED:
                getattr(message, field.name).extend(values)
            else:
                setattr(message, field.name, values)
        elif field.label == F.LABEL_REPEATED:
            getattr(message, field.name).extend([value_of(field, pick), value_of(field, pick + 1)])
        else:
            setattr(message, field.name, value_of(field, pick))
    return message


def bodies(method):
    """(what it is, the bytes) of what is sent."""
    random.seed(method.full_name)
    new = MessageFactory().GetPrototype(method.input_type)
    yield "empty", b""
    for pick in range(len(TEXTS)):
        whole = fill(new(), pick).SerializeToString()
        yield f"extremes {pick}", whole
        yield f"cut off {pick}", whole[:len(whole) * 2 // 3]
    yield "unknown fields", b"\xfa\x7f\x04abcd" * 100
    yield "a length beyond the end", b"\x0a\xff\xff\xff\xff\x0f"
    yield "wrong wire types", b"".join(bytes([n << 3 | 1]) + b"12345678" for n in range(1, 16))
    yield "no UTF-8", b"\x0a\x04\xff\xfe\xfd\x80"
    yield "groups, nested", b"\x0b" * 5000
    yield "2 MiB", b"\x0a\x80\x80\x80\x01" + b"x" * (2 << 20)
    for n in range(20):
        yield f"garbage {n}", bytes(random.randrange(256) for _ in range(random.randrange(400)))


def call(chan, path, method, body):
    """The status code and the words."""
    try:
        if method.client_streaming and method.server_streaming:
            answer = chan.stream_stream(path)(iter([body]), timeout=STREAM_SECONDS)
        elif method.client_streaming:
            answer = chan.stream_unary(path)(iter([body]), timeout=UNARY_SECONDS)
        elif method.server_streaming:
            answer = chan.unary_stream(path)(body, timeout=STREAM_SECONDS)
        else:
            answer = chan.unary_unary(path)(body, timeout=UNARY_SECONDS)
        if method.server_streaming:
            for _ in answer:
                break
            answer.cancel()
        return grpc.StatusCode.OK, ""
    except grpc.RpcError as e:
        return e.code(), e.details()


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        node = yaml.safe_load(f)["nodes"]["default"]
    bad = calls = 0
    built = []
    with channel(node["address"], node["ca"], node["cert"], node["key"]) as chan:
        for path, method in methods():
            codes = set()
            for what, body in bodies(method):
                code, words = call(chan, path, method, body)
                calls += 1
                codes.add(code)
                if code in BAD or (code == grpc.StatusCode.UNAVAILABLE) or \
                        (code == grpc.StatusCode.DEADLINE_EXCEEDED and not method.server_streaming):
                    print(f"{path}: {what}: {code.name}: {words}")
                    bad += 1
                if code != grpc.StatusCode.OK and not words and not method.server_streaming:
                    print(f"{path}: {what}: {code.name} without a word")
                    bad += 1
            if grpc.StatusCode.UNIMPLEMENTED not in codes:
                built.append(method.name)
            elif codes != {grpc.StatusCode.UNIMPLEMENTED}:
                print(f"{path}: UNIMPLEMENTED, and also {sorted(c.name for c in codes)}")
                bad += 1
    print(f"{calls} calls, methods that are there: {' '.join(built)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
