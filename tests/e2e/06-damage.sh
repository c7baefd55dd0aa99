#!/bin/bash
# Each stored object of a small repository is damaged in turn. On one of three
# targets: the restore is exact and says so, and verify --heal mends it. On all
# of them: a sensible status, the damaged files named, no wrong byte under a
# final name. In turn one kind of damage for each object; all four with
# DRTOOL_LONG.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

SEED=${SEED:-$$}
RANDOM=$SEED
S=$W/src
KINDS=(flip cut delete swap)
use damage

# Four snapshots of two sources: some 40 objects.
prepare() {
    local i
    mkdir "$S" "$W/other"
    random_tree "$S" 40 60000
    head -c 3000000 /dev/urandom >"$S/big"
    head -c 400000 /dev/urandom >"$W/other/file"
    new_conf damage 3
    source_files tree "$S"
    source_files other "$W/other"
    dr 0 init --yes-saved
    for i in 1 2 3 4; do
        head -c 300000 /dev/urandom >"$S/new-$i"
        dr 0 backup
    done
    dr 0 key add --role reader --key-file "$R/reader"
    (cd "$R/t1" && find . -type f | sed 's|^\./||' | sort) >"$W/objects"
    [ "$(wc -l <"$W/objects")" -ge 35 ] || fail "only $(wc -l <"$W/objects") objects"
    cp -a "$R" "$W/whole"
}

# harm KIND FILE: SWAP is the object that it is exchanged with.
harm() {
    local size
    size=$(stat -c %s "$2")
    case $1 in
    flip)
        /usr/bin/python3 - "$2" $((AT % size)) <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    c = f.read(1)[0] ^ 0x10
    f.seek(int(sys.argv[2]))
    f.write(bytes([c]))
PY
        ;;
    cut) truncate -s $((AT % size)) "$2" ;;
    delete) rm "$2" ;;
    swap)
        cp "$2" "$W/swap"
        cp "$SWAP" "$2"
        cp "$W/swap" "$SWAP"
        ;;
    esac
}

# choose OBJECT: where to damage it, and with what it is swapped: something else
# of its own kind if there is, since that is harder to notice.
choose() {
    AT=$((RANDOM * 32768 + RANDOM))
    OTHER=$(grep -vxF "$1" "$W/objects" | grep "^${1%%/*}/" | shuf -n 1 --random-source=<(yes "$AT"))
    [ -n "$OTHER" ] || OTHER=$(grep -vxF "$1" "$W/objects" | shuf -n 1 --random-source=<(yes "$AT"))
}

reset() {
    rm -rf "$R"
    cp -a "$W/whole" "$R"
}

# on TARGET OBJECT: the file of that object. The name of a record of t1 is another
# one elsewhere, but for its host and number.
on() {
    if [[ $2 == done/* && ! -e $R/$1/$2 ]]; then
        echo "$R/$1/${2%-*}"-*
    else
        echo "$R/$1/$2"
    fi
}

sensible() {
    [ "$got" -lt 124 ] || fail "$1: drtool ended with $got: $(head -c 300 "$ERR")"
}

# Exact, whether this host remembers the repository or has nothing but the key.
exact_restores() {
    local memory
    for memory in yes no; do
        [ "$memory" = yes ] || rm -rf "$R/state"
        rm -rf "$W/back"
        dr_any restore tree --to "$W/back"
        [ "$got" -eq 0 ] || fail "restore (memory: $memory) ended with $got, not 0: $(head -c 600 "$ERR")"
        same "$S" "$W/back$S"
    done
}

one_target() {
    local object=$1 kind=$2
    reset
    SWAP=$R/t1/$OTHER
    harm "$kind" "$R/t1/$object"
    exact_restores
    if [[ $object == pack/* && $kind =~ delete|swap ]] && needed "$object"; then
        says 'target t1 .*(wrong bytes|no or wrong)'
    fi
    reset
    SWAP=$R/t1/$OTHER
    harm "$kind" "$R/t1/$object"
    dr_any verify --level 3
    sensible "verify"
    [ "$got" -ne 0 ] || fail "verify --level 3 found nothing"
    dr 0 verify --level 3 --heal
    dr 0 verify --level 3
    # byte for byte, but for keys/ and drt.repo of each target
    [[ $object != pack/* ]] || cmp -s "$W/whole/t1/$object" "$R/t1/$object" \
        || fail "the pack was not put back"
}

# Is the pack read for the newest snapshot of tree? Without it nothing is left.
needed() {
    grep -qxF "$1" "$W/needed"
}

# The files that a restore needs each pack for: found by taking it away.
find_needed() {
    local object
    : >"$W/needed"
    while read -r object; do
        [[ $object == pack/* ]] || continue
        reset
        rm -rf "$R"/t[123]/"$object" "$R/state"
        rm -rf "$W/back"
        dr_any restore tree --to "$W/back"
        sensible "restore without $object"
        [ "$got" -eq 0 ] || echo "$object" >>"$W/needed"
    done <"$W/objects"
    [ "$(wc -l <"$W/needed")" -ge 3 ] || fail "only $(wc -l <"$W/needed") packs are needed"
}

# What is missing from the copy must have been named in $OUT (JSON).
all_named() {
    local name
    while IFS= read -r name; do
        [ -e "$W/back$S/$name" ] || grep -qF "\"${S#/}/$name\"" "$OUT" \
            || fail "$name is missing and was not named: $(head -c 400 "$ERR")"
    done < <(cd "$S" && find . -type f -printf '%P\n')
}

# Exact, since the object was not needed; or an older snapshot was the newest that
# can be believed, and it was said which is not.
whole_or_warned() {
    local diff snap
    diff=$(rsync -aHAX --checksum --dry-run --itemize-changes --delete "$S/" "$W/back$S/" 2>&1)
    [ -z "$diff" ] && return
    [[ $1 == @(done|snap)/* ]] || fail "status 0, but: $(head -n 5 <<<"$diff")"
    snap=${1#*/}
    snap=$(basename "$(echo "$W/whole/t1/snap/${snap%-*}"-*)") # its number and its id
    grep -qE "${snap%-*}|rolled back|tree, ${snap:11:12} of .* is complete on no target" "$ERR" \
        || fail "an older snapshot was restored without a word: $(head -c 300 "$ERR")"
}

all_targets() {
    local object=$1 kind=$2 t memory
    for memory in yes no; do
        reset
        for t in t1 t2 t3; do
            SWAP=$(on "$t" "$OTHER")
            harm "$kind" "$(on "$t" "$object")"
        done
        [ "$memory" = yes ] || rm -rf "$R/state"
        rm -rf "$W/back"
        dr_any --json restore tree --to "$W/back"
        right_so_far "$S" "$W/back$S"
        case $got in
        0) whole_or_warned "$object" ;;
        3) fail "damage was taken for files that could not be set" ;;
        6)
            json 'd["exit"]' >/dev/null
            [ ! -d "$W/back$S" ] || all_named
            ;;
        # nothing to restore is left, forged or older than what was seen
        1 | 8 | 11) [ "$(find "$W/back" -type f 2>/dev/null | wc -l)" -eq 0 ] \
            || fail "ended with $got although files were restored" ;;
        7) [[ $object == keys/* ]] || fail "credentials are blamed: $(head -c 400 "$ERR")" ;;
        *) fail "restore (memory: $memory) ended with $got: $(head -c 400 "$ERR")" ;;
        esac
        [[ $object != pack/* || $kind != delete || $memory = yes ]] || [ "$got" -eq 6 ] \
            || ! needed "$object" || fail "a missing pack: ended with $got, not 6: $(head -c 400 "$ERR")"
        # what is there can still be backed up, or a clear sentence says why not
        dr_any backup tree
        sensible backup
        dr_any verify --level 3
        sensible verify
    done
}

# The newest snapshot of tree counts nowhere any more: the one before is restored,
# and it is said which one was left.
no_record() {
    local id snap
    reset
    dr 0 --json snapshots tree
    id=$(json 'd["snapshots"][-1]["id"]')
    snap=$(cd "$R/t1/snap" && echo */*-"$id")
    rm "$R"/t[123]/done/"${snap%-*}"-*
    rm -rf "$W/back"
    dr 0 restore tree --to "$W/back"
    whole_or_warned "snap/$snap"
    says "a newer snapshot of tree, ${id:0:12} of "
}

# A snapshot that was complete and is nowhere is no thing to be silent about.
lost_snapshot() {
    local id snap level
    reset
    dr 0 --json snapshots tree
    id=$(json 'd["snapshots"][-1]["id"]')
    snap=$(cd "$R/t1/snap" && echo */*-"$id")
    rm "$R"/t[123]/snap/"$snap"
    for level in 0 2; do
        dr 6 --json verify --level $level
        [ "$(json '[t["missing"] for t in d["targets"]] + [d["unhealed"]]')" = "[1, 1, 1, 3]" ] \
            || fail "$(cat "$OUT")"
    done
    says "snapshot ${id:0:12} of host $(hostname) was complete, and its object is on no target"
    dr 6 verify --level 2 --heal
    dr 6 --json snapshots
    [ "$(json 'd["lost"][0]["id"]')" = "$id" ] || fail "$(cat "$OUT")"
    [ "$(json 'd["lost"][0]["targets"], len(d["snapshots"])')" = "(['t1', 't2', 't3'], 7)" ] \
        || fail "$(cat "$OUT")"
    dr 6 status
    # one that is still somewhere is not lost
    cp -a "$W/whole/t2/snap/$snap" "$R/t2/snap/$snap"
    dr 6 verify
    dr 0 verify --heal
    dr 0 --json snapshots
    [ "$(json 'd["lost"]')" = "[]" ] || fail "$(cat "$OUT")"
}

# each FUNCTION: for all objects, with one kind of damage or with all.
each() {
    local object i=$((RANDOM % 4)) kind bad=0 n=0
    while read -r object; do
        choose "$object"
        for kind in "${KINDS[@]}"; do
            n=$((n + 1))
            if [ -z "$LONG" ] && [ "$kind" != "${KINDS[i % 4]}" ]; then
                continue
            fi
            CASE="$kind of $object at $AT, or with $OTHER, $1 (SEED=$SEED)"
            ("$@" "$object" "$kind") || bad=$((bad + 1))
        done
        i=$((i + 1))
    done <"$W/objects"
    [ "$bad" -eq 0 ] || exit 99
    [ "$n" -gt 100 ] || fail "only $n damages"
}

# What no other record points to is missed nevertheless, and comes back by verify,
# not in silence. A host without memory takes the records from who has them whole.
records_of_one_target() {
    local kind memory object
    for kind in delete flip; do
        for memory in yes no; do
            CASE="$kind of configuration records (memory: $memory)"
            reset
            AT=100
            for object in "$R"/t1/conf/*; do
                harm "$kind" "$object"
            done
            [ "$memory" = yes ] || rm -rf "$R/state"
            dr 6 --json verify
            json '[x["object"] for x in d["damage"] if x["target"] == "t1"]' >"$W/named"
            says "'conf/0" "$W/named"
            dr 0 verify --heal
            says 't1: conf/0.* was (missing|damaged) and is replaced'
            for object in "$W"/whole/t1/conf/*; do
                cmp -s "$object" "$R/t1/conf/$(basename "$object")" || fail "$object is not back"
            done
            dr 0 verify --level 3
        done
    done
}

# damaged_header KIND: the header of t1, and all its configuration records with it.
damaged_header() {
    local object
    reset
    for object in drt.repo $(cd "$R/t1" && echo conf/*); do
        AT=$((RANDOM * 32768 + RANDOM))
        SWAP=$R/t1/$(grep ^keys/ "$W/objects" | shuf -n 1)
        harm "$1" "$R/t1/$object"
    done
}

# header_and_records_damaged KIND MEMORY
header_and_records_damaged() {
    damaged_header "$1"
    [ "$2" != "done" ] || rm -rf "$R/state"
    if [ "$2" = state ]; then # the records show that it is ours then
        rm -r "$R/t1/done"
        cp "$W"/whole/t1/conf/* "$R/t1/conf/"
    fi
    dr 6 --json verify
    json '[x["object"] for x in d["damage"] if x["target"] == "t1"]' >"$W/named"
    says "'drt.repo'" "$W/named"
    [ "$2" = state ] || says "'conf/0" "$W/named"
    cp "$W/whole/reader" "$R/key"
    if [ "$2" != "done" ]; then
        dr 6 verify --heal
    else # a host that nobody knows may not write at all
        dr 7 verify --heal
    fi
    says 'key of role admin'
    ! cmp -s "$R/t1/drt.repo" "$W/whole/t1/drt.repo" || fail "it is whole"
    cp "$W/whole/key" "$R/key"
    dr 0 verify --heal
    says 't1: drt.repo was (damaged|missing) and is replaced'
    [ "$2" = state ] || says 't1: conf/0.* was (damaged|missing) and is replaced'
    dr 0 verify --level 3
    dr 0 backup
    rm -rf "$R/t2" "$R/t3" "$R/state"
    back tree "$S"
}

# done/ on the target and the memory of this host say each for itself whose place it
# was. Without the root key the damage is named, and what to do.
header_and_records() {
    local kind memory i=$((RANDOM % 3)) memories=(both state "done")
    for kind in "${KINDS[@]}"; do
        i=$((i + 1))
        for memory in "${memories[@]}"; do
            [ -n "$LONG" ] || [ "$memory" = "${memories[i % 3]}" ] || continue
            CASE="$kind of header and records, known by $memory (SEED=$SEED)"
            header_and_records_damaged "$kind" "$memory"
        done
    done
}

# A place without a header, or with a bad one, and nothing of ours: it stays as it
# is. One that was another target of ours does, too.
no_header_for_others() {
    reset
    rm -r "$R"/t1
    mkdir "$R/t1"
    echo garbage >"$R/t1/drt.repo"
    dr 4 verify --heal
    [ "$(cat "$R/t1/drt.repo")" = garbage ] || fail "a header of somebody was replaced"
    rm "$R/t1/drt.repo"
    dr 4 verify --heal
    [ -z "$(ls -A "$R/t1")" ] || fail "an empty place was filled"
    reset
    rm -r "$R/t1"
    cp -a "$R/t2" "$R/t1"
    AT=70
    harm flip "$R/t1/drt.repo"
    cp "$R/t1/drt.repo" "$W/bad"
    dr_any verify --heal
    [ "$got" -ne 0 ] || fail "a copy of another target was taken for it"
    cmp -s "$W/bad" "$R/t1/drt.repo" || fail "the header of another target was replaced"
}

# The same pack flipped at a different place on every target: between them they
# have every byte, so nothing is lost.
different_places() {
    local object t i=0
    object=$(grep ^pack/ "$W/objects" | while read -r o; do
        echo "$(stat -c %s "$W/whole/t1/$o") $o"
    done | sort -n | tail -n 1 | cut -d ' ' -f 2)
    reset
    for t in t1 t2 t3; do
        AT=$((500000 + 700000 * i))
        i=$((i + 1))
        harm flip "$R/$t/$object"
    done
    exact_restores
}

# Targets t1 and t2 are damaged everywhere, t3 is whole.
two_of_three() {
    local object
    reset
    while read -r object; do
        AT=$((RANDOM * 32768 + RANDOM))
        harm flip "$R/t1/$object"
        harm cut "$(on t2 "$object")"
    done <"$W/objects"
    exact_restores
    reset
    while read -r object; do
        [[ $object == pack/* || $object == snap/* ]] || continue
        AT=$((RANDOM * 32768 + RANDOM))
        harm flip "$R/t1/$object"
        harm cut "$R/t2/$object"
    done <"$W/objects"
    dr 0 verify --level 3 --heal
    dr 0 verify --level 3
    mv "$R/t3" "$R/away"
    back tree "$S"
}

# damaged_index FILE KIND COMMAND
damaged_index() {
    local new
    reset
    rm -rf "$W/back"
    if [ "$2" = garbage ]; then
        head -c "$(stat -c %s "$1")" /dev/urandom >"$W/garbage"
        cat "$W/garbage" >"$1"
    else
        AT=$((RANDOM * 32768 + RANDOM))
        harm "$2" "$1"
    fi
    case $3 in
    restore) dr 0 restore tree --to "$W/back" ;;
    verify) dr 0 verify --level 3 ;;
    backup) dr 0 backup ;;
    esac
    says 'local index is made anew'
    case $3 in
    restore) same "$S" "$W/back$S" ;;
    backup)
        new=$(new_bytes "$R/t1/pack" "$W/objects")
        [ "$new" -lt 100000 ] || fail "$new bytes are stored again"
        dr 0 verify --level 3
        ;;
    esac
    dr 0 ls tree # the second one finds nothing to make anew
    dr 0 ls tree
    ! grep -q 'local index' "$ERR" || fail "it is not made anew for good"
    [ "$3" != backup ] || rm -rf "$R/state"
    back tree "$S"
}

# The index that a host keeps is only an accelerator: whatever happens to its files,
# each command does what it would have done, says a line about it, and what it
# stores is whole.
local_index() {
    local file kind command i=0 commands=(restore verify backup)
    for file in "$W"/whole/state/damage/index/{packs,keys,run-*}; do
        i=$((i + 1))
        for kind in flip cut garbage; do
            i=$((i + 1))
            for command in "${commands[@]}"; do
                [ -n "$LONG" ] || [ "$command" = "${commands[i % 3]}" ] || continue
                CASE="$kind of $(basename "$file"), then $command (SEED=$SEED)"
                damaged_index "$R/state/damage/index/$(basename "$file")" "$kind" "$command"
            done
        done
    done
    [ "$i" -ge 12 ] || fail "only $i damages"
}

try "a repository of some 40 objects" prepare || finish
try "each file of the local index damaged" local_index
try "the packs that a restore needs" find_needed
try "each object damaged on one target" each one_target
try "each object damaged on all targets" each all_targets
try "the configuration records of one target" records_of_one_target
try "header and records of a target damaged together" header_and_records
try "a header is mended only where it is ours" no_header_for_others
try "a commit record gone from all targets" no_record
try "a snapshot gone from all targets" lost_snapshot
try "one pack damaged at other places on each target" different_places
try "two of three targets damaged everywhere" two_of_three
finish
