# Common to tests/cli/systemd*.bats: containers in units of systemd's.

helper() { echo "${JOBLET_BUILD:-$(dirname "$runtime")}/joblet-systemd"; }
sd() { rt --systemd-cgroup --systemd-helper "$(helper)" "$@"; }

# scoped FILTER ARG...: a bundle for the unit joblet-test-$$.scope.
scoped() {
    local filter=$1
    shift
    unit=joblet-test-$$.scope
    bundle '.linux.cgroupsPath = "system.slice:joblet:test-'$$'" | '"$filter" "$@"
    cgroup=/system.slice/$unit
}
sd_create() { detached sd create --bundle "$bundle" "$id" || { err >&2; false; }; }
shown() { systemctl show --value -p "$1" "$unit"; }
is_gone() { [ "$(systemctl show --value -p LoadState "$1")" = not-found ] || [ "$(systemctl show --value -p ActiveState "$1")" = inactive ]; }
