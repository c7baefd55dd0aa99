#!/bin/bash
# A tree of every odd thing comes back identical: compared by rsync, and by
# manifest.py, which also sees holes and paths of any length.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

S=$W/odd
NOBODY=(setpriv --reuid=65534 --regid=65534 --clear-groups)
use odd

# whole SNAPSHOT: rsync cannot follow paths over 4,096 bytes, and would want the
# socket, which no backup keeps.
whole() {
    dr 0 restore "$1" --to "$W/back"
    same "$S" "$W/back$S" --exclude=/long --exclude=/special/socket
    same_manifest "$S" "$W/back$S"
}

odd_tree() {
    # rsync 3.5 goes down 1,024 folders and no further
    /usr/bin/python3 "$here/odd_tree.py" "$S" $((LONG ? 1000 : 300)) || fail "no tree"
    new_conf odd 3
    source_files odd "$S"
    dr 0 init --yes-saved
    dr 0 --json backup
    [ "$(json 'd["sources"][0]["issues"]')" = "[]" ] || fail "$(cat "$OUT")"
    whole odd
    dr 0 verify --level 3
}

# Restored once more over itself, and from a backup that kept every entry but
# those with times in the future, which are never trusted.
again() {
    sleep 2.5
    dr 0 backup
    dr 0 --json backup
    [ "$(json 'd["sources"][0]["entries"] - d["sources"][0]["kept"]')" -lt 15 ] \
        || fail "entries were not kept: $(cat "$OUT")"
    whole odd
    rm -rf "$W/back"
    whole odd
}

# The first restored tree, in place of its original, is backed up and restored.
round_trip() {
    rm -rf "$S"
    mv "$W/back$S" "$S"
    dr 0 backup
    rm -rf "$W/back"
    whole odd
}

loops() {
    local i
    for ((i = 1; i <= (LONG ? 20 : 3); i++)); do
        /usr/bin/python3 - "$S" "$i" <<'PY'
import os, random, sys
root, seed = sys.argv[1], int(sys.argv[2])
random.seed(seed)
with open(root + "/sparse/64MiB", "r+b") as f:  # data and holes move
    for n in range(4):
        at = random.randrange(64 << 20)
        f.seek(at)
        f.write(os.urandom(min(random.randrange(300000), (64 << 20) - at)))
    at = random.randrange(16) << 22
    os.system("fallocate -p -o %d -l %d '%s/sparse/64MiB'" % (at, 1 << 22, root))
small = root + "/contents/small-%03d"
for n in random.sample(range(300), 20):
    open(small % n, "wb").write(os.urandom(random.randrange(200000)))
os.rename(small % 7, small % 7 + "-moved-%d" % seed)
open(small % 7, "wb").write(b"new")
os.remove(root + "/links/second")
os.link(root + "/contents/text", root + "/links/second")
os.rename(root + "/times", root + "/times-%d" % seed)
os.rename(root + "/times-%d" % seed, root + "/times")
os.utime(root + "/names/a/b", ns=(0, random.randrange(-10**18, 10**18)))
os.chmod(root + "/attributes/all-bits", random.randrange(0o10000))
os.setxattr(root + "/attributes/xattrs", "user.binary", os.urandom(seed * 10))
kind = root + "/special/turns"  # another kind each time
if seed > 1:
    os.rmdir(kind) if seed % 3 == 2 else os.remove(kind)
(os.mkdir, os.mkfifo, lambda p: os.symlink("fifo", p))[seed % 3 - 1](kind)
PY
        sleep 2.1
        dr 0 backup
        rm -rf "$W/back"
        whole odd
    done
}

# Restored over the tree as an older snapshot had it: kinds and links change.
over_other() {
    dr 0 --json snapshots odd
    rm -rf "$W/back"
    dr 0 restore "$(json 'd["snapshots"][0]["id"]')" --to "$W/back"
    dr 0 restore odd --to "$W/back"
    # what only the older one had stays, as nothing said to delete it
    find "$W/back$S" -name '*-moved-*' -prune -o -name 'nothing' -print >"$W/j"
    same "$S" "$W/back$S" --exclude=/long --exclude=/special/socket --exclude='*-moved-*'
}

five_gib() {
    local huge=$W/huge
    mkdir "$huge"
    truncate -s 5G "$huge/file"
    for at in 0 1073741825 4294967290 5368700000; do
        head -c 5000 /dev/urandom | dd of="$huge/file" bs=64K oflag=seek_bytes seek="$at" \
            conv=notrunc status=none
    done
    new_conf huge 1
    source_files huge "$huge"
    dr 0 init --yes-saved
    dr 0 backup
    dr 0 restore huge --to "$W/huge-back"
    same "$huge" "$W/huge-back$huge"
    same_manifest "$huge" "$W/huge-back$huge"
    [ "$(du -sm "$W/huge-back" | cut -f 1)" -lt 2 ] || fail "the holes are filled"
    [ "$(du -sm "$R/t1" | cut -f 1)" -lt 2 ] || fail "the holes are stored"
}

# held FILE COMMAND...: backs up and runs the command while FILE is being read.
held() {
    local file=$1
    shift
    dr_start --json backup
    until find "/proc/$pid/fd" -lname "$file" 2>/dev/null | grep -q .; do
        live "$pid" || fail "it ended too early: $(cat "$ERR")"
    done
    kill -STOP "$pid"
    "$@"
    kill -CONT "$pid"
    dr_wait
}

fresh_file() {
    rm -rf "$W/moving" "$W/moving-back"
    mkdir "$W/moving"
    head -c 150000000 /dev/urandom >"$W/moving/file"
    echo beside >"$W/moving/g"
    new_conf "moving-$1" 1
    source_files moving "$W/moving"
    dr 0 init --yes-saved
}

# Changed once while it is read: read again, and then whole.
changed_once() {
    fresh_file once
    held "$W/moving/file" sh -c "echo more >>'$W/moving/file'"
    [ "$got" -eq 0 ] || fail "backup ended with $got, not 0: $(cat "$ERR")"
    dr 0 restore moving --to "$W/moving-back"
    same "$W/moving" "$W/moving-back$W/moving"
    fresh_file shorter
    held "$W/moving/file" truncate -s 100000000 "$W/moving/file"
    [ "$got" -eq 0 ] || fail "backup ended with $got, not 0: $(cat "$ERR")"
    dr 0 restore moving --to "$W/moving-back"
    same "$W/moving" "$W/moving-back$W/moving"
}

# It never stops growing: stored as it was seen, and said so.
grows() {
    local grower copy=$W/moving-back$W/moving
    fresh_file grows
    while :; do
        echo "one more line" >>"$W/moving/file"
        sleep .005
    done &
    grower=$!
    started "$grower"
    dr_any --json backup
    stop "$grower" KILL
    [ "$got" -eq 3 ] || fail "backup ended with $got, not 3: $(cat "$ERR")"
    says '/moving/file: changed while it was read'
    [ "$(json 'd["sources"][0]["issues"][0]["kind"]')" = changed ] || fail "$(cat "$OUT")"
    dr 0 restore moving --to "$W/moving-back"
    cmp -s "$W/moving/g" "$copy/g" || fail "the file beside it is wrong"
    [ "$(stat -c %s "$copy/file")" -ge 150000000 ] || fail "it is shorter than at the beginning"
    cmp "$W/moving/file" "$copy/file" 2>&1 | grep -q "EOF on $copy/file" \
        || fail "it is not how the file began: $(cmp "$W/moving/file" "$copy/file" 2>&1)"
    sleep 2.5
    dr 0 backup # it is read again although it looks the same
    rm -rf "$W/moving-back"
    dr 0 restore moving --to "$W/moving-back"
    same "$W/moving" "$W/moving-back$W/moving"
}

# The file read becomes another kind of thing, the next one goes away.
replaced() {
    fresh_file replaced
    echo x >"$W/moving/file2"
    echo x >"$W/moving/file3"
    mkdir "$W/moving/h"
    echo x >"$W/moving/h/i"
    held "$W/moving/file" sh -c "cd '$W/moving' && rm -r file2 h && mkdir file2 \
        && rm file3 && mkfifo file3 && rm file"
    [ "$got" -eq 3 ] || fail "backup ended with $got, not 3: $(cat "$ERR")"
    says '/moving/h: '
    dr 0 restore moving --to "$W/moving-back"
    cmp -s "$W/moving/g" "$W/moving-back$W/moving/g" || fail "the file beside it is wrong"
}

# As somebody who may not read everything.
unreadable() {
    local dir=$W/theirs copy
    mkdir -p "$dir/open" "$dir/closed" "$dir/unlisted"
    echo a >"$dir/open/a"
    echo b >"$dir/closed/b"
    echo c >"$dir/secret"
    echo d >"$dir/unlisted/d"
    chown -R 65534:65534 "$dir"
    chmod 000 "$dir/closed" "$dir/secret"
    chmod 311 "$dir/unlisted"
    new_conf theirs 1
    source_files theirs "$dir"
    chown -R 65534:65534 "$R"
    cp "$DRTOOL" "$W/drtool"
    DRTOOL=$W/drtool AS=("${NOBODY[@]}")
    dr 0 init --yes-saved
    dr 3 --json backup
    [ "$(json '[i["path"].split("/")[-1] + " " + i["kind"] for i in d["sources"][0]["issues"]]')" = \
        "['closed unreadable', 'secret unreadable', 'unlisted unreadable']" ] || fail "$(cat "$OUT")"
    says "$dir/closed: Permission denied"
    copy=$W/theirs-back
    mkdir "$copy"
    chown 65534 "$copy"
    dr 0 restore theirs "$dir" --to "$copy" --owner skip
    [ "$(cat "$copy$dir/open/a")" = a ] || fail "what could be read is missing"
    [ "$(stat -c %a "$copy$dir/closed" "$copy$dir/unlisted" | paste -sd' ')" = "0 311" ] \
        || fail "the closed folders are not as they were"
    [ ! -e "$copy$dir/secret" ] || fail "an unreadable file appeared"
}

# Somebody without root restores what is theirs, in a folder that is root's.
restore_own() {
    local dir=$W/own copy=$W/own-back
    mkdir "$dir" "$copy"
    echo a >"$dir/a"
    ln "$dir/a" "$dir/b"
    chmod 6750 "$dir/a"
    new_conf own 1
    source_files own "$dir"
    chown -R 65534:65534 "$R" "$dir" "$copy"
    cp "$DRTOOL" "$W/drtool"
    DRTOOL=$W/drtool AS=("${NOBODY[@]}")
    dr 0 init --yes-saved
    dr 0 backup
    dr 0 restore own --to "$copy"
    same "$dir" "$copy$dir"
}

# Somebody without root restores root's tree: what could not be set is told.
restore_as_other() {
    local copy=$W/others-back
    use odd
    cp -r "$R" "$W/repo/others"
    sed -i "s|$R|$W/repo/others|" "$W/repo/others/conf.yaml"
    use others
    mkdir "$copy"
    chown -R 65534:65534 "$R" "$copy"
    cp "$DRTOOL" "$W/drtool"
    DRTOOL=$W/drtool AS=("${NOBODY[@]}")
    dr 3 restore odd --owner skip --to "$copy"
    says 'special/(char|block|big-numbers): '
    says 'attributes/xattrs: '
    # all that has bytes is there
    right_so_far "$S" "$copy$S" ./long
    [ "$(find "$copy$S" -type f | wc -l)" -eq "$(find "$S" -type f | wc -l)" ] \
        || fail "files are missing"
}

# Paths over 65,535 bytes are told, and nothing else is lost.
too_long() {
    mkdir "$W/too"
    echo here >"$W/too/file"
    /usr/bin/python3 - "$W/too" <<'PY'
import os, sys
os.chdir(sys.argv[1])
for i in range(300):
    os.mkdir("y" * 250)
    os.chdir("y" * 250)
PY
    new_conf too 1
    source_files too "$W/too"
    dr 0 init --yes-saved
    dr 3 --json backup
    [ "$(json '[i["kind"] for i in d["sources"][0]["issues"]]')" = "['too-long']" ] \
        || fail "$(head -c 300 "$OUT")"
    dr 0 restore too --to "$W/too-back"
    [ "$(cat "$W/too-back$W/too/file")" = here ] || fail "the rest was lost"
}

try "every odd thing comes back identical" odd_tree
try "kept entries, and a restore over what is there" again
try "a restored tree is as good as the first" round_trip
try "changed and restored in loops" loops
try "an older snapshot under a newer one" over_other
try "5 GiB of hole" five_gib
try "a file that changes once while it is read" changed_once
try "a file that grows all the time" grows
try "things replaced while the backup runs" replaced
try "folders and files without permission" unreadable
try "restored by the one it belongs to" restore_own
try "restored by somebody without root" restore_as_other
try "paths that are too long" too_long
finish
