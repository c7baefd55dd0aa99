#!/bin/bash
# Memory stays within its bound while a target is away and what waits for it
# piles up: the peak of each command, as GNU time tells it. Folders, which take
# as fast as the disk gives, and servers.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

S=$W/src
MOST=131072 # KiB

# Few large files, many of middle size and a crowd of small ones: 600 MB.
make_source() {
    random_tree "$S/small" 4000 20000
    random_tree "$S/middle" 200 1600000
    head -c 250000000 /dev/urandom >"$S/large"
    head -c 150000000 /dev/urandom >"$S/large-too"
    [ "$(du -sm "$S" | cut -f 1)" -ge 520 ] || fail "the source is too small: $(du -sm "$S")"
}

# peak STATUS ARG...: as dr, and its peak must not be over the bound.
peak() {
    local kib seconds
    AS=(/usr/bin/time -f '%M %e' -o "$W/peak")
    LIMIT=300 dr "$@"
    AS=()
    read -r kib seconds < <(tail -n 1 "$W/peak")
    [ -z "${TIMES:-}" ] || echo "# $kib KiB, $seconds s: $CASE: $2"
    [ "$kib" -le "$MOST" ] || fail "drtool $2 took $kib KiB, over $MOST"
}

# spool: what lies in it, in MiB.
spool() {
    du -sm "$R/state/$1/spool" | cut -f 1
}

# spool_max SIZE: in the configuration.
spool_max() {
    sed -i "s/^sources:/fleet: { spool-max: $1 }\n&/" "$CONF"
}

# fresh NAME [SPOOL-MAX]: a repository on three folders.
fresh() {
    new_conf "$1" 3
    source_files tree "$S"
    [ -z "${2:-}" ] || spool_max "$2"
    dr 0 init --yes-saved
}

leave() {
    local t
    for t; do mv "$R/$t" "$R/away-$t"; done
}

come_back() {
    local t
    for t; do mv "$R/away-$t" "$R/$t"; done
}

# all_there: every target has it, and a restore reads it.
all_there() {
    dr 0 --json snapshots
    [ "$(json 'all(len(s["targets"]) == 3 for s in d["snapshots"])')" = True ] \
        || fail "$(cat "$OUT")"
    peak 0 verify --level 3
    leave "$@"
    rm -rf "$W/back"
    peak 0 restore tree --to "$W/back"
    same "$S" "$W/back$S"
    rm -rf "$W/back" "$R"
}

# within KIB ARG...: as dr 0, and its peak must not be over that.
within() {
    MOST=$1 peak 0 "${@:2}"
}

# What a person allows: more is not taken, and it works with little.
limited() {
    fresh limited
    within 52000 backup --memory 48MiB
    within 60000 verify --level 3 --memory 48MiB --threads 16
    within 60000 restore tree --to "$W/back" --memory 48MiB --threads 16
    same "$S" "$W/back$S"
    rm -rf "$W/back" "$R/state/limited"
    dr 2 backup --memory 47MiB
    says "--memory must be at least 48MiB"
    rm -rf "$R"
}

one_away() {
    fresh one
    leave t3
    peak 4 backup
    come_back t3
    peak 0 sync
    all_there t1 t2
}

# What two targets have leaves the spool, and is read back from them.
small_spool() {
    fresh small 256MiB
    leave t3
    peak 4 backup
    [ "$(spool small)" -le 256 ] || fail "the spool holds $(spool small) MiB"
    come_back t3
    peak 0 sync
    all_there t1 t2
}

# Nothing may leave the spool.
full_spool() {
    fresh full
    leave t2 t3
    peak 5 backup
    [ "$(spool full)" -ge 520 ] || fail "the spool holds only $(spool full) MiB"
    come_back t2 t3
    peak 0 sync
    all_there t1 t2
}

# It is full before the quorum has anything: the run ends, and memory does not
# take what the disk may not.
overfull_spool() {
    fresh over 256MiB
    leave t2 t3
    peak 5 backup
    says 'spool .* is full'
    come_back t2 t3
    peak 0 backup
    all_there t1 t2
}

# Three servers, of which one is dead; for the full count one is frozen instead, which
# takes connections and never answers.
server_away() {
    local r lines=()
    gateways
    for r in eu us ap; do
        (
            umask 077
            echo "SK$r-0123456789" >"$W/$r.secret"
            echo "AK$r" >"$W/$r.access"
        )
        lines+=("$(s3_target "$r" "$r" \
            "access-key: { file: $W/$r.access }, secret-key: { file: $W/$r.secret }" main)")
    done
    new_conf servers 0
    source_files tree "$S"
    printf '%s\n' "${lines[@]}" >"$W/lines"
    sed -i "/^targets:/r $W/lines" "$CONF"
    spool_max 256MiB
    dr 0 init --yes-saved
    sleep 3
    r=$(cat "$W/ceph/run/rgw.ap.pid")
    if [ "$LONG" ]; then kill -STOP "$r"; else gateway_down ap; fi
    peak 4 backup
    if [ "$LONG" ]; then kill -CONT "$r"; else gateways_again; fi
    peak 0 sync
    dr 0 --json snapshots
    [ "$(json 'all(len(s["targets"]) == 3 for s in d["snapshots"])')" = True ] \
        || fail "$(cat "$OUT")"
    peak 0 verify --level 3
    peak 0 restore tree --to "$W/back"
    same "$S" "$W/back$S"
}

try "600 MB in files of many sizes" make_source || finish
try "as little as one allows" limited
try "one of three targets away, then back" one_away
try "the same with a spool that is too small" small_spool
try "two of three targets away, then back" full_spool
try "the same with a spool that is too small" overfull_spool
try "three servers, one of them away" server_away
finish
