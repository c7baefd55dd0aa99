# shellcheck shell=bash disable=SC2154,SC2034
# Sourced first by the benchmarks, which say in $here where they lie: the programs, and
# a folder $work with a home that knows nothing, which goes at the end.
export LC_ALL=C
drtool=$(realpath "${DRTOOL:-$here/../../build/release/drtool}")
"$here/../install-deps.sh" bench

work=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/drtool-bench.XXXXXX")
pg_runs=
clean_up() {
    [ -z "$pg_runs" ] || pg_stop
    chmod -R u+rwX "$work" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
results=$work/results # job tool step seconds KiB CPU-seconds
mkdir "$work/home" "$work/trash"
: >"$results"
export HOME=$work/home
unset "${!DRTOOL_@}" "${!RESTIC_@}" "${!BORG_@}" XDG_CONFIG_HOME XDG_CACHE_HOME
# shellcheck source=tests/bench/programs.sh
. "$here/programs.sh"
# shellcheck source=tests/bench/corpora.sh
. "$here/corpora.sh"

# Moves a tree out of the way; it is deleted when nothing is measured.
away() {
    for path; do
        [ ! -e "$path" ] || mv "$path" "$(mktemp -d "$work/trash/XXXXXX")"
    done
}
empty_trash() {
    chmod -R u+rwX "$work/trash" && rm -rf "$work/trash" && mkdir "$work/trash"
}

# The page cache has all files.
warm() { find "$data" -type f -exec cat {} + >/dev/null; }

# Files as young as the backup are read again by the next one.
ripen() { sleep 3; }
