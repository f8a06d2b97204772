"""Every method of joblet.proto by every role, against the table of roles that is written down here
and nowhere else in the tests. A method without a row fails, and so does a row without a method.

roles_table.py PREFIX OPS_DEF: PREFIX is a running instance's directory, with its CA.
"""
import os
import re
import sys

import grpc
import pki
from grpc_client import channel, pb

RANK = ["none", "reader", "developer", "maintainer", "admin"]

# method: (operation, least role). Source: the interface's table of roles.
TABLE = {
    "JobService": {
        "ListJobs": ("list_jobs", "reader"),
        "GetJobStatus": ("get_job", "reader"),
        "GetJobLogs": ("get_job_logs", "reader"),
        "StreamJobMetrics": ("get_job_metrics", "reader"),
        "GetJobMetrics": ("get_job_metrics", "reader"),
        "StreamJobTelematics": ("get_job_telematics", "reader"),
        "GetJobTelematics": ("get_job_telematics", "reader"),
        "GetWorkflowStatus": ("get_workflow", "reader"),
        "GetWorkflowJobs": ("get_workflow", "reader"),
        "ListWorkflows": ("list_workflows", "reader"),
        "ValidateWorkflow": ("validate_workflow", "reader"),
        "RunJob": ("run_job", "developer"),
        "StageUploads": ("stage_uploads", "developer"),
        "StopJob": ("stop_job", "developer"),
        "CancelJob": ("cancel_job", "developer"),
        "DeleteJob": ("delete_job", "developer"),
        "DeleteAllJobs": ("delete_all_jobs", "developer"),
        "RunWorkflow": ("run_workflow", "developer"),
        "StopWorkflow": ("stop_workflow", "developer"),
        "DeleteWorkflow": ("delete_workflow", "developer"),
    },
    "NetworkService": {
        "ListNetworks": ("list_networks", "reader"),
        "CreateNetwork": ("create_network", "maintainer"),
        "RemoveNetwork": ("remove_network", "admin"),
    },
    "VolumeService": {
        "ListVolumes": ("list_volumes", "reader"),
        "CreateVolume": ("create_volume", "maintainer"),
        "RemoveVolume": ("remove_volume", "admin"),
    },
    "MonitoringService": {
        "GetSystemStatus": ("get_metrics", "reader"),
        "StreamSystemMetrics": ("get_metrics", "reader"),
    },
    "RuntimeService": {
        "ListRuntimes": ("list_runtimes", "reader"),
        "GetRuntimeInfo": ("get_runtime_info", "reader"),
        "TestRuntime": ("test_runtime", "developer"),
        "BuildRuntime": ("build_runtime", "maintainer"),
        "ValidateRuntimeYAML": ("validate_runtime", "maintainer"),
        "RemoveRuntime": ("remove_runtime", "admin"),
    },
}

# organizational units of a certificate: its role
SUBJECTS = {
    "/CN=none": "none",
    "/CN=x/OU=ceo": "none",
    "/CN=x/OU=adminx": "none",
    "/CN=x/OU=reader": "reader",
    "/CN=x/OU=VIEWER": "reader",
    "/CN=x/OU=Developer": "developer",
    "/CN=x/OU=maintainer": "maintainer",
    "/CN=x/OU=admin": "admin",
    "/CN=x/OU=admin/OU=viewer": "reader",
    "/CN=x/OU=maintainer/OU=admin": "maintainer",
    "/CN=x/OU=ceo/OU=developer": "developer",
    "/CN=admin/O=admin": "none",  # the role is the OU alone
}


def built(ops_def):
    """{method: (operation, role)} of ops.def."""
    with open(ops_def, encoding="ascii") as f:
        rows = re.findall(r'JD_OP\(\w+,\s*"(\w+)",\s*"(/joblet\.[\w/]+)",\s*JD_ROLE_(\w+)\)', f.read())
    return {method: (operation, role.lower()) for operation, method, role in rows}


def call(chan, path, method):
    """Code and words; an empty message; of a stream the first answer."""
    kind = ("stream" if method.client_streaming else "unary") + "_" + (
        "stream" if method.server_streaming else "unary")
    request = iter([b""]) if method.client_streaming else b""
    try:
        answer = getattr(chan, kind)(path)(request, timeout=100)
        if method.server_streaming:
            next(answer, None)
            answer.cancel()
        return grpc.StatusCode.OK, ""
    except grpc.RpcError as e:
        return e.code(), e.details()


def judge(name, row, role, code, words, is_built):
    operation, least = row
    if not is_built:
        return code == grpc.StatusCode.UNIMPLEMENTED
    if role == "none":
        return code == grpc.StatusCode.PERMISSION_DENIED and "failed to extract client role" in words
    if RANK.index(role) < RANK.index(least):
        want = f"role {role} is not allowed to perform operation {operation}"
        return code == grpc.StatusCode.PERMISSION_DENIED and words == want
    return code not in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED,
                        grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE,
                        grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)


def main(prefix, ops_def):
    bad, done = [], built(ops_def)
    services = pb.DESCRIPTOR.services_by_name
    for name in set(services) ^ set(TABLE):
        bad.append(f"service {name} is in one of joblet.proto and the table alone")
    authority = pki.Authority.__new__(pki.Authority)
    authority.dir, authority.serial = os.environ["TMPDIR"], 5000
    authority.key_file, authority.crt_file = prefix + "/config/ca/ca.key", prefix + "/config/ca/ca.crt"
    import yaml
    with open(prefix + "/config/rnx-config.yml", encoding="ascii") as f:
        node = yaml.safe_load(f)["nodes"]["default"]
    n = 0
    for subject, role in SUBJECTS.items():
        cert, key = authority.issue(subject)
        with channel(node["address"], node["ca"], cert, key) as chan:
            for service, rows in TABLE.items():
                methods = {m.name: m for m in services[service].methods} if service in services else {}
                for name in set(rows) ^ set(methods):
                    bad.append(f"{service}.{name} is in one of joblet.proto and the table alone")
                for name in sorted(set(rows) & set(methods)):
                    path = f"/joblet.{service}/{name}"
                    if path in done and done[path] != rows[name]:
                        bad.append(f"ops.def: {path} has {done[path]}, not {rows[name]}")
                    code, words = call(chan, path, methods[name])
                    if not judge(name, rows[name], role, code, words, path in done):
                        bad.append(f"{path} as {subject} ({role}): {code} {words}")
                    n += 1
    print(f"{n} calls, {len(done)} methods built")
    print("\n".join(sorted(set(bad))))
    return 1 if bad or n < 300 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
