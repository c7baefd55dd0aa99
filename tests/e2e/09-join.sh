#!/bin/bash
# Several hosts in one repository: they join by the means there are, at the same
# moment and while targets are away, back up beside each other, deduplicate, and
# find each other's snapshots. Each host is a state and a name of its own.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

S=$W/src
HOST=$(hostname)
DECODE=$here/../vectors/decode.py
use many
export CODE='' WRONG='TNF3-MMA8-TNF3-MMA8-TNF3-MMA8-TNF3-MMA8-TNF3'

# as NAME: its configuration is $CONF, with a state and a key file of its own.
as() {
    CONF=$R/$1.yaml
    [ -e "$CONF" ] || sed -e "s|$R/key|$R/$1.key|; s|$R/state|$R/$1.state|; s|$S/first|$S/$1|" \
        "$R/conf.yaml" >"$CONF"
}

# The first host's tree; another has the same files and one more.
prepare() {
    mkdir -p "$S/first"
    random_tree "$S/first" 60 200000
    echo aaaa >"$S/first/twin"
    touch -d 2020-01-01 "$S/first/twin"
    head -c 15000000 /dev/urandom >"$S/first/big"
    for i in beta gamma delta eins zwei; do
        cp -a "$S/first" "$S/$i"
        echo "$i" >"$S/$i/own"
    done
    new_conf many 3
    source_files tree "$S/first"
    dr 0 --json init --yes-saved
    CODE=$(json 'd["recovery_code"]')
    echo "$CODE" >"$R/code"
    chmod 600 "$R/code"
    dr 0 backup
}

refused() {
    CODE=$(cat "$R/code")
    as beta
    dr 2 join
    says 'needs a key of role admin: give --key-file'
    dr 2 join --key-file "$R/key" --passphrase-env CODE
    dr 2 join --name 'be:ta' --passphrase-env CODE
    says 'be:ta is no name for a host'
    dr 2 join --role maintain --passphrase-env CODE
    dr 7 join --passphrase-env NONE_SUCH
    dr 7 join --passphrase-env WRONG
    says 'opens none of the [0-9] key slots'
    # keys that may not let anybody in
    for role in reader writer maintain; do
        CONF=$R/conf.yaml dr 0 key add --role "$role" --key-file "$R/$role"
        dr 7 join --key-file "$R/$role"
        says "a key of role $role cannot make it known; use a key of role admin"
    done
    [ ! -e "$R/beta.key" ] || fail "a key file was made"
    # nobody is there, or nothing
    for i in 1 2 3; do mv "$R/t$i" "$R/away$i"; done
    dr 8 join --passphrase-env CODE
    for i in 1 2 3; do mkdir "$R/t$i"; done
    dr 1 join --passphrase-env CODE
    says 'no target holds a repository; `drtool init` makes one'
    for i in 1 2 3; do
        rmdir "$R/t$i"
        mv "$R/away$i" "$R/t$i"
    done
    CONF=$R/conf.yaml
    dr 2 join --role reader
    says 'there is one already'
    dr 1 join
    says 'this host is a member of the repository already'
}

# Host beta, by the recovery code; its key file reads.
reader() {
    CODE=$(cat "$R/code")
    as beta
    dr 0 --json join --name beta --passphrase-env CODE
    [ "$(json '[d["host"], d["hosts"], d["role"], d["key_file"], len(d["targets"])]')" \
        = "['beta', 2, 'reader', '$R/beta.key', 3]" ] || fail "$(cat "$OUT")"
    [ "$(stat -c %a "$R/beta.key")" = 600 ] || fail "the key file is not 0600"
    dr 1 join --passphrase-env CODE
    says 'a member of the repository already, as beta'
    dr 0 key list
    says "reader" "$OUT"
    dr 7 key add --role admin --key-file "$R/none"
    for i in 1 2 3; do
        [ "$(ls "$R/t$i/conf" | wc -l)" -eq 2 ] || fail "t$i: $(ls "$R/t$i/conf")"
    done
}

# What the first has stored is not sent again, and each restores the other's.
beside() {
    local sent
    as beta
    touch "$W/mark"
    sleep .02
    dr 0 backup
    sent=$(new_bytes "$R/t1" "$W/mark")
    [ "$sent" -gt 0 ] && [ "$sent" -lt 2000000 ] || fail "$sent bytes were sent to t1"
    # of over 20 MB; what is stored again is the bundle that the new file is in
    back "$HOST:tree" "$S/first"
    back beta:tree "$S/beta"
    CONF=$R/conf.yaml
    dr 0 backup
    back beta:tree "$S/beta"
    back "$HOST:tree" "$S/first"
    dr 0 --json snapshots
    [ "$(json 'sorted(s["host"] for s in d["snapshots"])')" \
        = "$(/usr/bin/python3 -c 'import sys; print(sorted(sys.argv[1:]))' "$HOST" "$HOST" beta)" ] \
        || fail "$(cat "$OUT")"
    dr 0 verify --level 3
    as beta
    dr 0 verify --level 3
}

# typed LINE ARG...: drtool on a terminal where LINE is typed when it asks; what was
# to be seen there is in $OUT.
typed() {
    timeout 60 /usr/bin/python3 - "$1" "$DRTOOL" -c "$CONF" "${@:2}" >"$OUT" <<'PY'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen, typed = b"", False
while True:
    try:
        more = os.read(fd, 4096)
    except OSError:
        break
    if not more:
        break
    seen += more
    if not typed and b"code: " in seen:
        os.write(fd, sys.argv[1].encode() + b"\n")
        typed = True
sys.stdout.write(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
}

# Host gamma opens nothing, and yet reads no file that has not changed.
writer() {
    as gamma
    CODE=$(cat "$R/code")
    typed "$WRONG" join
    [ $? -eq 7 ] || fail "a wrong code: $(cat "$OUT")"
    typed "$CODE" join --name gamma --role writer || fail "ended with $?: $(cat "$OUT")"
    grep -qF "$CODE" "$OUT" && fail "the code was to be seen"
    says 'Key file: .*/gamma.key, with a new key of role writer' "$OUT"
    sleep 3 # what is younger than 2 s at a backup is read again at the next
    dr 0 backup
    timeout 120 strace -f -y -qq -e trace=openat,openat2,open -o "$W/strace" \
        "$DRTOOL" -c "$CONF" backup >"$OUT" 2>"$ERR" || fail "ended with $?: $(cat "$ERR")"
    grep -F "<$S/gamma/" "$W/strace" | grep -qE '/(f[0-9]+|big|own|twin)>$' \
        && fail "a file was opened"
    grep -qF "<$S/gamma" "$W/strace" || fail "strace showed no folder"
    # without what it remembers it reads all and sends nothing again
    rm "$R"/gamma.state/many/cache.db*
    touch "$W/mark"
    sleep .02
    dr 0 backup
    [ "$(new_bytes "$R/t1" "$W/mark")" -lt 100000 ] || fail "data was sent again"
    dr 7 restore gamma:tree --to "$W/none"
    [ ! -e "$W/none" ] || fail "something was restored"
    CONF=$R/conf.yaml
    back gamma:tree "$S/gamma"
}

# The first backup with an admin key enters without being asked to. This one is
# called as the first host is, and has at the same path another file of the same
# size and time.
implicit() {
    as delta
    cp "$R/key" "$R/delta.key"
    sed -i "s|$S/delta|$S/first|; s|paths: \[|match: \"size,mtime\", &|" "$CONF"
    cp -a "$S/first" "$S/kept"
    echo bbbb >"$S/first/twin"
    touch -d 2020-01-01 "$S/first/twin"
    dr 0 backup
    back "$HOST:tree" "$S/first"
    rm -rf "$S/first"
    mv "$S/kept" "$S/first"
    dr 1 join
    says 'already'
}

# Two hosts enter while they see different targets: neither knows of the other.
apart() {
    CODE=$(cat "$R/code")
    mv "$R/t1" "$R/away1"
    as eins
    dr 8 join --name eins --passphrase-env CODE # it is let in, but its key waits
    says 'a member now, but has no key file of its own: .*target t1'
    mv "$R/away1" "$R/t1"
    mv "$R/t2" "$R/away2"
    mv "$R/t3" "$R/away3"
    as zwei
    cp "$R/key" "$R/zwei.key"
    dr 4 join --name zwei
    mv "$R/away2" "$R/t2"
    mv "$R/away3" "$R/t3"
    [ "$(cd "$R" && ls t1/conf t2/conf | grep -c '^0000000004-')" -eq 2 ] \
        || fail "no fork: $(ls "$R"/t[12]/conf)"
    as eins
    dr 0 join --name eins --passphrase-env CODE # the key that was left out
    dr 0 backup
    as zwei
    dr 0 backup
    for i in 1 2 3; do
        [ "$(ls "$R/t$i/conf" | grep -c '^0000000004-')" -eq 2 ] || fail "t$i: $(ls "$R/t$i/conf")"
    done
}

# Several at the same moment: whichever records of one number come of it.
at_once() {
    local i
    CODE=$(cat "$R/code")
    for i in 1 2 3 4; do
        as "at-$i"
        sed -i "s|$S/at-$i|$S/beta|" "$CONF"
        cp "$R/key" "$R/at-$i.key"
        "$DRTOOL" -c "$CONF" join --name "at-$i" >"$W/at-$i.out" 2>&1 &
    done
    wait
    for i in 1 2 3 4; do
        as "at-$i"
        dr 0 backup
    done
}

# Nobody is unknown to a machine that sees one target only, nor to the second
# decoder.
all_known() {
    local i host
    for i in 1 2 3; do
        CONF=$R/bare.yaml
        sed -e "/name: t[123]/{/name: t$i,/!d}" -e "s|state:.*|state: $R/bare-$i|" \
            "$R/conf.yaml" >"$CONF"
        for host in beta gamma eins zwei at-1 at-2 at-3 at-4; do
            rm -rf "$W/back"
            dr 0 restore "$host:tree" --to "$W/back"
            [ ! -s "$ERR" ] || fail "$host of t$i: $(cat "$ERR")"
            [ -s "$W/back$S/beta/own" ] || [ "$(cat "$W/back$S/$host/own")" = "$host" ] \
                || fail "$host of t$i is another"
        done
        timeout 60 /usr/bin/python3 -B "$DECODE" "$R/t$i" --key-file "$R/key" list \
            >"$OUT" 2>"$ERR" || fail "decode.py: $(cat "$ERR")"
        [ "$(cut -d ' ' -f 2 "$OUT" | sort -u | wc -l)" -eq 9 ] || fail "$(cat "$OUT")"
    done
    CONF=$R/conf.yaml
    dr 0 verify --level 3
    dr 0 --json status
    [ "$(json 'len({s["host"] for s in d["sources"]})')" -eq 9 ] || fail "$(cat "$OUT")"
}

# A record that others name is on no target that can be asked.
hidden() {
    local record
    CONF=$R/bare.yaml
    sed -e "/name: t[123]/{/name: t1,/!d}" -e "s|state:.*|state: $R/bare-hidden|" \
        "$R/conf.yaml" >"$CONF"
    record=$(cd "$R/t1/conf" && echo 0000000002-*)
    mv "$R/t1/conf/$record" "$R/record"
    dr 11 snapshots
    says 'names the configuration record [0-9a-f]{12}, which no target shows'
    [ "$(grep -c ' tree ' "$OUT")" -ge 9 ] || fail "the others are not believed: $(cat "$OUT")"
    timeout 60 /usr/bin/python3 -B "$DECODE" "$R/t1" --key-file "$R/key" list >"$OUT" 2>"$ERR" \
        && fail "decode.py noticed nothing"
    says 'names conf/ record [0-9a-f]{64}, which is not there'
    CONF=$R/conf.yaml # who remembers it puts it back
    dr 0 backup
    cmp -s "$R/t1/conf/$record" "$R/record" || fail "the record was not put back"
    CONF=$R/bare.yaml
    dr 0 snapshots
}

try "a repository of one host" prepare || finish
try "who may not join, and why" refused
try "a host joins with the recovery code" reader
try "two hosts back up beside each other" beside
try "a host whose key opens nothing" writer
try "a host enters with its first backup" implicit
try "hosts that see different targets enter" apart
try "hosts that enter at the same moment" at_once
try "every host is known on every target" all_known
try "a record that is hidden is missed" hidden
finish
