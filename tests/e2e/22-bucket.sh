#!/bin/bash
# A bucket as a source: what is read and what is not, every odd key, objects that change
# or go while they are read, and all that can be wrong with the bucket.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

export EU_SECRET=SKeu-0123456789
KEYS="access-key: { env: EU_KEY }, secret-key: { env: EU_SECRET }"
export EU_KEY=AKeu

# s3 COMMAND...: of bucket.py, in the bucket of eu.
s3() {
    "$here/bucket.py" "$(s3_port eu)" eu "$@" || fail "$* failed"
}

# put KEY TEXT
put() {
    printf '%s' "$2" >"$W/text"
    s3 put "$1" "$W/text"
}

# source_bucket NAME URL [PORT [MORE]]: MORE are further keys of `bucket`.
source_bucket() {
    echo "  - { name: $1, bucket: { url: \"$2\", region: eu, credentials: { $KEYS }," \
        "endpoint: \"http://127.0.0.1:${3:-$(s3_port eu)}\"${4:+, $4} } }" >>"$CONF"
}

# fresh NAME URL [PORT [MORE]]: a repository with this bucket as its source.
fresh() {
    new_conf "$1" 1
    source_bucket media "$2" "${3:-}" "${4:-}"
    dr 0 init --yes-saved
}

# read_of N M: the backup just made, with -v, read N of M objects.
read_of() {
    says "source media: $1 of $2 objects were read"
}

# of_backup EXPRESSION: of the source in the answer to `--json backup`.
of_backup() {
    json "d[\"sources\"][0]$1"
}

restored() {
    rm -rf "$W/back"
    dr 0 restore media --to "$W/back"
}

servers() {
    gateways
}

first() {
    head -c 20000000 /dev/urandom >"$W/large"
    head -c 300000 /dev/urandom >"$W/middle"
    s3 put main/photos/large.jpg "$W/large" content-type=image/jpeg x-amz-meta-owner=anna
    s3 put main/photos/middle.jpg "$W/middle"
    put main/notes/a.txt "some text"
    put main/notes/empty ""
    put main/notes/x.tmp "not wanted"
    put other/left.txt "not below the prefix"
    sleep 3
    fresh first "s3://bucket-eu/main" "" 'exclude: ["*.tmp"]'
    dr 0 -v --json backup
    read_of 4 4
    [ "$(of_backup '["entries"]')" = 6 ] || fail "$(cat "$OUT")"
    restored
    cmp "$W/large" "$W/back/photos/large.jpg" || fail "large.jpg is another"
    cmp "$W/middle" "$W/back/photos/middle.jpg" || fail "middle.jpg is another"
    [ "$(cat "$W/back/notes/a.txt")" = "some text" ] || fail "a.txt is another"
    [ -f "$W/back/notes/empty" ] && [ ! -s "$W/back/notes/empty" ] || fail "empty is not"
    [ "$(cd "$W/back" && find . -type f | wc -l)" = 4 ] || fail "$(find "$W/back")"
    [ "$(getfattr --absolute-names --only-values -n user.s3.meta.owner "$W/back/photos/large.jpg")" = anna ] \
        || fail "the metadata is not there"
    [ "$(getfattr --absolute-names --only-values -n user.s3.content-type "$W/back/photos/large.jpg")" = image/jpeg ] \
        || fail "the content type is not there"
    dr 0 --json snapshots
    [ "$(json 'd["snapshots"][0]["kind"]')" = bucket ] || fail "$(cat "$OUT")"
}

# An unchanged bucket costs a listing: no object is asked for.
unchanged() {
    use first
    dr 0 -v backup
    read_of 0 4
    says 'source media: .* 0 B'
}

changes() {
    use first
    put main/notes/a.txt "SOME TEXT" # as long as before
    s3 delete main/photos/middle.jpg
    put main/notes/new "new"
    dr 0 -v backup
    read_of 2 4
    restored
    [ "$(cat "$W/back/notes/a.txt")" = "SOME TEXT" ] || fail "the change was not seen"
    [ ! -e "$W/back/photos/middle.jpg" ] || fail "what was deleted is still there"
    [ "$(cat "$W/back/notes/new")" = new ] || fail "the new one is missing"
}

# Every odd key comes back, and its path tells it.
odd_keys() {
    /usr/bin/python3 - "$W/odd.json" <<'PY'
import json, sys
keys = ["plain", "Upper Case", "ümlaut/日本", "a", "a/b", "a!", "a-", "a-/x", "a/", "b/",
        "b//c", "/lead", "//two", "end/", "trail//", ".", "..", "../up", "./here", "x/../y",
        "x/.", "50%", "%2F", "%41", "%", "a%", "a%/b", "%-", "q?&=+#;\"'<>*", "tab\there",
        "line\nend", "deep/" * 100 + "leaf", "l" * 255, "l" * 700, "l" * 300 + "/x",
        "m" * 250, "m" * 251, "é" * 200, "n/" + "%" * 300, "back\\slash", "~tilde", "z z/ "]
full = {"b/": "content", "end/": ""}
json.dump({"odd/" + k: full.get(k, "of " + k if not k.endswith("/") else "") for k in keys},
          open(sys.argv[1], "w"))
PY
    s3 fill "$W/odd.json"
    fresh odd "s3://bucket-eu/odd/"
    dr 0 -v backup
    restored
    /usr/bin/python3 - "$W/odd.json" "$W/back" <<'PY' || fail "keys do not come back"
import json, os, re, sys
want = {k[4:]: v for k, v in json.load(open(sys.argv[1])).items()}
# As drtool.yaml(5) says.
def key(path):
    path = path.replace("%-/", "")
    return re.sub(r"%([0-9A-F]{2})|%", lambda m: chr(int(m[1], 16)) if m[1] else "", path)
files, folders = {}, set()
for at, ds, fs in os.walk(sys.argv[2]):
    below = os.path.relpath(at, sys.argv[2])
    folders |= {os.path.normpath(os.path.join(below, d)) for d in ds}
    for f in fs:
        path = os.path.normpath(os.path.join(below, f))
        files[key(path)] = open(os.path.join(at, f)).read()
# Markers without content are folders.
markers = {k for k in want if k.endswith("/") and not want[k]}
missing = {k: v for k, v in want.items() if k not in markers and files.get(k) != v}
assert not missing, missing
assert len(files) == len(want) - len(markers), set(files) - set(want)
assert {key(f) + "/" for f in folders} >= markers, markers - {key(f) + "/" for f in folders}
PY
    dr 0 -v backup # the same names again
    says 'source media: [0-9]+ of 3[0-9] objects'
    sleep 3
    dr 0 -v backup
    dr 0 -v backup
    says 'source media: 0 of'
    put "odd/plain/below" "now it is a folder, too"
    dr 0 -v backup
    says 'source media: 2 of'
    restored
    [ "$(cat "$W/back/plain%")" = "of plain" ] || fail "the object beside its folder is lost"
    [ "$(cat "$W/back/plain/below")" = "now it is a folder, too" ] || fail "below is lost"
}

# Several pages of a listing, folders once, in bounded memory.
many() {
    s3 many many/d1/ 1100
    s3 many many/d1-/ 10
    s3 many many/d2/ 140
    sleep 3
    fresh many "s3://bucket-eu/many"
    dr 0 -v --json backup
    read_of 1250 1250
    [ "$(of_backup '["entries"]')" = 1253 ] || fail "$(cat "$OUT")"
    restored
    [ "$(find "$W/back" -type f | wc -l)" = 1250 ] || fail "not all are there"
    dr 0 -v backup
    read_of 0 1250
    s3 delete many/d2/00007
    dr 0 -v --json backup
    read_of 0 1249
}

# A large object is read piece by piece: memory does not grow with it.
memory() {
    local kib
    head -c 300000000 /dev/urandom >"$W/huge"
    s3 put huge/object "$W/huge"
    fresh huge "s3://bucket-eu/huge"
    AS=(/usr/bin/time -f %M -o "$W/peak")
    LIMIT=300 dr 0 backup
    AS=()
    kib=$(tail -n 1 "$W/peak")
    [ "$kib" -le 131072 ] || fail "the backup took $kib KiB"
    restored
    cmp "$W/huge" "$W/back/object" || fail "the object is another"
    [ "$(du -sk "$R/state" | cut -f 1)" -lt 200000 ] || fail "a copy lies in the state folder"
}

# narrow NAME URL N: a repository whose bucket is reached over line N of 8 MB/s.
narrow() {
    local port=$(($(s3_port eu) + 50 + $3))
    line_between "$1" "$port" "$(s3_port eu)" 2 8000000
    fresh "$1" "$2" "$port"
}

# came NAME: bytes that have come over that line.
came() {
    rm -f "$W/count"
    echo "count $W/count" >"$W/$1.control"
    until [ -s "$W/count" ]; do sleep .01; done
    cut -d ' ' -f 2 "$W/count"
}

# start_over NAME BYTES ARG...: as dr_start, and waits until so much has come.
start_over() {
    local before name=$1 bytes=$2
    before=$(came "$name")
    shift 2
    dr_start "$@"
    until [ $(($(came "$name") - before)) -ge "$bytes" ]; do
        live "$pid" || fail "it ended before $bytes bytes had come: $(cat "$ERR")"
        sleep .02
    done
}

# Overwritten while it is read: the new one is taken, whole; deleted: it is left out.
overwritten() {
    head -c 40000000 /dev/urandom >"$W/old"
    head -c 40000000 /dev/urandom >"$W/new"
    s3 put moving/object "$W/old" x-amz-meta-version=old
    put moving/other "stays"
    narrow moving "s3://bucket-eu/moving" 1
    start_over moving 9000000 backup
    s3 put moving/object "$W/new" x-amz-meta-version=new
    dr_wait
    [ "$got" -eq 0 ] || fail "backup ended with $got: $(cat "$ERR")"
    restored
    cmp "$W/new" "$W/back/object" || fail "it is not the new one"
    [ "$(getfattr --absolute-names --only-values -n user.s3.meta.version "$W/back/object")" = new ] \
        || fail "its metadata is the old one's"
    s3 put moving/object "$W/old"
    start_over moving 9000000 backup
    s3 delete moving/object
    dr_wait
    [ "$got" -eq 3 ] || fail "backup ended with $got, not 3: $(cat "$ERR")"
    says 'object.*(vanished|gone|does not exist)'
    restored
    [ ! -e "$W/back/object" ] || fail "a part of it was kept"
    [ "$(cat "$W/back/other")" = stays ] || fail "the other one is lost"
}

# A line that breaks: it goes on where it was.
broken_line() {
    head -c 40000000 /dev/urandom >"$W/long"
    s3 put line/object "$W/long"
    narrow line "s3://bucket-eu/line" 2
    start_over line 20000000 -v backup
    echo cut >"$W/line.control"
    dr_wait
    [ "$got" -eq 0 ] || fail "backup ended with $got: $(cat "$ERR")"
    says 'trying again'
    [ "$(came line)" -lt 52000000 ] || fail "it began anew: $(came line) bytes came"
    restored
    cmp "$W/long" "$W/back/object" || fail "the object is another"
    put line/second "more"
    echo refuse >"$W/line.control"
    dr 8 backup
}

# The status and a clear sentence for what can be wrong.
wrong() {
    fresh wrong "s3://bucket-eu/main"
    EU_SECRET=wrong dr 7 backup
    says '(secret key|refused|credentials)'
    EU_KEY=AKnobody dr 7 backup
    EU_KEY=AKus EU_SECRET=SKus-0123456789 dr 7 backup # another's
    fresh nobody "s3://bucket-eu/main" 9
    dr 8 backup
    says '127\.0\.0\.1'
    fresh missing "s3://no-such-bucket"
    dr 10 backup
    says 'no-such-bucket does not exist'
    sed -i 's/^  - { name: media,/& allow-empty: true,/' "$CONF"
    dr 0 backup
    fresh empty "s3://bucket-eu/nothing-there"
    dr 10 backup
    says 'is empty'
    sed -i 's/^  - { name: media,/& allow-empty: true,/' "$CONF"
    dr 0 backup
    grep -q 'SKeu-0123456789' "$ALL" && fail "a secret was printed"
    return 0
}

# Another bucket, or half of it, is not taken for the same.
guarded() {
    fresh guard "s3://bucket-eu/many/d1"
    dr 0 backup
    sed -i 's|bucket-eu/many/d1|bucket-eu/many|' "$CONF"
    dr 10 backup
    says 'is another bucket .*accept-changed-source'
    dr 0 backup --accept-changed-source
    sed -i 's|region: eu,|& exclude: ["/d1/"],|' "$CONF"
    dr 10 backup
    says 'has shrunk'
}

try "a server" servers || finish
try "first backup and restore, with metadata" first
try "an unchanged bucket is not read" unchanged
try "what changed, came and went" changes
try "every odd key" odd_keys
try "thousands of objects, in pages" many
try "a large object in bounded memory" memory
try "overwritten or deleted while it is read" overwritten
try "a line that breaks" broken_line
try "wrong keys, no server, no bucket, nothing in it" wrong
try "another bucket, and one that has shrunk" guarded
finish
