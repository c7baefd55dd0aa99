#!/bin/bash
# The format's page is enough: tests/vectors/decode.py, which was written from
# drtool-format(5) alone, restores what drtool stored, with each kind of secret,
# with the index and without, and notices what is damaged.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

export PHRASE='correct horse – battery' WRONG='correct horse - battery' CODE=''
P=$W/place S=$W/place/src

# decode STATUS ARG...: like dr; everything it says to $OUT and $ERR.
decode() {
    local want=$1 got
    shift
    timeout -k 5 "${LIMIT:-120}" /usr/bin/python3 -B "$here/../vectors/decode.py" "$@" \
        >"$OUT" 2>"$ERR" </dev/null
    got=$?
    printf '\n$ decode.py %s  # %s\n' "$*" "$got" | cat - "$ERR" >>"$ALL"
    [ "$got" -eq "$want" ] \
        || fail "decode.py $* ended with $got, not $want: $(head -c 600 "$ERR")"
    if grep -q Traceback "$ERR"; then
        fail "decode.py $* fell over: $(tail -n 3 "$ERR")"
    fi
}

# code_of NAME: the recovery code of the repository NAME, into $CODE.
code_of() {
    CODE=$(json 'd["recovery_code"]' "$W/$1.init") || exit 99
}

tree() {
    # here attributes may be larger than on ext4
    mount_at "$P" -t tmpfs -o size=400m,mode=755 tmpfs
    mkdir "$S" "$S/plain" "$S/plain/sub"
    /usr/bin/python3 "$here/odd_tree.py" "$S/odd" 40 || fail "no odd tree"
    random_tree "$S/plain/many" 100 30000
    head -c 200000 /dev/urandom >"$S/plain/over-64k"
    head -c $((20 << 20)) /dev/urandom >"$S/plain/big" # an extent tree
    truncate -s 30M "$S/plain/hole"
    dd if=/dev/urandom of="$S/plain/hole" bs=64k count=2 seek=100 conv=notrunc status=none
    echo name >"$S/plain/"$'new\nline'
    echo name >"$S/plain/"$'not \xff\xfe utf-8'
    ln "$S/plain/big" "$S/plain/sub/also-big"
    ln -s ../big "$S/plain/sub/to-big"
    echo x >"$S/plain/attributes"
    if ! setfattr -n user.large -v "$(head -c 9000 /dev/zero | tr '\0' a)" "$S/plain/attributes" \
        || ! setfattr -n user.other -v "0x$(printf '%06000d' 7)" "$S/plain/attributes"; then
        echo "# no attributes over 4 KiB on this file system"
    fi
}

backup() {
    local name
    for name in file pass; do
        new_conf "$name" 2
        [ "$name" = file ] || sed -i 's|^key:.*|key: { passphrase: { env: PHRASE } }|' "$CONF"
        source_files tree "$S"
        source_command notes '/usr/bin/seq, "300000"' 'as: notes.txt'
        dr 0 --json init --yes-saved
        cp "$OUT" "$W/$name.init"
        dr 0 backup
    done
}

# as_stored ARG...: decode.py ARG... restores just the source.
as_stored() {
    rm -rf "$P/back"
    decode 0 "$@" restore tree "$P/back"
    same "$S/plain" "$P/back$S/plain"
    /usr/bin/python3 "$here/manifest.py" "$S" >"$W/want" || fail "no manifest"
    /usr/bin/python3 "$here/manifest.py" "$P/back$S" >"$W/have" || fail "no manifest"
    [ "$(wc -l <"$W/want")" -gt 5000 ] || fail "the tree is too small"
    cmp -s "$W/want" "$W/have" || fail "differs: $(diff "$W/want" "$W/have" | head -n 4)"
    rm -rf "$P/back"
}

key_file() {
    use file
    as_stored "$R/t1" --key-file "$R/key"
    as_stored "$R/t2" --key-file "$R/key" --no-index
}

passphrase() {
    use file
    dr 0 key add --passphrase-env PHRASE
    decode 0 "$R/t1" --passphrase-env PHRASE cat tree "$S/plain/big"
    cmp -s "$OUT" "$S/plain/big" || fail "cat with a passphrase that was added"
    use pass
    as_stored "$R/t1" --passphrase-env PHRASE
    as_stored "$R/t2" --passphrase-env PHRASE --no-index
}

recovery_code() {
    code_of pass
    use pass
    as_stored "$R/t1" --code-env CODE
    as_stored "$R/t2" --code-env CODE --no-index
    code_of file
    use file
    CODE=$(tr '01' 'ol' <<<"${CODE,,}" | tr -d -- -) # as someone may type it
    decode 0 "$R/t1" --code-env CODE list
    [ "$(grep -c ' committed$' "$OUT")" -eq 2 ] || fail "$(cat "$OUT")"
}

show() {
    use file
    decode 0 "$R/t1" --key-file "$R/key" list
    says '^[0-9a-f]{64} [^ ]+ tree [0-9TZ:-]+ [0-9]+ committed$' "$OUT"
    cp "$OUT" "$W/decoded"
    dr 0 --json snapshots
    json '"\n".join(sorted(s["id"] for s in d["snapshots"]))' >"$W/shown"
    cut -d ' ' -f 1 "$W/decoded" | sort | cmp -s - "$W/shown" \
        || fail "other snapshots than drtool shows: $(cat "$W/decoded")"
    decode 0 "$R/t1" --key-file "$R/key" ls tree
    says "^-rw-r--r-- root root 20971520 [0-9TZ:-]+ ${S#/}/plain/big\$" "$OUT"
    says 'new\\nline$' "$OUT"
    says 'sub/to-big -> \.\./big$' "$OUT"
    decode 0 "$R/t1" --key-file "$R/key" cat tree "$S/plain/big"
    cmp -s "$OUT" "$S/plain/big" || fail "cat of a large file"
    decode 0 "$R/t1" --key-file "$R/key" --no-index cat tree "$S/plain/hole"
    cmp -s "$OUT" "$S/plain/hole" || fail "cat of a file with holes"
    decode 0 "$R/t1" --key-file "$R/key" cat tree "$S/odd/names/"$'\xff\xfeinvalid\x80utf-8'
    cmp -s "$OUT" "$S/odd/names/"$'\xff\xfeinvalid\x80utf-8' || fail "cat of an odd name"
    decode 0 "$R/t1" --key-file "$R/key" cat notes notes.txt
    cmp -s "$OUT" <(seq 300000) || fail "cat of a command's output"
    decode 1 "$R/t1" --key-file "$R/key" cat tree "$S/plain/no-such-file"
    says 'no such path'
}

verify() {
    local t
    use pass
    for t in t1 t2; do
        decode 0 "$R/$t" --passphrase-env PHRASE verify
        says ' 2 snapshots, 0 problems; 0 other files$' "$OUT"
        decode 0 "$R/$t" --passphrase-env PHRASE --no-index verify
        says ' 2 snapshots, 0 problems; 0 other files$' "$OUT"
    done
}

refused() {
    use pass
    decode 1 "$R/t1" --passphrase-env WRONG list
    says 'no key slot fits'
    [ ! -s "$OUT" ] || fail "it showed $(head -c 200 "$OUT")"
    decode 1 "$R/t1" --key-file "$W/repo/file/key" list
    says 'no key slot fits'
    code_of file
    decode 1 "$R/t1" --code-env CODE list
    says 'no key slot fits'
    CODE=${CODE:0:43}$(tr '0-9A-Z' '1-9A-H0' <<<"${CODE:43}") # its last character
    decode 1 "$R/t1" --code-env CODE list
    says 'mistyped|no recovery code'
}

# Keys that may see the snapshots only, and nothing at all.
lesser_keys() {
    use pass
    dr 0 key add --role maintain --key-file "$R/maintain"
    dr 0 key add --role writer --key-file "$R/writer"
    decode 0 "$R/t1" --key-file "$R/maintain" list
    [ "$(grep -c ' committed$' "$OUT")" -eq 2 ] || fail "$(cat "$OUT")"
    decode 0 "$R/t1" --key-file "$R/maintain" ls tree
    says 'plain/big$' "$OUT"
    decode 1 "$R/t1" --key-file "$R/maintain" cat tree "$S/plain/big"
    [ ! -s "$OUT" ] || fail "maintain can read"
    says 'cannot be opened'
    decode 1 "$R/t1" --key-file "$R/writer" list
    [ ! -s "$OUT" ] || fail "writer can list"
    says 'cannot be opened'
}

# flip FILE OFFSET: the byte there becomes another one.
flip() {
    /usr/bin/python3 - "$@" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    byte = f.read(1)[0]
    f.seek(int(sys.argv[2]))
    f.write(bytes([byte ^ 4]))
PY
}

# copy: a copy of the target t1 to damage, in $T.
copy() {
    T=$W/damaged
    rm -rf "$T"
    cp -a "$R/t1" "$T"
}

# noticed PATTERN FILE OFFSET: verify finds that byte of the copy.
noticed() {
    copy
    flip "$T/$2" "$3"
    decode 1 "$T" --key-file "$R/key" verify
    says "$1"
}

damage() {
    local pack size file
    use file
    pack=$(cd "$R/t1" && find pack -type f -printf '%s %p\n' | sort -n | tail -n 1)
    size=${pack%% *} pack=${pack#* }
    noticed "^$pack: its SHA-256 is not its name" "$pack" 8
    noticed "^$pack: its directory|^$pack: cannot be unlocked" "$pack" $((size - 100))
    noticed "^$pack: its footer is damaged" "$pack" $((size - 30))
    for file in drt.repo "$(cd "$R/t1" && echo conf/*)"; do
        copy
        flip "$T/$file" 70
        decode 1 "$T" --key-file "$R/key" list
    done
    for file in snap "done"; do
        noticed "^$file/.*: its SHA-256 is not its name" \
            "$(cd "$R/t1" && find "$file" -type f | head -n 1)" 200
    done
    noticed '^index/.*: its SHA-256 is not its name' \
        "$(cd "$R/t1" && find index -type f | head -n 1)" 200
    # a chunk in the middle: verify names it, restore leaves out what needs it
    noticed "^$pack: chunk [0-9a-f]{64} is damaged" "$pack" $((size / 2))
    rm -rf "$P/back"
    decode 1 "$T" --key-file "$R/key" restore tree "$P/back"
    says "^${S#/}/.*: chunk [0-9a-f]{64} is damaged"
    right_so_far "$S/plain" "$P/back$S/plain"
    [ "$(find "$P/back$S" -type f | wc -l)" -gt 1000 ] || fail "it gave up"
    rm -rf "$P/back"
}

# What one target says of a snapshot does not count on another one.
copied_record() {
    use file
    copy
    rm -r "$T/done"
    decode 0 "$T" --key-file "$R/key" list
    [ "$(grep -c ' unfinished$' "$OUT")" -eq 2 ] || fail "$(cat "$OUT")"
    cp -a "$R/t2/done" "$T/"
    decode 1 "$T" --key-file "$R/key" list
    [ "$(grep -c ' unfinished$' "$OUT")" -eq 2 ] || fail "$(cat "$OUT")"
    says '^done/.*: is for another target'
    decode 1 "$T" --key-file "$R/key" restore tree "$P/back"
    # the bytes of another host's or nobody's object under a right name
    copy
    cp "$T"/drt.repo "$T/snap/$(cd "$T/snap" && echo */)0000000009-$(sha256sum <"$T/drt.repo" | cut -c 1-64)"
    decode 1 "$T" --key-file "$R/key" list
    says '0000000009-.*: its type does not fit its name'
    # without the hosts' keys only when one says so
    copy
    rm -r "$T/conf"
    decode 1 "$T" --key-file "$R/key" list
    decode 0 "$T" --key-file "$R/key" --no-conf list
    [ "$(grep -c ' committed$' "$OUT")" -eq 2 ] || fail "$(cat "$OUT")"
}

# An index that names nothing, or a pack that is gone: the rest is still had.
without_segments() {
    use file
    copy
    rm -r "$T/index"
    as_stored "$T" --key-file "$R/key"
    copy
    rm "$T/pack"/*/*
    decode 1 "$T" --key-file "$R/key" restore tree "$P/back"
    says 'is in no pack'
}

second() {
    local first
    use file
    cp -a "$S/plain/over-64k" "$P/before"
    head -c 90000 /dev/urandom >>"$S/plain/over-64k"
    sleep 3
    dr 0 backup tree
    as_stored "$R/t1" --key-file "$R/key"
    decode 0 "$R/t1" --key-file "$R/key" list
    first=$(grep ' tree ' "$OUT" | head -n 1 | cut -c 1-12)
    decode 0 "$R/t1" --key-file "$R/key" cat "$first" "$S/plain/over-64k"
    cmp -s "$OUT" "$P/before" || fail "the first snapshot has other bytes"
}

try "a tree of everything" tree
try "backups with a key file and with a passphrase" backup
try "restore with the key file" key_file
try "restore with the passphrase" passphrase
try "restore with the recovery code" recovery_code
try "list, ls and cat" show
try "verify" verify
try "a wrong passphrase, key and code are refused" refused
try "keys of lesser roles" lesser_keys
try "flipped bytes are noticed" damage
try "records of another target are not believed" copied_record
try "without index segments, without packs" without_segments
try "an older snapshot" second
finish
