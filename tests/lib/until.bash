# until.bash - waiting for what comes true, for all bats files.
#   JOBLET_TEST_PATIENCE  how many times as long as on an idle machine (6)

# until_true [SECONDS] COMMAND...: tries until the command succeeds; fails when the time is over.
# SECONDS are those of an idle machine, 20 where none are said. What the command prints is seen of the
# last try alone.
until_true() {
    local seconds=20 now end
    if [[ $1 =~ ^[0-9]+$ ]]; then
        seconds=$1
        shift
    fi
    read -r now _ </proc/uptime # whatever is done to the clock; has two decimals
    end=$((${now/./} + 100 * seconds * ${JOBLET_TEST_PATIENCE:-6}))
    until "$@" >/dev/null 2>&1; do
        read -r now _ </proc/uptime
        if [ "${now/./}" -ge $end ]; then
            "$@" && return 0
            echo "did not come true: $*" >&2
            return 1
        fi
        sleep 0.03
    done
}
