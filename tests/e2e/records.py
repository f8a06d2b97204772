"""Many ended jobs, for records.bats.

    records.py fill INSTANCE N      while joblet is down: N copies of the one job there is, each with
                                    a log of its own
    records.py ask INSTANCE SECONDS the longest and the middle time of GetJobStatus and of ListJobs
                                    for so long; ends at once when no jobs are left but one; fails
                                    when so few are answered that others must have been held up
    records.py delete INSTANCE      the same, while DeleteAllJobs is under way
"""
import os
import sqlite3
import statistics
import sys
import threading
import time
import uuid


def fill(instance, n):
    db = sqlite3.connect(f"{instance}/state/joblet.db", isolation_level=None)
    columns = [r[1] for r in db.execute("pragma table_info(jobs)")]
    row = dict(zip(columns, db.execute("select * from jobs").fetchone()))
    old = row.pop("id")
    del row["sequence"]
    logs = {}
    for name in os.listdir(f"{instance}/logs/{old}"):
        with open(f"{instance}/logs/{old}/{name}", "rb") as f:
            logs[name] = f.read()
    names = ["id"] + list(row)
    db.execute("begin")
    for _ in range(n):
        job = str(uuid.uuid4())
        db.execute(f"insert into jobs ({','.join(names)}) values ({','.join('?' * len(names))})",
                   [job] + list(row.values()))
        os.mkdir(f"{instance}/logs/{job}", 0o700)
        for name, content in logs.items():
            with open(f"{instance}/logs/{job}/{name}", "wb") as f:
                f.write(content)
    db.execute("commit")
    db.close()


def times(client, seconds):
    """Asks for the state of the newest job, and now and then for the list; prints how long it took."""
    took = {"status": [], "list": []}
    until = time.monotonic() + seconds
    jobs = client.jobs()
    newest = jobs[-1].uuid
    while time.monotonic() < until and len(jobs) > 1:
        for _ in range(20):
            at = time.monotonic()
            try:
                client.status(newest)
            except Exception:  # it is gone
                break
            took["status"].append(time.monotonic() - at)
        at = time.monotonic()
        jobs = client.jobs()
        took["list"].append(time.monotonic() - at)
    for what, all_of_them in took.items():
        if all_of_them:
            print("#", what, len(all_of_them), "middle", round(1000 * statistics.median(all_of_them), 1),
                  "longest", round(1000 * max(all_of_them), 1), "ms")
    return sum(map(len, took.values()))


def main():
    what, instance = sys.argv[1:3]
    if what == "fill":
        fill(instance, int(sys.argv[3]))
        return
    from grpc_client import Client, pb
    config = f"{instance}/config/rnx-config.yml"
    with Client.from_config(config) as c:
        c.jobs()  # it is connected
        thread = None
        if what == "delete":
            answer = []

            def delete():
                with Client.from_config(config, timeout=120) as other:
                    answer.append(other.job.DeleteAllJobs(pb.EmptyRequest(), timeout=120))

            thread = threading.Thread(target=delete)
            thread.start()
        answers = times(c, float(sys.argv[3]) if what == "ask" else 60)
        if thread:
            thread.join()
            print("# deleted", answer[0].deleted_count)
    # how long one takes depends on how busy the machine of the tests is; who waited for the end of a
    # deletion, which takes some 0.2 s, got one or two
    if answers < 5:
        sys.exit(f"{answers} answers, so somebody was kept waiting")


if __name__ == "__main__":
    main()
