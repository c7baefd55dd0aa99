#!/bin/bash
# A target that is to go: only when the others can do without it.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

S=$W/src
use retire

prepare() {
    mkdir "$S"
    random_tree "$S" 20 60000
    new_conf retire 3
    source_files tree "$S"
    dr 0 init --yes-saved
    dr 0 backup
    mv "$R/t3" "$R/away"
    head -c 300000 /dev/urandom >"$S/while-t3-was-away"
    dr 4 backup
}

# t3 is away: what is on t1 would be on t2 alone.
too_few_copies() {
    dr 5 target retire t1
    says 'is complete on 1 of the other targets only'
    says '2 of 2 snapshots would be on fewer than 2 targets without t1'
    dr 8 target retire t3 --dry-run
    says 'target t3 is away'
    dr 4 --json status
    [ "$(json '[t["queued_objects"] > 0 for t in d["targets"]]')" = "[False, False, True]" ] \
        || fail "something was forgotten: $(cat "$OUT")"
    mv "$R/away" "$R/t3"
}

copied_first() {
    dr 5 target retire t1 --dry-run # t3 does not have the second yet
    dr 0 --json target retire t1
    [ "$(json 'd["retired"], d["snapshots"], d["short"]')" = "(True, 2, 0)" ] || fail "$(cat "$OUT")"
    sed -i '/name: t1,/d' "$CONF"
    rm -rf "$R/t1"
    back tree "$S"
    dr 0 verify --level 3
    dr 0 --json status
    [ "$(json '[t["name"] for t in d["targets"]]')" = "['t2', 't3']" ] || fail "$(cat "$OUT")"
    dr 0 backup
}

# Two targets, then one; the last one stays.
down_to_one() {
    dr 0 target retire t3
    sed -i '/name: t3,/d' "$CONF"
    dr 0 backup
    dr 2 target retire t2
    says 't2 is the only target'
    dr 2 target retire nobody
    back tree "$S"
}

try "three targets, one of them away" prepare || finish
try "snapshots would be short of copies" too_few_copies
try "what the others lack is copied first" copied_first
try "down to one target" down_to_one
finish
