#!/usr/bin/env bats
# Lives of containers, one after the other and four at once, with kill -9 in between: see cycles.py.
# 10,000 of them: tests/inject/cycles.py JOBLET-RUN 10000

load lib.bash

setup_file() { inject_file_setup; }

@test "400 containers, four at once, leave nothing and lose no exit status" {
    "$py" "$BATS_TEST_DIRNAME/cycles.py" --jobs 4 "$runtime" 400 </dev/null 3>&- 4>&-
}
