# shellcheck shell=bash
# Shared by the end-to-end scripts, which source it. It gives each script a
# folder of its own ($W, world-passable), stops what was started when the script
# ends, and offers:
#
#   try NAME COMMAND...   one case, in a subshell: prints "ok" or "not ok: why"
#   fail WHY              ends the case
#   dr STATUS ARG...      runs drtool with $CONF and demands that exit status;
#                         its output is in $OUT and $ERR
#   finish                the script's exit status
#
# $DRTOOL is the program, DRTOOL_LONG=1 asks for the full counts, KEEP=1 keeps
# the folder, TIMES=1 tells how long each case took.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SCRIPT=$(basename "$0" .sh)
DRTOOL=$(realpath "${DRTOOL:-$here/../../build/release/drtool}")
LONG=${DRTOOL_LONG:-}
[ -x "$DRTOOL" ] || {
    echo "not ok $SCRIPT: there is no program $DRTOOL; run make first"
    exit 1
}

# Mounts, devices, owners and the server's daemons need root.
if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || {
        echo "not ok $SCRIPT: needs root, or sudo without a password"
        exit 1
    }
    exec sudo -n DRTOOL="$DRTOOL" DRTOOL_LONG="$LONG" KEEP="${KEEP:-}" \
        TIMES="${TIMES:-}" "$(realpath "$0")"
fi

unset "${!AWS_@}" "${!DRTOOL_@}" XDG_CONFIG_HOME
export LC_ALL=C
W=$(mktemp -d)
chmod 755 "$W"
export HOME=$W/home
mkdir "$HOME" "$W/started" "$W/mounted"
OUT=$W/out ERR=$W/err ALL=$W/all.log
CONF='' R=''
TALLY=$W/tally
: >"$TALLY"
exec 3>&1 # fail() may be called where standard output is captured

# Is the process there, and no zombie?
live() {
    local s
    s=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) && [ -n "$s" ] && [ "${s%% *}" != Z ]
}

# Remembers process $1, which is stopped at the end.
started() {
    : >"$W/started/$1"
}

# stop PID [SIGNAL]: and waits until it is gone; what does not go is killed.
stop() {
    {
        kill -"${2:-TERM}" "$1"
        for _ in $(seq 500); do
            live "$1" || break
            sleep .02
        done
        kill -KILL "$1"
        wait "$1"
    } 2>/dev/null
    rm -f "$W/started/$1"
}

# mount_at DIR ARG...: a mount that is undone at the end.
mount_at() {
    local dir=$1
    shift
    mkdir -p "$dir"
    mount "$@" "$dir" || fail "mount $* failed"
    echo "$dir" >"$W/mounted/$(basename "$dir")"
}

clean_up() {
    local f
    for f in "$W"/started/*; do
        [ -e "$f" ] && live "$(basename "$f")" && stop "$(basename "$f")" KILL
    done
    [ -d "$W/ceph" ] && "$here/../servers/ceph-rgw.sh" stop "$W/ceph"
    for f in "$W"/mounted/*; do
        [ -e "$f" ] && umount "$(cat "$f")"
    done
    if [ -n "${KEEP:-}" ]; then
        echo "# kept: $W"
    else
        rm -rf "$W"
    fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

fail() {
    echo "not ok $SCRIPT: $CASE: $(printf '%s' "$*" | tr '\n' ' ')" >&3
    exit 99
}

try() {
    local begun=${EPOCHREALTIME/./} status
    CASE=$1
    shift
    ("$@")
    status=$?
    [ -z "${TIMES:-}" ] || echo "# $(((${EPOCHREALTIME/./} - begun) / 1000)) ms: $CASE"
    if [ $status -eq 0 ]; then
        echo "ok $SCRIPT: $CASE"
        return
    fi
    [ $status -eq 99 ] || echo "not ok $SCRIPT: $CASE: ended with status $status"
    echo x >>"$TALLY"
    return 1
}

finish() {
    [ ! -s "$TALLY" ]
    exit
} # also behind a case that the others build on: try … || finish

# Any status, in $got; output in $OUT and $ERR. AS is put before the program.
AS=()
dr_any() {
    timeout -k 5 "${LIMIT:-120}" "${AS[@]}" "$DRTOOL" -c "$CONF" "$@" >"$OUT" 2>"$ERR" </dev/null
    got=$?
    printf '\n$ drtool %s  # %s\n' "$*" "$got" | cat - "$OUT" "$ERR" >>"$ALL"
    return 0
}

dr() {
    local want=$1 got
    shift
    dr_any "$@"
    [ "$got" -eq "$want" ] \
        || fail "drtool $* ended with $got, not $want: $(head -c 600 "$ERR")"
}

# says PATTERN [FILE]: $ERR (or FILE) has a line that matches.
says() {
    grep -qE -- "$1" "${2:-$ERR}" \
        || fail "nothing matches \"$1\" in: $(head -c 600 "${2:-$ERR}")"
}

# json EXPRESSION [FILE]: prints what Python makes of the JSON object `d`.
json() {
    /usr/bin/python3 -c 'import json, sys
d = json.load(open(sys.argv[2]))
print(eval(sys.argv[1]))' "$1" "${2:-$OUT}" || fail "$1: not in $(head -c 300 "${2:-$OUT}")"
}

# progress COUNT WHAT [SOURCE...]: $OUT has objects of progress, one a line, of
# WHAT and of all these sources (or of none), and as the last line the result.
# COUNT is an expression over the last object `p` that holds.
progress() {
    /usr/bin/python3 - "$OUT" "$@" <<'PY' || fail "no such progress: $(head -c 600 "$OUT")"
import json, sys
path, count, what, *sources = sys.argv[1:]
*lines, last = [json.loads(line) for line in open(path)]
assert last["type"] == "result" and last["schema"].startswith("drtool."), last
numbers = {"bytes_done", "bytes_per_second", "files_done", "elapsed_seconds"}
unknown = {"bytes_total", "eta_seconds"}
for p in lines:
    assert p["type"] == "progress" and p["what"] == what, p
    assert numbers <= set(p) <= numbers | unknown | {"type", "what", "source"}, p
    assert all(type(p[k]) is int and p[k] >= 0 for k in (numbers | unknown) & set(p)), p
assert [s for i, s in enumerate(p.get("source") for p in lines)
        if i == 0 or s != lines[i - 1].get("source")] == (sources or [None]), lines
assert eval(count), p
PY
}

# Everything of the repository NAME lies in $R; its configuration is $CONF.
use() {
    R=$W/repo/$1
    CONF=$R/conf.yaml
}

# A fresh configuration with N folders t1.. in $R as targets; becomes $CONF.
# Sources are appended by source_files and source_command.
new_conf() {
    local name=$1 n=$2 i
    use "$name"
    mkdir -p "$R"
    {
        echo "repository: $name"
        echo "key: { file: $R/key }"
        echo "state: $R/state"
        echo "targets:"
        for ((i = 1; i <= n; i++)); do
            mkdir -p "$R/t$i"
            echo "  - { name: t$i, url: \"file://$R/t$i\" }"
        done
        echo "sources:"
    } >"$CONF"
}

# source_files NAME DIR [MORE]: MORE are further keys of `files`.
source_files() {
    echo "  - { name: $1, files: { paths: [\"$2\"]${3:+, $3} } }" >>"$CONF"
}

# source_command NAME ARGV: ARGV as YAML writes a list's inside.
source_command() {
    echo "  - { name: $1, command: { argv: [$2]${3:+, $3} } }" >>"$CONF"
}

# random_tree DIR FILES BYTES_MAX: files of random sizes in a few folders.
random_tree() {
    /usr/bin/python3 - "$@" <<'PY'
import os, random, sys
root, count, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for i in range(count):
    d = os.path.join(root, "d%d" % (i % 7), "e%d" % (i % 3))
    os.makedirs(d, exist_ok=True)
    with open(os.path.join(d, "f%d" % i), "wb") as f:
        f.write(os.urandom(random.randrange(most)))
PY
}

# same A B [RSYNC-OPTION...]: rsync finds no difference between the folders.
same() {
    local a=$1 b=$2 diff
    shift 2
    diff=$(rsync -aHAX --checksum --dry-run --itemize-changes --delete "$@" "$a/" "$b/" 2>&1)
    [ -z "$diff" ] || fail "$b is not $a: $(head -n 5 <<<"$diff")"
}

# same_manifest A B: neither does manifest.py, which also sees where holes are.
same_manifest() {
    "$here/manifest.py" "$1" >"$W/manifest.a" || fail "no manifest of $1"
    "$here/manifest.py" "$2" >"$W/manifest.b" || fail "no manifest of $2"
    [ -s "$W/manifest.a" ] || fail "the manifest of $1 is empty"
    cmp -s "$W/manifest.a" "$W/manifest.b" || fail "$2 is not $1:" \
        "$(diff "$W/manifest.a" "$W/manifest.b" | cut -c 1-300 | head -n 4)"
}

# right_so_far SOURCE COPY [NOT]: every file of COPY that has a final name is a
# whole file of SOURCE; NOT is a path that is left out.
right_so_far() {
    local name
    while IFS= read -r -d '' name; do
        cmp -s "$1/$name" "$2/$name" || fail "$2/$name has wrong bytes"
    done < <(cd "$2" 2>/dev/null && find . -path "${3:-}" -prune -o -type f \
        ! -name '.drtool-*' ! -path '*/.drtool-*' -print0)
}

# back SNAPSHOT SOURCE [STATUS]: restores and compares with the folder SOURCE.
back() {
    rm -rf "$W/back"
    dr "${3:-0}" restore "$1" --to "$W/back"
    same "$2" "$W/back$2"
    rm -rf "$W/back"
}

# line_between NAME PORT TARGET-PORT [RTT-MS [BYTES-PER-S]]: a proxy from port to port;
# its commands go to $W/NAME.control, its process id is in $W/NAME.pid.
line_between() {
    local name=$1 proxy
    shift
    proxy=$(dirname "$DRTOOL")/tests/servers/proxy
    [ -x "$proxy" ] || fail "there is no program $proxy; run make tests first"
    "$proxy" "$1" "$2" "$W/$name.control" "${@:3}" 2>>"$W/$name.log" </dev/null &
    echo $! >"$W/$name.pid"
    started $!
    until ss -Hltn "sport = $1" | grep -q .; do
        live "$(cat "$W/$name.pid")" || fail "no line $name: $(cat "$W/$name.log")"
        sleep .02
    done
}

# Bytes of the objects below DIR that are newer than the file NEWER.
new_bytes() {
    find "$1" -type f -newer "$2" -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'
}

# no_snapshot_more COMMAND...: what it does becomes no snapshot.
no_snapshot_more() {
    local before after
    dr 0 snapshots --json
    before=$(json 'len(d["snapshots"])')
    "$@"
    dr 0 snapshots --json
    after=$(json 'len(d["snapshots"])')
    [ "$before" = "$after" ] || fail "it became a snapshot"
}

# now: a moment for SNAPSHOT@WHEN and for new_bytes.
now() {
    date +%FT%T
}

# Runs drtool in the background; its process id is in $pid. dr_wait waits for it,
# at most LIMIT seconds; its status is in $got.
dr_start() {
    "$DRTOOL" -c "$CONF" "$@" >"$OUT" 2>"$ERR" </dev/null &
    pid=$!
    started "$pid"
}

dr_wait() {
    local deadline=$((SECONDS + ${LIMIT:-120}))
    {
        while live "$pid"; do
            [ $SECONDS -lt $deadline ] || kill -KILL "$pid"
            sleep .01
        done
        wait "$pid"
        got=$?
    } 2>/dev/null # bash tells of a job that was killed
    rm -f "$W/started/$pid"
    cat "$OUT" "$ERR" >>"$ALL"
}

# Three S3 servers below $W/ceph, with ports, keys and buckets of their own, for
# the regions eu, us and ap.
gateways() {
    local i port
    for ((i = 0; i < 50; i++)); do # the servers take ports up to port+1200
        port=$((10000 + RANDOM % 190 * 100))
        ss -Hltn "sport >= $port and sport <= $((port + 1300))" | grep -q . || break
    done
    mkdir -p "$W/ceph"
    echo "$port" >"$W/ceph/port"
    gateways_again
}

# s3_port REGION: prints its port.
s3_port() {
    local -A at=([eu]=0 [us]=1 [ap]=2)
    echo $(($(cat "$W/ceph/port") + at[$1]))
}

# Starts those that do not run. Without a cache a killed one is back at once. STORE is
# memstore or bluestore, see ceph-rgw.sh.
gateways_again() {
    CACHE=0 STORE=${STORE:-memstore} timeout 120 "$here/../servers/ceph-rgw.sh" start "$W/ceph" \
        "$(s3_port eu)" eu us ap >"$W/ceph.out" 2>&1 \
        || fail "the servers do not start: $(cat "$W/ceph.out")"
}

gateway_down() {
    timeout 20 "$here/../servers/ceph-rgw.sh" kill9 "$W/ceph" "$1" || fail "$1 does not stop"
}

# s3_target NAME REGION CREDENTIALS [PREFIX]: a target as YAML; CREDENTIALS as
# YAML, or nothing.
s3_target() {
    echo "  - { name: $1, url: \"s3://bucket-$2${4:+/$4}\", region: $2," \
        "endpoint: \"http://127.0.0.1:$(s3_port "$2")\"${3:+, credentials: { $3 \}} }"
}

# s3_list REGION: names and sizes of its objects, asked of the server's own tool.
s3_list() {
    timeout 60 radosgw-admin -c "$W/ceph/ceph.conf" --rgw-realm="$1" --rgw-zonegroup="$1" \
        --rgw-zone="$1" bucket list --bucket="bucket-$1" --max-entries=100000 \
        >"$W/list" 2>>"$W/ceph/log/admin.cli" || fail "the bucket of $1 cannot be listed"
    json '"\n".join(sorted("%s %d" % (o["name"], o["meta"]["size"]) for o in d))' "$W/list"
}

# s3_empty REGION: its bucket, without objects.
s3_empty() {
    timeout 60 radosgw-admin -c "$W/ceph/ceph.conf" --rgw-realm="$1" --rgw-zonegroup="$1" \
        --rgw-zone="$1" bucket rm --bucket="bucket-$1" --purge-objects --bypass-gc \
        >"$W/list" 2>&1 || fail "the bucket of $1 is not emptied: $(cat "$W/list")"
    s3_call "$1" PUT "" /dev/null
}

# s3_call REGION METHOD KEY FILE: FILE is sent with PUT and written with GET.
s3_call() {
    local code sum data=(-o "$4")
    sum=$(sha256sum /dev/null)
    if [ "$2" = PUT ]; then
        sum=$(sha256sum "$4")
        data=(-o "$W/answer")
        [ -s "$4" ] && data+=(-T "$4")
    fi
    code=$(curl -sS -m 60 -w '%{http_code}' "${data[@]}" -X "$2" --aws-sigv4 "aws:amz:$1:s3" \
        --user "AK$1:SK$1-0123456789" -H "x-amz-content-sha256: ${sum%% *}" \
        "http://127.0.0.1:$(s3_port "$1")/bucket-$1${3:+/$3}")
    [ "$code" = 200 ] || [ "$code" = 204 ] || fail "$2 $3 at $1: HTTP $code"
}
