#!/usr/bin/env bats
# The command lines that the seeds print, word for word: those whose parts are built run to their end;
# of the others the case says what this version answers, and fails when the part gets built.

load netlib

# As a fresh installation is: jobs that name no network are on `bridge`. api.com is a server of the
# world's (netlib.bash), which a name server there knows.
setup_file() {
    net_new --default-network bridge --set "network.dns=[198.51.100.7]"
    instance_start
    world_dns
    mkdir "$I/home"
    cd "$I/home"
    printf '#!/bin/sh\necho secure\n' >secure_task.sh
    printf '#!/bin/sh\necho backup\n' >backup.sh
    printf 'print("script", open("data.csv").read().strip())\n' >script.py
    printf 'echo "api $(cat part.txt)"\n' >run-api.sh
    echo one >part.txt
    echo 1,2,3 >data.csv
}

teardown_file() { net_end; }

# A name server that knows api.com alone, and a server that writes down who comes to port 443.
world_dns() {
    nsenter --net="/run/netns/$WORLDNS" $py -u -c '
import socket, threading
def names():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("198.51.100.7", 53))
    while True:
        q, who = s.recvfrom(512)
        ends = q.index(b"\0", 12) + 5
        known = q[12:ends - 4].lower() == b"\3api\3com\0" and q[ends - 4:ends - 2] == b"\0\1"
        s.sendto(q[:2] + b"\x81\x80\0\1" + (b"\0\1" if known else b"\0\0") + bytes(4) + q[12:ends] +
                 (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("198.51.100.7") if known else b""), who)
threading.Thread(target=names, daemon=True).start()
s = socket.create_server(("198.51.100.7", 443))
while True:
    c, who = s.accept()
    print("came:", who[0], c.recv(5)[:3].hex()); c.close()' >"$I/run/api.com" 2>&1 </dev/null 3>&- 4>&- &
    SERVERS="${SERVERS-} $!"
}

setup() { cd "$I/home"; }

# said STATUS TEXT: how the line of the case ended and what it printed
said() {
    [ "$status" -eq "$1" ] || { echo "status $status: $output"; return 1; }
    [[ $output == *"$2"* ]] || { echo "no '$2' in: $output"; return 1; }
}

# id_of: the job that the text output names
id_of() { sed -n 's/^ID: //p' <<<"$output"; }

@test "seeds: rnx list" {
    run rnx list
    said 0 ""
}

@test "seeds: rnx run echo \"Hello from Joblet!\", status, log, stop" {
    run rnx run echo "Hello from Joblet!"
    said 0 "Job started:"
    id=$(id_of)
    [ "$(ended "$id")" = "COMPLETED 0" ]
    said 0 "StartTime: $(field "$id" createdTime)" # the server's clock
    run rnx log "$id"
    said 0 "Hello from Joblet!"
    run rnx status "$id"
    said 0 "COMPLETED"
    run rnx stop "$id"
    said 1 "$id"
    run rnx run sleep 600
    run rnx stop "$(id_of)"
    said 0 "STOPPED"
}

@test "seeds: rnx run --upload=data.csv --upload=script.py python3 script.py" {
    run rnx run --upload=data.csv --upload=script.py python3 script.py
    said 0 "Uploading 2 files"
    id=$(id_of)
    [ "$(ended "$id")" = "COMPLETED 0" ]
    [ "$(rnx log "$id")" = "script 1,2,3" ]
}

@test "seeds: rnx run --max-cpu=50 --max-memory=512 python3 script.py" {
    run --separate-stderr rnx run --max-cpu=50 --max-memory=512 python3 script.py
    [ "$status" -eq 0 ]
    [[ $stderr == *"script.py exists here but is not uploaded; add --upload=script.py"* ]]
    [ "$(ended "$(id_of)")" = "FAILED 2" ] # python: no such file
}

@test "seeds: rnx run --network=none secure_task.sh" {
    run rnx run --network=none secure_task.sh
    said 0 "add --upload=secure_task.sh"
    [ "$(ended "$(id_of)")" = "FAILED 127" ]
    run rnx run --upload=secure_task.sh --network=none secure_task.sh
    id=$(id_of)
    [ "$(ended "$id")" = "COMPLETED 0" ]
    [ "$(rnx log "$id")" = secure ]
}

@test "seeds: rnx run --schedule=\"1hour\" backup.sh, --schedule=\"2025-12-25T00:00:00\" maintenance.py" {
    run rnx run --schedule="1hour" backup.sh
    said 0 "Job scheduled:"
    id=$(id_of)
    [ "$(status_of "$id")" = SCHEDULED ]
    run rnx job cancel "$id"
    said 0 "canceled"
    run rnx run --schedule="2025-12-25T00:00:00" maintenance.py
    [ "$status" -ne 0 ]
    [[ $output == *"is over since"* ]]
}

@test "seeds: rnx job run 'apt-get update && apt-get install python3-pip && python analysis.py'" {
    run rnx job run 'apt-get update && apt-get install python3-pip && python analysis.py'
    said 0 "Job started:"
    id=$(id_of)
    [[ $(ended "$id") == "FAILED "* ]] # its root is read-only: nothing is installed
    [ "$(rnx job status --json "$id" | jq -r .command)" = /bin/sh ]
}

@test "seeds: rnx nodes, rnx config-help" {
    run rnx nodes
    said 0 "* default"
    run rnx config-help
    said 0 "rnx-config.yml"
}

# absent TEXT COMMAND...: what a part that is not there says: exit 1, and why.
absent() {
    local want=$1
    shift
    run "$@"
    [ "$status" -eq 1 ] || { echo "$*: status $status: $output"; return 1; }
    [[ $output == *"$want"* ]] || { echo "$*: no '$want' in: $output"; return 1; }
}

@test "seeds: rnx network create myapp, and jobs on it that find one another" {
    run rnx network create myapp --cidr=10.100.0.0/24
    said 0 "Network created successfully"
    cat >run-api.sh <<'API'
while :; do echo "api $(cat part.txt)" | busybox nc -l -p 8000 >/dev/null; done
API
    cat >test-api.sh <<'TEST'
for i in 1 2 3 4 5 6 7 8 9 10; do
    busybox nc -w 2 "$(sed -n 's/.* \(job_[0-9a-f-]\{36\}\) .*/\1/p' /etc/hosts | head -n 1)" 8000 </dev/null && exit
    sleep 0.5
done
exit 1
TEST
    run rnx run --upload-dir=. --network=myapp --max-memory=512 bash run-api.sh
    said 0 "Job started:"
    api=$(id_of)
    until_true 20 has_status "$api" RUNNING
    run rnx run --upload=test-api.sh --network=myapp bash test-api.sh
    said 0 "Job started:"
    id=$(id_of)
    [ "$(ended "$id")" = "COMPLETED 0" ] || { rnx log "$id"; false; }
    [ "$(rnx log "$id")" = "api one" ]
    run rnx run --upload-dir=. --network=myapp --max-memory=256 node worker.js
    said 0 "Job started:"
    [ "$(ended "$(id_of)")" = "FAILED 127" ] || command -v node
    rnx job stop "$api"
    rnx network remove myapp
}

@test "seeds: rnx run --network=isolated wget https://api.com, --network=bridge api_server.py" {
    run rnx run --network=isolated wget https://api.com
    said 0 "Job started:"
    id=$(id_of)
    [[ $(ended "$id") == "FAILED "* ]] # nobody has signed for this api.com
    if command -v wget; then
        rnx log "$id"
        grep -q '^came: 203.0.113.2 1603' "$I/run/api.com" # the first bytes of TLS
    fi
    printf '#!/bin/sh\necho serving\n' >api_server.py
    run rnx run --network=bridge api_server.py
    said 0 "add --upload=api_server.py"
    [ "$(ended "$(id_of)")" = "FAILED 127" ]
    run rnx run --upload=api_server.py --network=bridge api_server.py
    id=$(id_of)
    [ "$(ended "$id")" = "COMPLETED 0" ]
    [ "$(rnx log "$id")" = serving ]
}

@test "seeds: rnx volume create mydata --size=1GB, rnx monitor status" {
    run rnx volume create mydata --size=1GB
    said 0 mydata
    run rnx run --volume=mydata python3 process_data.py
    said 0 "Job started:"
    [ "$(ended "$(id_of)")" = "FAILED 2" ]
    rnx volume remove mydata
    run rnx monitor status
    said 0 "CPU"
}

@test "seeds: what is not built yet: runtimes, workflows, the web interface" {
    local w
    for w in jobs.yaml:ml-analysis jobs.yaml:hello-joblet jobs.yaml:hello-world jobs.yaml:file-ops \
        jobs.yaml:sales-analysis jobs.yaml:time-series ml-pipeline.yaml ml-pipeline.yaml:data-validation; do
        absent "not built yet" rnx run --workflow=$w
    done
    absent "not built yet" rnx admin
    absent "not built yet" rnx runtime list
    absent "not built yet" rnx runtime info python:3.11-ml
    absent "not built yet" rnx runtime info python-3.11-ml
    absent "not built yet" rnx runtime test java:17
    absent "not built yet" rnx runtime test python-3.11-ml
    absent "not built yet" rnx runtime validate ./runtime.yaml
    absent "not built yet" rnx runtime build ./runtime.yaml
    absent "not built yet" rnx runtime build -v --force ./runtime.yaml
    absent "not built yet" env RNX_SERVER=127.0.0.1 rnx runtime build ./runtime.yaml
    absent "not built yet" rnx runtime remove python-3.11-ml
    absent "not built yet" rnx runtime remove python-3.11-ml@1.0.0
    absent untime rnx run --runtime=python:3.11-ml python data_analysis.py
    absent untime rnx run --runtime=java:17 javac HelloWorld.java
    absent untime rnx run --runtime=nodejs:18 node server.js
    absent untime rnx job run --runtime=python-3.11-ml python3 -c "import pandas; print('Ready!')"
    touch HelloWorld.java
    absent untime rnx job run --runtime=openjdk-21 --upload=HelloWorld.java javac HelloWorld.java
    absent untime rnx job run --runtime=java:17 bash -c "javac HelloWorld.java && java HelloWorld"
    absent untime rnx job run --runtime=python-3.11-ml --max-cpu=75 --cpu-cores="0-3" python training.py
    absent untime rnx job run --runtime=java:21 --schedule="1hour" java MaintenanceJob
}
