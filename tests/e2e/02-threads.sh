#!/bin/bash
# The number of threads changes no chunk and, with fixed random numbers, no pack:
# the same tree into copies of one fresh repository, with 1, 8 and 0 threads.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions

# The folders above the source are in a snapshot too, and /tmp changes all the
# time: so the source gets a place of its own, which nobody else sees.
if [ "$(id -u)" -eq 0 ] && [ -z "${APART:-}" ]; then
    APART=1 exec unshare -m "$0"
fi
. "$(dirname "$0")/lib.sh"
mkdir "$W/place"
mount --bind "$W/place" /mnt

S=/mnt/src
use one

prepare() {
    mkdir -p "$S"
    random_tree "$S" 1500 60000
    random_tree "$S/sub" 30 3000000
    yes 'text that compresses well' | head -c 20000000 >"$S/text"
    head -c 3000000 /dev/urandom >"$S/big"
    cat "$S/big" "$S/big" "$S/big" >"$S/repeats"
    truncate -s 8M "$S/hole"
    echo data >>"$S/hole"
    ln "$S/big" "$S/link"
    new_conf one 2
    source_files tree "$S"
    dr 0 init --yes-saved
    cp -a "$R" "$W/fresh"
    sleep 3
}

# with NAME SEED THREADS: a first backup into the copy; the names of its packs are
# in $W/NAME.packs, what it says in $W/NAME.json.
with() {
    rm -rf "$R"
    cp -a "$W/fresh" "$R"
    DRTOOL_TEST_SEED=$2 dr 0 --json backup --threads "$3"
    cp "$OUT" "$W/$1.json"
    (cd "$R/t1/pack" && find . -type f -printf '%p %s\n' | sort) >"$W/$1.packs"
    [ -s "$W/$1.packs" ] || fail "there is no pack"
}

numbers() {
    json '[d["sources"][0][k] for k in ("entries", "bytes", "new_chunks", "new_bytes", "stored_bytes")]' \
        "$W/$1.json"
}

same_packs() {
    local n
    with one 7 1
    back tree "$S"
    for n in 8 0; do
        with "$n" 7 "$n"
        cmp -s "$W/one.packs" "$W/$n.packs" \
            || fail "other packs with $n threads: $(diff "$W/one.packs" "$W/$n.packs" | head -n 4)"
        [ "$(numbers "$n")" = "$(numbers one)" ] \
            || fail "$n threads: $(numbers "$n"), 1 thread: $(numbers one)"
        back tree "$S"
    done
}

# Without a seed the packs differ, but not the chunks.
same_chunks() {
    with other 8 8
    cmp -s "$W/one.packs" "$W/other.packs" && fail "another seed made the same packs"
    [ "$(numbers other)" = "$(numbers one)" ] || fail "another seed made other chunks"
}

# After a backup with one number of threads, another number finds every chunk.
nothing_new() {
    local from
    for from in 1 8; do
        with again 9 "$from"
        touch "$W/mark"
        find "$S" -type f -exec touch {} + # all must be read again
        sleep .1
        dr 0 --json backup --threads $((9 - from))
        [ "$(json 'd["sources"][0]["kept"] < 100')" = True ] || fail "files were not read again"
        [ "$(json 'd["sources"][0]["new_bytes"] < 1000000')" = True ] \
            || fail "$from, then $((9 - from)) threads: $(json 'd["sources"][0]["new_bytes"]') new bytes"
    done
}

try "a tree and a fresh repository" prepare
try "1, 8 and 0 threads write the same packs" same_packs
try "another seed makes other packs of the same chunks" same_chunks
try "1 and 8 threads find each other's chunks" nothing_new
finish
