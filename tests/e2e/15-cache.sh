#!/bin/bash
# The page cache of the host is after a backup as it was before: what was in it stays,
# what was not is not there afterwards either, as fincore counts it.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

S=$W/src
use main

# 450 MB: a crowd of small files, some of middle size and two large ones, every second
# one of each warm. Of the last one the first half is.
make_source() {
    random_tree "$S/small" 4000 50000
    random_tree "$S/middle" 60 4000000
    head -c 80000000 /dev/urandom >"$S/large-1"
    head -c 160000000 /dev/urandom >"$S/large-2"
    find "$S" -type f | sort >"$W/all"
    awk 'NR % 2' "$W/all" >"$W/warm"
    awk 'NR % 2 == 0' "$W/all" >"$W/cold"
    head -c 20000000 /dev/urandom >"$S/x-half"
    echo "$S/x-half" >"$W/half"
    [ "$(du -sm "$S" | cut -f 1)" -ge 400 ] || fail "the source is too small: $(du -sm "$S")"
    new_conf main 2
    source_files tree "$S"
    dr 0 init --yes-saved
}

# resident LIST: how many pages of these files are in the page cache.
resident() {
    xargs -d '\n' -a "$1" fincore --raw --noheadings --output PAGES >"$W/pages" \
        || fail "fincore: $(cat "$W/pages")"
    awk '{ n += $1 } END { print n + 0 }' "$W/pages"
}

# pages LIST: how many pages these files have.
pages() {
    xargs -d '\n' -a "$1" stat -c %s \
        | awk -v page="$(getconf PAGESIZE)" '{ n += int(($1 + page - 1) / page) } END { print n }'
}

# at_most COUNT PERCENT OF WHAT
at_most() {
    [ $((100 * $1)) -le $(($2 * $3)) ] || fail "$1 of $3 pages are cached: $4"
}

at_least() {
    [ $((100 * $1)) -ge $(($2 * $3)) ] || fail "only $1 of $3 pages are cached: $4"
}

# Throws all files out, and reads those again that are to be warm, without the kernel
# reading on. What is just being written to the disk stays for a while.
set_cache() {
    find "$S" -type f >"$W/list"
    for _ in $(seq 50); do
        sync -f "$S"
        /usr/bin/python3 - "$W/list" <<'PY' || fail "the files cannot be thrown out"
import os, sys
for name in open(sys.argv[1]).read().splitlines():
    fd = os.open(name, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)
PY
        [ "$(resident "$W/list")" -eq 0 ] && break
        sleep .1
    done
    [ "$(resident "$W/list")" -eq 0 ] || fail "the files do not leave the page cache"
    xargs -d '\n' -a "$W/warm" cat >/dev/null
    /usr/bin/python3 - "$S/x-half" <<'PY' || fail "the half cannot be read"
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
os.pread(fd, 10000000, 0)
PY
    warm=$(resident "$W/warm") || exit 99
    at_least "$warm" 95 "$(pages "$W/warm")" "before it began" # the host may lack memory
    half=$(resident "$W/half")
    [ $((2 * half)) -lt $(($(pages "$W/half") + 1000)) ] || fail "more is warm: $half pages"
}

# check_cache [PERCENT]: of what was cold so much may be there.
check_cache() {
    local warm_now cold half_now
    warm_now=$(resident "$W/warm") || exit 99
    cold=$(resident "$W/cold") || exit 99
    half_now=$(resident "$W/half") || exit 99
    [ -z "${TIMES:-}" ] || echo "# $CASE: warm $warm_now of $warm," \
        "cold $cold of $(pages "$W/cold"), half $half_now of $half"
    at_least "$warm_now" 95 "$warm" "what was warm"
    at_most "$cold" "${1:-5}" "$(pages "$W/cold")" "what was cold"
    at_least "$half_now" 95 "$half" "the half that was warm"
    at_most "$half_now" 105 "$half" "the half that was cold"
}

# What a backup wrote to its targets is no use to the host.
check_packs() {
    find "$R"/t? -type f -size +1M >"$W/packs"
    [ "$(pages "$W/packs")" -gt 100000 ] || fail "there are no packs"
    at_most "$(resident "$W/packs")" 5 "$(pages "$W/packs")" "packs"
}

first() {
    set_cache
    dr 0 backup
    check_cache
    check_packs
}

unchanged() {
    set_cache
    dr 0 backup
    check_cache
}

# All is read, and nothing is sent.
touched() {
    find "$S" -type f -exec touch {} +
    set_cache
    dr 0 --json backup
    check_cache
    [ "$(json 'd["sources"][0]["kept"] < 100')" = True ] || fail "not all was read: $(cat "$OUT")"
}

# Of two files one has changed: the others are passed over, also by what reads ahead.
mixed() {
    awk 'NR % 3 == 0' "$W/all" | xargs -d '\n' touch
    set_cache
    dr 0 backup
    check_cache
}

stopped() {
    find "$S" -type f -exec touch {} +
    set_cache
    dr_start backup
    sleep .5
    live "$pid" || fail "it ended too early"
    kill -TERM "$pid"
    dr_wait
    [ "$got" -ne 0 ] || fail "it was not stopped"
    check_cache 15 # some spans that the disk is just fetching may come late
}

try "a source, half of it in the page cache" make_source || finish
try "a first backup leaves the page cache as it was" first
try "an unchanged backup does" unchanged
try "a backup that reads all again does" touched
try "a backup that reads some does" mixed
try "a backup that is stopped does" stopped
finish
