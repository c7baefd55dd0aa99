#!/bin/bash
# kill -9 at random moments of a backup and of a restore: 5 of each, 50 with
# DRTOOL_LONG. Moments are drawn evenly over the measured time of a whole run;
# SEED repeats them. And SIGTERM at moments of a backup.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

ROUNDS=$((LONG ? 50 : 5))
SEED=${SEED:-$$}
RANDOM=$SEED
S=$W/src
use kill

# Two snapshots, the source of a third, and how long and how much that one takes
# when nothing disturbs it. Every round begins with this repository, in its place.
prepare() {
    mkdir "$S"
    random_tree "$S" 300 60000
    head -c 20000000 /dev/urandom >"$S/first"
    new_conf kill 3
    source_files tree "$S"
    dr 0 init --yes-saved
    dr 0 backup
    cp -a "$S" "$W/src.1"
    echo changed >>"$S/d0/e0/f0"
    random_tree "$S/second" 50 60000
    dr 0 backup
    cp -a "$S" "$W/src.2"
    dr 0 --json snapshots
    json 'd["snapshots"][0]["id"] + " " + d["snapshots"][1]["id"]' >"$W/ids"
    random_tree "$S/third" 1500 40000
    head -c 90000000 /dev/urandom >"$S/third/large"
    head -c 30000000 /dev/urandom >"$S/third/last"
    rm "$S/d1/e1/f1"
    sleep 2.5
    cp -a "$R" "$W/clean"
    timed backup
    stored "$R" >"$W/stored"
    dr 0 restore tree --to "$W/whole"
    same "$S" "$W/whole$S"
    cp -a "$R" "$W/full"
}

# timed ARG...: the milliseconds that drtool takes are in $W/ms.ARG.
timed() {
    local begun=${EPOCHREALTIME/./}
    dr 0 "$@"
    echo $(((${EPOCHREALTIME/./} - begun) / 1000)) >"$W/ms.$1"
}

# The bytes of all packs on each target.
stored() {
    local t
    for t in t1 t2 t3; do
        find "$1/$t/pack" -type f ! -name '.*' -printf '%s\n' | awk '{ n += $1 } END { print n }'
    done
}

# The packs that have arrived, as files: one that is put again is another file. The time
# of its status changes when the spool gives up its own name of that file.
arrived() {
    local t
    for t in t1 t2 t3; do
        find "$R/$t/pack" -type f ! -name '.*' -printf "$t %P %i %T@\n"
    done | sort
}

reset() {
    rm -rf "$R"
    cp -a "$W/$1" "$R"
}

# kill_after MS ARG...: true when it was killed before it ended.
kill_after() {
    local ms=$1
    shift
    dr_start "$@"
    sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
    kill -KILL "$pid" 2>/dev/null
    dr_wait
    [ "$got" -eq 137 ]
}

# Prints a random moment of a run of `drtool $1`, in milliseconds.
moment() {
    local ms
    ms=$(cat "$W/ms.$1")
    echo $(((RANDOM * 32768 + RANDOM) % (ms + 1)))
}

earlier_ones() {
    local first second
    read -r first second <"$W/ids"
    rm -rf "$W/back"
    dr 0 restore "$first" --to "$W/back"
    same "$W/src.1" "$W/back$S"
    rm -rf "$W/back"
    dr 0 restore "$second" --to "$W/back"
    same "$W/src.2" "$W/back$S"
    rm -rf "$W/back"
}

no_more_than_clean() {
    local t clean mine
    stored "$R" >"$W/stored.now"
    while read -r t clean mine; do
        # what a pack is padded with, and metadata that was cut differently
        [ "$mine" -lt $((clean + 4000000)) ] \
            || fail "$t holds $mine bytes of packs, $clean after an undisturbed run: sent again"
    done < <(paste <(printf 't1\nt2\nt3\n') "$W/stored" "$W/stored.now")
}

killed_backup() {
    local ms=$1 gone
    reset clean
    if kill_after "$ms" backup; then
        touch "$W/killed"
    fi
    dr 0 verify
    earlier_ones
    arrived >"$W/arrived"
    dr 0 backup
    arrived >"$W/arrived.now"
    gone=$(comm -23 "$W/arrived" "$W/arrived.now" | head -n 2)
    [ -z "$gone" ] || fail "had arrived, and was sent again or lost: $gone"
    no_more_than_clean
    dr 0 restore tree --to "$W/back"
    same "$S" "$W/back$S"
    rm -rf "$W/back"
    earlier_ones
    dr 0 verify --level 3
    dr 0 --json snapshots
    [ "$(json 'all(s["targets"] == ["t1", "t2", "t3"] for s in d["snapshots"])')" = True ] \
        || fail "not on all targets: $(cat "$OUT")"
    [ -z "$(find "$R/state" -path '*spool*' -type f)" ] \
        || fail "was left in the spool: $(find "$R/state" -path '*spool*' -type f | head -n 3)"
}

backups() {
    local i ms
    rm -f "$W/killed"
    for ((i = 1; i <= ROUNDS; i++)); do
        ms=$(moment backup)
        CASE="backup killed after $ms ms of $(cat "$W/ms.backup") (round $i, SEED=$SEED)"
        killed_backup "$ms"
    done
    [ -e "$W/killed" ] || fail "none was killed before it ended"
}

# Killed again and again, each time a little later: it must come to an end.
stubborn() {
    local i ms
    reset clean
    for ((i = 1; i <= 4; i++)); do
        kill_after $(($(cat "$W/ms.backup") * (20 + i * 15) / 100)) backup
    done
    dr 0 verify
    earlier_ones
    dr 0 backup
    no_more_than_clean
    dr 0 verify --level 3
    dr 0 restore tree --to "$W/back"
    same "$S" "$W/back$S"
    rm -rf "$W/back"
}

# SIGTERM ends a backup in order, whenever it comes; what was done is kept.
stopped_backups() {
    local i ms whole any=
    whole=$(cat "$W/ms.backup")
    for ((i = 1; i <= 2 * ROUNDS; i++)); do
        ms=$((20 + whole * i / (2 * ROUNDS + 1)))
        CASE="backup stopped after $ms ms of $whole"
        reset clean
        dr_start backup
        sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
        kill -TERM "$pid" 2>/dev/null
        dr_wait
        [ "$got" -eq 0 ] && continue # it was through
        [ "$got" -eq 130 ] || fail "ended with $got, not 130: $(cat "$ERR")"
        any=x
        dr 0 backup
        back tree "$S"
    done
    [ -n "$any" ] || fail "none was stopped before it ended"
}

killed_restore() {
    rm -rf "$W/part"
    if kill_after "$1" restore tree --to "$W/part"; then
        touch "$W/killed"
    fi
    right_so_far "$S" "$W/part$S"
    dr 0 restore tree --to "$W/part"
    same "$S" "$W/part$S"
}

restores() {
    local i ms
    reset full
    rm -f "$W/killed"
    rm -rf "$W/part"
    timed restore tree --to "$W/part"
    for ((i = 1; i <= ROUNDS; i++)); do
        ms=$(moment restore)
        CASE="restore killed after $ms ms of $(cat "$W/ms.restore") (round $i, SEED=$SEED)"
        killed_restore "$ms"
    done
    [ -e "$W/killed" ] || fail "none was killed before it ended"
}

# While a restore runs, what is under a final name is right at any moment.
watched_restore() {
    rm -rf "$W/part"
    reset full
    dr_start restore tree --to "$W/part"
    for _ in $(seq 30); do
        kill -STOP "$pid" 2>/dev/null || break
        right_so_far "$S" "$W/part$S"
        kill -CONT "$pid" 2>/dev/null
        sleep .03
    done
    dr_wait
    [ "$got" -eq 0 ] || fail "restore ended with $got, not 0: $(cat "$ERR")"
    same "$S" "$W/part$S"
}

try "an undisturbed run to compare with" prepare || finish
try "kill -9 at $ROUNDS moments of a backup" backups
try "SIGTERM at $((2 * ROUNDS)) moments of a backup" stopped_backups
try "a backup killed four times in a row" stubborn
try "kill -9 at $ROUNDS moments of a restore" restores
try "nothing wrong under a final name at any moment" watched_restore
finish
