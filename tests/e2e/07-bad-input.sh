#!/bin/bash
# What can be wrong: keys, configuration, disks that are full, a newer version,
# lost state and keys, two runs at once, signals. Each has its exit status and a
# clear sentence, nothing is lost, and no secret is told.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

S=$W/src
use bad

# The error is one line, and its sentence comes last.
one_line() {
    [ "$(wc -l <"$ERR")" -le 1 ] || fail "too many words: $(cat "$ERR")"
    [ "$(tail -n 1 "$ERR" | cut -c 1-8)" = "drtool: " ] || fail "no sentence: $(cat "$ERR")"
}

prepare() {
    mkdir "$S"
    random_tree "$S" 100 60000
    head -c 20000000 /dev/urandom >"$S/big"
    new_conf bad 3
    source_files tree "$S"
    dr 0 --json init --yes-saved
    json 'd["recovery_code"]' >"$W/code"
    rm "$OUT"
    sed -i '$d' "$ALL" # the code is secret from here on
    : >"$ALL"
    sleep 2.5
    dr 0 backup
    cp -a "$R" "$W/whole"
    cp -a "$S" "$W/src.whole"
}

# fresh: repository and source as they were after the first backup.
fresh() {
    rm -rf "$R"
    cp -a "$W/whole" "$R"
    rsync -aHAX --delete "$W/src.whole/" "$S/"
}

# with_passphrase VARIABLE: a configuration of the same repository without state.
with_passphrase() {
    sed -e "s|^key: .*|key: { passphrase: { env: $1 } }|" -e "s|^state: .*|state: $R/state2|" \
        "$CONF" >"$W/passphrase.yaml"
    CONF=$W/passphrase.yaml
    rm -rf "$R/state2"
}

passphrase() {
    new_conf phrase 2
    sed -i 's|^key: .*|key: { passphrase: { env: PHRASE } }|' "$CONF"
    source_files tree "$S"
    PHRASE='correct horse' dr 0 init --yes-saved
    PHRASE='correct horse' dr 0 backup
    PHRASE='wrong horse' dr 7 backup
    says 'passphrase'
    one_line
    rm -rf "$R/state"
    PHRASE='wrong horse' dr 7 restore tree --to "$W/none"
    says 'passphrase'
    one_line
    [ ! -e "$W/none" ] || fail "something was restored"
    dr 7 snapshots # the variable is not set
    says PHRASE
    PHRASE='' dr 7 snapshots
    PHRASE='correct horse' back tree "$S"
    grep -q 'horse' "$ALL" && fail "a passphrase was printed"
    grep -rqF 'correct horse' "$R" && fail "the passphrase is stored"
    return 0
}

key_file() {
    fresh
    new_conf other 1
    source_files tree "$S"
    dr 0 init --yes-saved
    use bad
    cp "$W/repo/other/key" "$R/key"
    dr 7 backup
    says 'key'
    one_line
    rm -rf "$R/state"
    dr 7 restore tree --to "$W/none"
    says 'the key file opens none'
    one_line
    echo "no key at all" >"$R/key"
    dr_any snapshots
    [[ $got == [27] ]] || fail "a file that is no key: ended with $got"
    says "$R/key"
    one_line
    rm "$R/key"
    dr_any snapshots
    [[ $got == [127] ]] || fail "no key file: ended with $got"
    says "$R/key"
    one_line
    cp "$W/whole/key" "$R/key"
    chmod 644 "$R/key"
    dr 7 snapshots
    says "$R/key"
    one_line
    chmod 600 "$R/key"
    back tree "$S"
}

# What the state folder knows is only a memory.
state_lost() {
    fresh
    rm -rf "$R/state"
    head -c 100000 /dev/urandom >"$S/after"
    dr 0 --json backup
    [ "$(json 'all(t["sent_bytes"] < 400000 for t in d["sources"][0]["targets"])')" = True ] \
        || fail "everything was sent again: $(cat "$OUT")"
    back tree "$S"
    dr 0 verify --level 3
    # and its parts
    rm -rf "$R"/state/bad/index
    dr 0 --json backup
    [ "$(json 'all(t["sent_bytes"] < 400000 for t in d["sources"][0]["targets"])')" = True ] \
        || fail "everything was sent again: $(cat "$OUT")"
    head -c 3000 /dev/urandom >"$R/state/bad/cache.db"
    dr 0 backup
    back tree "$S"
    rm "$S/after"
}

damaged_state() {
    local f
    fresh
    find "$R/state" -type f -name '*.db' -size +0 >"$W/files"
    [ -s "$W/files" ] || fail "there is no state"
    while read -r f; do
        fresh
        head -c 5000 /dev/urandom >"$f"
        dr_any backup
        [ "$got" -eq 0 ] || [ "$got" -eq 1 ] || [ "$got" -eq 6 ] || [ "$got" -eq 11 ] \
            || fail "garbage in ${f##*/}: ended with $got: $(cat "$ERR")"
        [ "$got" -eq 0 ] || says "${f##*/}|state"
        dr 0 restore tree --to "$W/back"
        same "$S" "$W/back$S"
        rm -rf "$W/back" "$R/state"
        dr 0 backup
        dr 0 verify
    done <"$W/files"
}

recovery_code() {
    fresh
    rm -rf "$R/state"
    rm "$R/key"
    with_passphrase CODE
    CODE=$(cat "$W/code") back tree "$S"
    # as people type it
    rm -rf "$R/state2"
    CODE=$(tr -d - <"$W/code" | tr '[:upper:]' '[:lower:]') dr 0 snapshots
    rm -rf "$R/state2"
    CODE=$(sed 's/^Z/Y/;t;s/^./Z/' "$W/code") dr 7 snapshots
    one_line
    # not even one wrong character gets further
    rm -rf "$R/state2"
    CODE=$(cat "$W/code")-0000 dr 7 snapshots
}

typo() {
    local from to at word
    fresh
    while IFS='|' read -r from to at word; do
        use bad
        sed "s|$from|$to|" "$CONF" >"$W/typo.yaml"
        cmp -s "$CONF" "$W/typo.yaml" && fail "$from is not in the configuration"
        CONF=$W/typo.yaml
        dr 2 backup
        says "$W/typo.yaml:$at: "
        says "$word"
        one_line
        dr 2 config check
    done <<'TYPOS'
^targets:|targts:|4:1|"?targets
^state:|stat:|3:1|"?state
name: t2, url|name: t2, ulr|6:17|"?url
files: {|fils: {|[0-9]+:[0-9]+|"?files
paths:|path:|[0-9]+:[0-9]+|"?paths
name: t2|name: t1|[0-9]+:[0-9]+|another target
file:///|ftp:///|[0-9]+:[0-9]+|file://
^repository: bad|repository: [bad|[0-9]+:[0-9]+|
^repository: bad|repository:|[0-9]+:[0-9]+|repository
TYPOS
    CONF=$W/no-such.yaml
    dr 2 backup
    says "$W/no-such.yaml"
    one_line
    use bad
    dr 2 backup no-such-source
    says 'no source called no-such-source'
    one_line
    dr 2 backup tree no-such-source
    dr 2 bakcup
    says 'backup'
    dr 2 backup --tga x
    says '\-\-tag'
    dr 2 restore tree
    says '\-\-to'
    dr 2 verify --level 4
    dr 2 --json backup no-such-source
    [ "$(json 'd["exit"], d["error"]["kind"]')" = "(2, 'usage')" ] || fail "$(cat "$OUT")"
}

# newer OFFSET VALUE: a byte of every target's header, with a CRC that is right.
newer() {
    /usr/bin/python3 - "$@" "$R"/t[123]/drt.repo <<'PY'
import sys
def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff
at, value = int(sys.argv[1]), int(sys.argv[2])
for name in sys.argv[3:]:
    data = bytearray(open(name, "rb").read())
    assert crc32c(data[:60]).to_bytes(4, "little") == data[60:64], "no header"
    data[at] = value
    data[60:64] = crc32c(data[:60]).to_bytes(4, "little")
    open(name, "wb").write(data)
PY
}

newer_version() {
    local command at
    for at in "9 2" "12 1"; do # the version; a feature needed for reading
        for command in backup snapshots "restore tree --to $W/none" verify sync; do
            fresh
            # shellcheck disable=SC2086 # two words
            newer $at || fail "the header is not where it should be"
            # shellcheck disable=SC2086 # the command has words
            dr 1 $command
            says 'newer drtool'
            rm -rf "$R/state"
            # shellcheck disable=SC2086 # the command has words
            dr 1 $command
            says 'newer drtool'
        done
    done
    [ ! -e "$W/none" ] || fail "something was restored"
}

# Targets t1 and then t2 are too small; with more room all is made up for.
disk_full() {
    new_conf full 3
    source_files tree "$S"
    mount_at "$R/t1" -t tmpfs -o size=8m tmpfs
    dr 0 init --yes-saved
    LIMIT=60 dr 4 --json backup
    [ "$(json '[t["name"] for t in d["sources"][0]["targets"] if not t["committed"]]')" = "['t1']" ] \
        || fail "$(cat "$OUT")"
    says 'target t1 .*(No space|full)'
    back tree "$S"
    mount_at "$R/t2" -t tmpfs -o size=3m tmpfs
    cp -a "$R"/t3/{conf,keys} "$R/t2/" # a disk that has filled up meanwhile
    umount "$R/t2"
    mv "$R/t2" "$R/t2.whole"
    mount_at "$R/t2" -t tmpfs -o size=60m tmpfs
    cp -a "$R/t2.whole/." "$R/t2/"
    head -c 50000000 /dev/urandom >"$S/more"
    LIMIT=60 dr 5 --json backup
    says 'target t1 '
    says 'target t2 .*(No space|full)'
    back tree "$S" # the third has it
    mount -o remount,size=500m "$R/t1" || fail "t1 does not grow"
    mount -o remount,size=500m "$R/t2" || fail "t2 does not grow"
    dr 0 sync
    dr 0 verify --level 3
    dr 0 backup
    mv "$R/t3" "$R/away"
    back tree "$S"
    rm "$S/more"
}

# There is no room for the spool and the state.
state_full() {
    new_conf tight 2
    source_files tree "$S"
    mount_at "$R/state" -t tmpfs -o size=10m tmpfs
    dr 0 init --yes-saved
    LIMIT=60 dr 1 backup
    says 'No space left'
    says "$R/state"
    dr 0 --json snapshots
    [ "$(json 'd["snapshots"]')" = "[]" ] || fail "there is a snapshot: $(cat "$OUT")"
    mount -o remount,size=300m "$R/state" || fail "it does not grow"
    dr 0 backup
    back tree "$S"
    dr 0 verify --level 3
}

restore_full() {
    fresh
    mount_at "$W/tight" -t tmpfs -o size=10m tmpfs
    LIMIT=60 dr 1 restore tree --to "$W/tight"
    says 'are needed and .* are free'
    one_line
    [ -z "$(find "$W/tight" -type f)" ] || fail "something was written: $(find "$W/tight" -type f)"
}

read_only() {
    fresh
    mkdir "$W/ro"
    mount_at "$W/ro" --bind "$W/ro"
    mount -o remount,ro,bind "$W/ro" || fail "not read-only"
    dr_any restore tree --to "$W/ro"
    [[ $got == [17] ]] || fail "restore into a read-only folder ended with $got: $(head -c 300 "$ERR")"
    says 'Read-only'
    one_line
    echo file >"$W/a-file"
    dr_any restore tree --to "$W/a-file"
    [[ $got == [12] ]] || fail "restore into a file ended with $got"
    says "$W/a-file"
    [ "$(cat "$W/a-file")" = file ] || fail "the file was changed"
}

# A second run on the same host.
two_at_once() {
    local waiting
    fresh
    head -c 30000000 /dev/urandom >"$S/read-me"
    dr_start backup
    until find "/proc/$pid/fd" -lname "$S/*" 2>/dev/null | grep -q .; do
        live "$pid" || fail "it ended too early"
    done
    kill -STOP "$pid"
    dr 9 backup
    says 'another|active|running'
    one_line
    dr 9 sync
    dr 0 snapshots # reading needs no lock
    dr 0 restore tree --to "$W/back"
    same "$W/src.whole" "$W/back$S"
    timeout 100 "$DRTOOL" -c "$CONF" backup --wait 60s >"$W/waiting" 2>&1 &
    waiting=$!
    started "$waiting"
    sleep 1
    live "$waiting" || fail "--wait did not wait: $(cat "$W/waiting")"
    kill -CONT "$pid"
    dr_wait
    [ "$got" -eq 0 ] || fail "the first one ended with $got"
    wait "$waiting" || fail "the waiting one failed: $(cat "$W/waiting")"
    dr 0 --json snapshots
    [ "$(json 'len(d["snapshots"])')" -eq 3 ] || fail "not 3 snapshots: $(cat "$OUT")"
}

signals() {
    local signal
    fresh
    head -c 100000000 /dev/urandom >"$S/long"
    for signal in TERM INT HUP; do
        dr_start backup
        until find "/proc/$pid/fd" -lname "$S/long" 2>/dev/null | grep -q .; do
            live "$pid" || fail "it ended too early"
        done
        kill -"$signal" "$pid"
        LIMIT=20 dr_wait
        [ "$got" -eq 130 ] || fail "$signal: backup ended with $got, not 130: $(cat "$ERR")"
        one_line
        dr 0 verify
    done
    dr 0 backup
    back tree "$S"
    rm -rf "$W/part"
    dr_start restore tree --to "$W/part"
    until [ -n "$(find "$W/part" -name '.drtool-*' 2>/dev/null | head -n 1)" ]; do
        live "$pid" || fail "it ended too early"
    done
    kill -TERM "$pid"
    LIMIT=20 dr_wait
    [ "$got" -eq 130 ] || fail "restore ended with $got, not 130: $(cat "$ERR")"
    right_so_far "$S" "$W/part$S"
    dr 0 restore tree --to "$W/part"
    same "$S" "$W/part$S"
    rm -rf "$S/long" "$W/part"
}

# Targets that were mixed up, or belong to another repository.
wrong_target() {
    local got
    fresh
    mv "$R/t1" "$R/x"
    mv "$R/t2" "$R/t1"
    mv "$R/x" "$R/t2"
    dr_any backup
    [[ $got == [45] || $got == 11 ]] || fail "exchanged targets: ended with $got: $(cat "$ERR")"
    says 'target t[12] .*(another target|mounts)'
    back tree "$S"
    fresh
    rm -rf "$R/t1"
    cp -a "$W/repo/other/t1" "$R/t1"
    dr_any backup
    [[ $got == 4 || $got == 11 ]] || fail "another's target: ended with $got: $(cat "$ERR")"
    says 'target t1 .*another repository'
    back tree "$S"
    cp -a "$W/repo/other/t1" "$W/other.before"
    diff -r "$W/repo/other/t1" "$R/t1" >/dev/null || fail "another's repository was changed"
}

# Secrets are in no output, log, argument list or child's environment, and not on
# the targets or in the state.
secrets() {
    local secret key f
    fresh
    key=$(sed 's/.*://' "$R/key")
    [ ${#key} -eq 64 ] || fail "the key file has another form"
    source_command environment '/usr/bin/env'
    cat >"$W/tell" <<'TELL'
#!/bin/sh
env
tr '\0' ' ' </proc/$PPID/cmdline
tr '\0' '\n' </proc/self/environ
ls -l /proc/self/fd
TELL
    chmod +x "$W/tell"
    source_command tells "$W/tell"
    with_passphrase MY_CODE
    MY_CODE=$(cat "$W/code")
    export MY_CODE
    dr 0 -v -v backup
    dr 0 -v -v --json snapshots
    for f in environment tells; do
        rm -rf "$W/back"
        dr 0 -v -v restore "$f" --to "$W/back"
        cat "$W/back"/* >>"$W/told"
    done
    grep -q '^PATH=' "$W/told" || fail "the environment was not backed up"
    for secret in "$key" "$(cat "$W/code")"; do
        grep -qF -- "$secret" "$ALL" && fail "a secret was printed"
        grep -qF -- "$secret" "$W/told" && fail "a child was given a secret: $secret"
        grep -rlaF -- "$secret" "$R"/t? "$R"/state* && fail "a secret is stored"
        # nor as bytes
        [ ${#secret} -ne 64 ] || /usr/bin/python3 - "$secret" "$R" <<'PY' || fail "the key is stored"
import os, sys
key = bytes.fromhex(sys.argv[1])
for top, _, names in os.walk(sys.argv[2]):
    for name in names:
        if key in open(os.path.join(top, name), "rb").read():
            sys.exit(top + "/" + name)
PY
    done
}

# Names of hosts, sources and files are not on the targets either.
sealed() {
    local name host
    host=$(hostname)
    fresh
    for name in "$S" d0/e0 conf.yaml "${host:0:20}"; do
        [ ${#name} -gt 4 ] || continue # too short to be no accident
        grep -rlaF -e "$name" "$R"/t? && fail "$name is readable on a target"
    done
    (cd "$R/t1" && find .) | grep -F -e "$host" -e tree && fail "a name is in a key"
    return 0
}

try "a repository" prepare || finish
try "a wrong passphrase" passphrase
try "a wrong, missing or open key file" key_file
try "the state is lost" state_lost
try "the state is damaged" damaged_state
try "the key file is lost: the recovery code" recovery_code
try "mistakes in the configuration and on the command line" typo
try "a repository of a newer version" newer_version
try "a target's disk is full" disk_full
try "the local disk is full" state_full
try "no room for a restore" restore_full
try "a restore into a read-only folder or a file" read_only
try "two backups at once" two_at_once
try "SIGTERM, SIGINT and SIGHUP" signals
try "targets that were mixed up" wrong_target
try "secrets stay secret" secrets
try "names are sealed" sealed
finish
