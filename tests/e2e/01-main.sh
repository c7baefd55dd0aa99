#!/bin/bash
# The main job on three folders: backup, an unchanged backup, restore with
# targets destroyed, the forms of SNAPSHOT, tags, sources of both kinds and
# what is wrong with them.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

S=$W/src
use main

init() {
    mkdir -p "$S"
    random_tree "$S" 400 50000
    head -c 12000000 /dev/urandom >"$S/big"
    yes 'the same line over and over' | head -c 3000000 >"$S/text"
    cp "$S/big" "$S/d1/copy"
    ln "$S/big" "$S/link"
    ln -s big "$S/symlink"
    setfattr -n user.note -v "a note" "$S/text"
    setfacl -m u:nobody:r "$S/big"
    cp -a "$S" "$W/first" # as the first snapshot has it
    new_conf main 3
    source_files tree "$S"
    source_command notes '/bin/echo, "line one"' 'as: notes.txt'
    dr 0 init --yes-saved
    says 'Recovery code: ([0-9A-Z]{4}-){8}[0-9A-Z]{4}' "$OUT"
    [ "$(stat -c %a "$R/key")" = 600 ] || fail "the key file is not 0600"
    dr_any init --yes-saved
    [ "$got" -ne 0 ] || fail "a second init overwrote the repository"
    sleep 3 # what is younger than 2 s at a backup is read again at the next
}

backup() {
    dr 0 --json backup tree --tag first --tag old
    json '[d["exit"], [t["committed"] for t in d["sources"][0]["targets"]]]' >"$W/j"
    says '^\[0, \[True, True, True\]\]$' "$W/j"
    local t
    for t in t2 t3; do
        diff <(cd "$R/t1" && find pack index snap -type f | sort) \
            <(cd "$R/$t" && find pack index snap -type f | sort) >"$W/j" \
            || fail "t1 and $t hold different objects: $(head -n 3 "$W/j")"
    done
    # the copy and the link cost nothing
    local stored
    stored=$(du -sb "$R/t1/pack" | cut -f 1)
    [ "$stored" -lt 26000000 ] || fail "$stored bytes are stored of some 25 MB"
    back tree "$S"
    dr 0 verify --level 3
}

# opened_files: the regular files below $S that the traced program opened.
opened_files() {
    sed -nE 's/.*(openat2?|open)\(.* = [0-9]+<([^>]*)>$/\2/p' "$W/strace" | sort -u \
        | grep -F "$S/" | while IFS= read -r f; do [ -f "$f" ] && echo "$f"; done
}

traced_backup() {
    timeout 120 strace -f -y -qq -e trace=openat,openat2,open,read,pread64 \
        -o "$W/strace" "$DRTOOL" -c "$CONF" --json backup tree >"$OUT" 2>"$ERR" \
        || fail "traced backup ended with $?: $(cat "$ERR")"
    grep -q 'openat(.* = [0-9]*<' "$W/strace" || fail "strace showed no open at all"
}

unchanged() {
    local t sent opened
    touch "$W/mark"
    sleep .02
    traced_backup
    for t in t1 t2 t3; do
        sent=$(new_bytes "$R/$t" "$W/mark")
        [ "$sent" -gt 0 ] || fail "$t has no new object"
        [ "$sent" -lt 65536 ] || fail "$sent bytes were sent to $t"
    done
    opened=$(opened_files)
    [ -z "$opened" ] || fail "was opened: $opened"
    grep -E '(read|pread64)\([0-9]+<' "$W/strace" | grep -F "<$S/" >"$W/j" \
        && fail "was read: $(head -n 2 "$W/j")"
    back tree "$S"
}

one_changed() {
    sleep 1.1
    echo more >>"$S/text"
    sleep 3
    traced_backup
    [ "$(opened_files)" = "$S/text" ] || fail "opened were: $(opened_files | head -n 5)"
    back tree "$S"
}

renamed_folder() {
    local sent
    mv "$S/d1" "$S/d1-moved"
    sleep 3
    touch "$W/mark"
    sleep .02
    dr 0 backup tree
    sent=$(new_bytes "$R/t1" "$W/mark")
    [ "$sent" -lt 2000000 ] || fail "$sent bytes were sent after a rename"
    back tree "$S"
}

one_destroyed() {
    mv "$R/t1" "$R/away"
    back tree "$S"
    says 't1' # a warning names it
    mkdir "$R/t1" # an unmounted disk: the folder is there and empty
    back tree "$S"
    rmdir "$R/t1"
}

two_destroyed() {
    mv "$R/t2" "$R/away2"
    back tree "$S"
    dr_any verify --level 3
    [ "$got" -eq 4 ] || fail "verify with two targets away ended with $got, not 4"
    mv "$R/t3" "$R/away3"
    dr 8 restore tree --to "$W/none"
    [ ! -e "$W/none/$S" ] || fail "something was restored from nowhere"
    mv "$R/away" "$R/t1"
    mv "$R/away2" "$R/t2"
    mv "$R/away3" "$R/t3"
    back tree "$S"
}

# Each target alone, on a machine that has nothing but the key.
each_alone() {
    local t home=$CONF
    for t in t1 t2 t3; do
        CONF=$W/bare.yaml
        sed -e "/name: t[123]/{/name: $t,/!d}" -e "s|state:.*|state: $W/bare-$t|" \
            "$home" >"$CONF"
        back tree "$S"
        rm -rf "$W/bare-$t"
    done
}

snapshot_forms() {
    local first host time form i=0
    dr 0 --json snapshots
    first=$(json 'd["snapshots"][0]["id"]') || exit 99
    host=$(json 'd["snapshots"][0]["host"]') || exit 99
    # a second after it began, as local time
    time=$(json '__import__("datetime").datetime.fromisoformat(
        d["snapshots"][0]["started"].replace("Z", "+00:00")).timestamp()') || exit 99
    time=$(date -d "@$((${time%.*} + 1))" +%FT%T)
    for form in "${first:0:6}" "$first" "tree@$time" "$host:tree@$time"; do
        rm -rf "$W/back"
        dr 0 restore "$form" --to "$W/back"
        same "$W/first" "$W/back$S"
        i=$((i + 1))
    done
    [ "$i" -eq 4 ] || fail "only $i forms were tried"
    for form in tree tree@latest "$host:tree" "$host:tree@latest" \
        "tree@$(date -d '+1 minute' +%FT%R)"; do
        back "$form" "$S"
    done
    dr 1 restore tree@2001-01-01T00:00 --to "$W/none"
    dr 1 restore elsewhere:tree --to "$W/none"
    dr 1 restore no-such-source --to "$W/none"
    dr 1 restore ffffffffffff --to "$W/none"
    dr 2 restore tree@yesterdayish --to "$W/none"
    [ ! -e "$W/none" ] || fail "a restore of nothing made its folder"
}

some_paths() {
    rm -rf "$W/back"
    dr 0 restore tree "$S/d2/" --to "$W/back"
    same "$S/d2" "$W/back"
    rm -rf "$W/back"
    dr 0 restore tree "$S/big" "$S/d3" --to "$W/back"
    same "$S/d3" "$W/back$S/d3"
    cmp -s "$S/big" "$W/back$S/big" || fail "big is missing"
    [ ! -e "$W/back$S/text" ] || fail "too much was restored"
    dr 1 restore tree "$S/no-such-file" --to "$W/back"
}

over_existing() {
    rm -rf "$W/back"
    dr 0 restore tree --to "$W/back"
    echo wrong >>"$W/back$S/text"
    rm "$W/back$S/big"
    printf X | dd of="$W/back$S/d1-moved/copy" bs=1 seek=5000000 conv=notrunc status=none
    dr 0 restore tree --to "$W/back" --overwrite never
    cmp -s "$S/text" "$W/back$S/text" && fail "--overwrite never overwrote a file"
    dr 0 --json restore tree --to "$W/back"
    same "$S" "$W/back$S"
    [ "$(json 'd["reused_bytes"] > 5000000')" = True ] || fail "nothing was reused"
}

tags() {
    dr 0 --json snapshots --tag first --tag old
    [ "$(json '[sorted(s["tags"]) for s in d["snapshots"]]')" = "[['first', 'old']]" ] \
        || fail "$(cat "$OUT")"
    dr 0 --json snapshots --tag none
    [ "$(json 'd["snapshots"]')" = "[]" ] || fail "$(cat "$OUT")"
}

snapshots_json() {
    dr 0 --json snapshots tree
    [ "$(json 'd["schema"], d["exit"]')" = "('drtool.snapshots/1', 0)" ] || fail "$(cat "$OUT")"
    [ "$(json 'all(s["complete"] and s["targets"] == ["t1", "t2", "t3"]
        and s["source"] == "tree" and len(s["id"]) == 64 for s in d["snapshots"])')" = True ] \
        || fail "$(cat "$OUT")"
    [ "$(json 'len(d["snapshots"])')" -eq 4 ] || fail "not 4 snapshots: $(cat "$OUT")"
    dr 0 snapshots
    says "t1,t2,t3" "$OUT"
}

count() {
    dr 0 --json snapshots --all "$@"
    json 'len(d["snapshots"])'
}

command_source() {
    dr 0 backup notes
    rm -rf "$W/back"
    dr 0 restore notes --to "$W/back"
    [ "$(cat "$W/back/notes.txt")" = "line one" ] || fail "$(ls -R "$W/back")"
    local script before
    cat >"$W/dump" <<'DUMP'
#!/bin/sh
head -c 5000000 /dev/zero
exit 3
DUMP
    chmod +x "$W/dump"
    sed -i "s|argv: \[/bin/echo, \"line one\"\]|argv: [$W/dump]|" "$CONF"
    before=$(count notes) || exit 99
    dr 10 backup notes
    says "$W/dump|notes"
    [ "$(count notes)" = "$before" ] || fail "a command that failed made a snapshot"
    rm "$W/dump"
    dr 10 backup notes
    printf '#!/bin/sh\nkill -9 $$\n' >"$W/dump"
    chmod +x "$W/dump"
    dr 10 backup notes
    printf '#!/bin/sh\n' >"$W/dump" # no byte at all
    dr 10 backup notes
    [ "$(count notes)" = "$before" ] || fail "a command without output made a snapshot"
    sed -i 's|as: notes.txt|as: notes.txt, min-size: 100KiB|' "$CONF"
    printf '#!/bin/sh\nhead -c 100000 /dev/zero\n' >"$W/dump"
    dr 10 backup notes
    printf '#!/bin/sh\nhead -c 200000 /dev/zero\n' >"$W/dump"
    dr 10 backup notes # another program than last time
    says "$W/dump.*accept-changed-source"
    dr 0 backup notes --accept-changed-source
    script=$(stat -c %s "$W/dump")
    [ "$script" -gt 0 ] || fail "the command was changed"
}

missing_and_empty() {
    local before
    new_conf empty 3
    mkdir -p "$W/hollow"
    source_files hollow "$W/hollow"
    source_files gone "$W/not-there"
    echo '  - { name: may, allow-empty: true, files: { paths: ["'"$W/hollow"'"] } }' >>"$CONF"
    dr 0 init --yes-saved
    dr 10 backup hollow
    says 'hollow is empty'
    dr 10 backup gone
    says "$W/not-there"
    dr 10 backup hollow gone
    [ "$(count)" = 0 ] || fail "an empty source made a snapshot"
    dr 0 backup may
    # shrunk to under half
    seq 300 | sed "s|^|$W/hollow/|" | xargs touch
    echo content >"$W/hollow/1"
    dr 0 backup hollow
    find "$W/hollow" -name '*[2-9]*' -delete
    before=$(count hollow) || exit 99
    dr 10 backup hollow
    says 'shrunk'
    [ "$(count hollow)" = "$before" ] || fail "a shrunk source made a snapshot"
    dr 0 backup hollow --accept-changed-source
    # a bad source does not stop the others
    dr 10 backup gone hollow may
    [ "$(count hollow)" = $((before + 2)) ] || fail "hollow was not backed up beside gone"
}

excludes() {
    mkdir -p "$W/ex/keep" "$W/ex/cache" "$W/ex/deep/cache" "$W/ex/logs"
    touch "$W/ex/a.tmp" "$W/ex/keep/b.tmp" "$W/ex/keep/c" "$W/ex/cache/d" \
        "$W/ex/deep/cache/e" "$W/ex/logs/f.log" "$W/ex/logs/important.log"
    echo x >"$W/ex/keep/important.tmp"
    new_conf exclude 1
    source_files ex "$W/ex" 'exclude: ["*.tmp", "!important.*", "cache/", "/logs/*.log"]'
    dr 0 init --yes-saved
    dr 0 backup ex
    rm -rf "$W/back"
    dr 0 restore ex --to "$W/back"
    (cd "$W/back$W/ex" && find . -type f | sort) >"$W/j"
    diff - "$W/j" >"$W/diff" <<'FILES' || fail "$(cat "$W/diff")"
./keep/c
./keep/important.tmp
FILES
    dr 0 restore ex --to "$W/back2" --include '*.tmp'
    [ "$(cd "$W/back2" && find . -type f | wc -l)" -eq 1 ] || fail "--include restored more"
}

one_file_system() {
    mkdir -p "$W/ofs/inner"
    echo outer >"$W/ofs/file"
    mount_at "$W/ofs/inner" -t tmpfs -o size=1m tmpfs
    echo inner >"$W/ofs/inner/file"
    new_conf ofs 1
    source_files one "$W/ofs" 'one-file-system: true'
    source_files all "$W/ofs"
    dr 0 init --yes-saved
    dr 0 backup
    dr 0 restore one --to "$W/one"
    dr 0 restore all --to "$W/all"
    [ "$(cat "$W/one$W/ofs/file")" = outer ] || fail "the outer file is missing"
    [ -d "$W/one$W/ofs/inner" ] || fail "the inner folder is missing"
    [ ! -e "$W/one$W/ofs/inner/file" ] || fail "one-file-system went into another one"
    [ "$(cat "$W/all$W/ofs/inner/file")" = inner ] || fail "the inner file is missing"
}

# The file is gone between the listing of its folder and its turn: the program is
# held while it reads the one before.
vanished() {
    mkdir -p "$W/van"
    head -c 200000000 /dev/zero | tr '\0' x >"$W/van/a-big"
    echo going >"$W/van/z-going"
    echo staying >"$W/van/z-staying"
    new_conf van 1
    source_files van "$W/van"
    dr 0 init --yes-saved
    dr_start --json backup
    until find "/proc/$pid/fd" -lname "$W/van/a-big" 2>/dev/null | grep -q .; do
        live "$pid" || fail "it ended too early"
    done
    kill -STOP "$pid"
    rm "$W/van/z-going"
    kill -CONT "$pid"
    dr_wait
    [ "$got" -eq 3 ] || fail "backup ended with $got, not 3: $(cat "$ERR")"
    says 'z-going.*No such file'
    [ "$(json 'd["sources"][0]["issues"][0]["kind"]')" = vanished ] || fail "$(cat "$OUT")"
    dr 0 restore van --to "$W/van-back"
    same "$W/van" "$W/van-back$W/van" --omit-dir-times # of the folder it left
}

progress_told() {
    new_conf told 2
    source_files tree "$S"
    source_command zeros 'head, -c, 9000000, /dev/zero'
    dr 0 init --yes-saved
    dr 0 --json backup
    [ "$(wc -l <"$OUT")" -eq 1 ] || fail "not one line: $(cat "$OUT")"
    [ "$(json 'd["type"]')" = result ] || fail "$(cat "$OUT")"
    dr 0 --json --progress backup
    progress 'p["bytes_done"] == p["bytes_total"] == 9000000' backup tree zeros
    [ ! -s "$ERR" ] || fail "on standard error: $(cat "$ERR")"
    rm -rf "$W/back"
    dr 0 --json --progress restore tree --to "$W/back"
    progress 'p["bytes_done"] == last["bytes"] > 20000000 and p["files_done"] > 400' restore tree
    dr 0 --json --progress restore tree --to "$W/back" # all lies there
    progress 'p["bytes_done"] == p["bytes_total"] == last["bytes"]' restore tree
    dr 0 --json --progress verify --level 3
    progress 'p["bytes_done"] == sum(t["bytes_read"] for t in last["targets"])' verify
    dr 0 --json --progress verify
    progress 'p["files_done"] == sum(t["packs"] for t in last["targets"])' verify
    rm -rf "$R/t2/"*
    dr 0 --json --progress target add t2
    progress 'p["bytes_done"] == p["bytes_total"] == last["copied_bytes"]' 'target add'
    dr 0 --json --progress sync
    progress 'p["bytes_done"] == 0' sync
    dr 2 --json --progress backup no-such-source # it fails before it begins
    [ "$(json 'd["type"], d["exit"]')" = "('result', 2)" ] || fail "$(cat "$OUT")"
    dr 0 --json --progress snapshots
    [ "$(json 'd["type"]')" = result ] || fail "$(cat "$OUT")"
    dr 0 --progress backup tree
    [ ! -s "$OUT" ] || fail "on standard output: $(cat "$OUT")"
    grep -v '^drtool: backing up tree  ' "$ERR" >"$W/j" && fail "more: $(cat "$W/j")"
    says '^drtool: backing up tree  [0-9.]+ MiB of [0-9.]+ MiB  100%.* files  [0-9.]+m?s$'
}

# While the bytes come: a line a second, each there before the run ends.
# Rates are the most that goes, so a transfer takes at least so long.
# squeezed_with TARGETS LEVEL [OPTION...]: the bytes on a target of a new repository.
squeezed_with() {
    new_conf "squeezed-$2-$#" "$1"
    source_files words "$W/words"
    echo "compression: $2" >>"$CONF"
    dr 0 init --yes-saved
    dr 0 backup "${@:3}"
    du -sb "$R/t1/pack" | cut -f 1
}

# Words, of which a higher level makes less. What comes when 128 MiB wait for a slow line
# is squeezed more; on a busy machine some wait for a fast one, too.
squeezed() {
    local first free slow small i
    mkdir "$W/words"
    python3 - "$W/lines" <<'PY'
import random, sys
chance = random.Random(1)
words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9)))
         for _ in range(3000)]
with open(sys.argv[1], "wb") as f:
    for _ in range(200000):
        f.write(b" ".join(chance.choices(words, k=16)) + b"\n")
PY
    for i in {1..26}; do
        shuf --random-source=<(yes "$i") "$W/lines" >"$W/words/$i"
    done
    first=$(squeezed_with 1 1)
    free=$(squeezed_with 1 auto) # a single folder gets links: nothing ever waits
    slow=$(squeezed_with 2 auto --limit-upload 16MiB)
    small=$(squeezed_with 1 6)
    rm -r "$W/words" "$W/lines"
    [ "$((small * 100))" -lt "$((first * 96))" ] || fail "level 6 stores $small, 1 $first"
    [ "$((slow * 1000))" -lt "$((first * 995))" ] || fail "slow: $slow, level 1: $first"
    [ $((first - slow)) -gt $((2 * (first - free))) ] || fail "free: $free, slow: $slow"
}

gentle() {
    local begun
    new_conf gentle 2 # a single folder would get a link, and no bytes
    mkdir "$R/src"
    head -c 1500000 /dev/urandom >"$R/src/noise"
    source_command niceness nice
    source_files noise "$R/src"
    dr 0 init --yes-saved
    dr 0 --nice 7 backup niceness
    dr 0 restore niceness --to "$W/nice"
    [ "$(cat "$W/nice/stdout")" = 7 ] || fail "it ran at $(cat "$W/nice/stdout")"
    begun=${EPOCHREALTIME/./}
    dr 0 backup noise --limit-upload 512KiB
    [ $((${EPOCHREALTIME/./} - begun)) -gt 2000000 ] || fail "it was sent too fast"
    begun=${EPOCHREALTIME/./}
    dr 0 restore noise --to "$W/noise" --limit-download 512KiB
    [ $((${EPOCHREALTIME/./} - begun)) -gt 2000000 ] || fail "it was read too fast"
    same "$R/src" "$W/noise$R/src"
    dr 2 --nice 20 backup
    says "--nice goes up to 19"
    dr 2 backup --limit-upload 100
    says "at least 1KiB"
}

progress_live() {
    new_conf live 1
    source_command slow 'sh, -c, "for i in 1 2 3 4 5 6; do head -c 2000000 /dev/zero; sleep .5; done"'
    dr 0 init --yes-saved
    rm "$OUT" # what init wrote
    dr_start --json --progress backup
    until [ -s "$OUT" ]; do
        live "$pid" || fail "it ended too early"
        sleep .05
    done
    live "$pid" || fail "the line came with the end"
    head -n 1 "$OUT" >"$W/j"
    [ "$(json '0 < d["bytes_done"] < 12000000' "$W/j")" = True ] || fail "$(cat "$OUT")"
    dr_wait
    [ "$got" -eq 0 ] || fail "backup ended with $got: $(cat "$ERR")"
    progress 'p["bytes_done"] == 12000000 and 2 <= len(lines) <= p["elapsed_seconds"] + 1' \
        backup slow
}

# What a target can do is tried out, and nothing is left of it.
target_check() {
    dr 0 --json target check --size 1MiB
    [ "$(json 'sorted(set(c["target"] for c in d["checks"]))')" = "['t1', 't2', 't3']" ] \
        || fail "$(cat "$OUT")"
    [ "$(json '[c for c in d["checks"] if c["verdict"] == "bad"]')" = "[]" ] || fail "$(cat "$OUT")"
    [ "$(json 'len(d["checks"])')" -ge 30 ] || fail "$(cat "$OUT")"
    [ -z "$(find "$R"/t? -path '*/check/*' -type f)" ] || fail "objects are left"
    mv "$R/t2" "$R/away"
    dr 8 target check t2 --size 0
    says 't2 +answer +bad .*does not exist' "$OUT"
    mv "$R/away" "$R/t2"
    dr 2 target check nobody
    says 'no target called nobody'
}

# A restore that met damage leaves a note, and sync mends what it names.
sync_mends() {
    local pack
    pack=$(find "$R/t1/pack" -type f -size +100k | head -n 1)
    printf damaged | dd of="$pack" bs=1 seek=5000 conv=notrunc 2>/dev/null
    back tree "$S"
    dr 0 --json sync
    [ "$(json 'd["mended_objects"]')" -ge 1 ] || fail "$(cat "$OUT")"
    says "t1: pack/.* is replaced from another target: there was [0-9a-f]{64}, SHA-256 [0-9a-f]{64}"
    dr 0 verify --level 3
    dr 0 --json status
    [ "$(json '[t["state"] for t in d["targets"]]')" = "['up', 'up', 'up']" ] || fail "$(cat "$OUT")"
    [ "$(json '[t.get("unverified_since") for t in d["targets"]]')" = "[None, None, None]" ] \
        || fail "$(cat "$OUT")"
}

try "init, and no second one" init
try "a backup reaches three targets and comes back" backup
try "an unchanged backup reads no file and sends under 64 KiB" unchanged
try "one changed file is the only one that is read" one_changed
try "a renamed folder is not sent again" renamed_folder
try "restore with one target destroyed" one_destroyed
try "restore with two targets destroyed" two_destroyed
try "each target alone restores on a bare machine" each_alone
try "the forms of SNAPSHOT" snapshot_forms
try "restore of some paths" some_paths
try "restore over what lies there" over_existing
try "tags" tags
try "snapshots as JSON" snapshots_json
try "a command as source, and one that fails" command_source
try "missing, empty and shrunk sources" missing_and_empty
try "excludes" excludes
try "one file system" one_file_system
try "a file that vanishes" vanished
try "targets are tried out" target_check
try "what a restore found bad is mended by sync" sync_mends
try "leaving room for others" gentle
try "as small as the line leaves time for" squeezed
try "progress for people and programs" progress_told
try "progress while it runs" progress_live
finish
