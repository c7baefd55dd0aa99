# shellcheck shell=bash disable=SC2154
# Sourced by the benchmarks: drtool, restic and borg, each with a repository of its own
# in $work/TOOL; they back up the folder $data and restore into $work/out. Every program
# runs as it comes, except that none asks for a passphrase and borg, which is told
# nothing, would take a compression that stores half as much again.
#
# Who keeps the repositories elsewhere sets $drtool_target, the keys of a target in YAML,
# and $restic_repo before.

say() { echo "# $*" >&2; }

# measure TOOL STEP COMMAND...: one line of $results: the seconds, the KiB of memory at
# the most and the CPU-seconds.
measure() {
    local tool=$1 step=$2 status=0
    shift 2
    sync
    /usr/bin/time -f '%e %M %U %S' -o "$work/time" "$@" >"$work/log" 2>&1 </dev/null || status=$?
    if [ $status -ne 0 ]; then
        say "$tool: $step ended with status $status: $*"
        tail -n 20 "$work/log" >&2
        exit 1
    fi
    tail -n 1 "$work/time" \
        | awk -v job="$job" -v tool="$tool" -v step="$step" \
            '{ printf "%s %s %s %s %s %.2f\n", job, tool, step, $1, $2, $3 + $4 }' \
        | tee -a "$results" >&2
}

# amount TOOL WHAT [LESS]: the bytes of its repository, less those.
amount() {
    local bytes
    bytes=$("$1_bytes")
    echo "$job $1 $2 $((bytes - ${3:-0})) 0 0" | tee -a "$results" >&2
}

drtool_new() {
    mkdir -p "$work/drtool/target"
    cat >"$work/drtool/conf.yaml" <<YAML
repository: bench
key: { file: $work/drtool/key }
state: $work/drtool/state
targets: [{ name: bench, ${drtool_target:-url: "file://$work/drtool/target"} }]
sources: [{ name: tree, files: { paths: [$data] } }]
YAML
    drtool_run init --yes-saved >/dev/null
}
drtool_at=("$drtool" -q -c "$work/drtool/conf.yaml")
drtool_run() { "${drtool_at[@]}" "$@"; }
drtool_backup() { measure drtool "$1" "${drtool_at[@]}" backup; }
drtool_restore() { measure drtool "${1:-restore}" "${drtool_at[@]}" restore tree --to "$work/out"; }
drtool_verify() { measure drtool verify "${drtool_at[@]}" verify --level 3; }
# As a machine that has nothing but the key.
drtool_forget() { rm -rf "$work/drtool/state"; }
drtool_bytes() { du -sb "$work/drtool/target" | cut -f 1; }

restic_at=(restic -q -r "${restic_repo:-$work/restic/repo}" --cache-dir "$work/restic/cache"
    --password-file "$work/restic/password")
restic_new() {
    mkdir -p "$work/restic"
    echo bench >"$work/restic/password"
    "${restic_at[@]}" init
}
restic_backup() { measure restic "$1" "${restic_at[@]}" backup "$data"; }
restic_restore() { measure restic "${1:-restore}" "${restic_at[@]}" restore latest --target "$work/out"; }
restic_verify() { measure restic verify "${restic_at[@]}" check --read-data; }
restic_forget() { rm -rf "$work/restic/cache"; }
restic_bytes() { du -sb "$work/restic/repo" | cut -f 1; }

borg_at=(env BORG_BASE_DIR="$work/borg/base" BORG_PASSPHRASE=bench borg)
borg_new() {
    mkdir -p "$work/borg/base"
    "${borg_at[@]}" init --encryption keyfile-blake2 "$work/borg/repo" >"$work/log" 2>&1
}
borg_backup() {
    borg_last=${job//:/-}-$1
    measure borg "$1" "${borg_at[@]}" create --compression zstd,3 \
        "$work/borg/repo::$borg_last" "$data"
}
borg_restore() {
    mkdir -p "$work/out"
    (cd "$work/out" && measure borg restore "${borg_at[@]}" extract "$work/borg/repo::$borg_last")
}
borg_verify() { measure borg verify "${borg_at[@]}" check --verify-data "$work/borg/repo"; }
borg_bytes() { du -sb "$work/borg/repo" | cut -f 1; }
