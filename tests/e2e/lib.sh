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
# the folder.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SCRIPT=$(basename "$0" .sh)
DRTOOL=$(realpath "${DRTOOL:-$here/../../build/release/drtool}")
LONG=${DRTOOL_LONG:-}

# Mounts, devices, owners and the server's daemons need root.
if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || {
        echo "not ok $SCRIPT: needs root, or sudo without a password"
        exit 1
    }
    exec sudo -n DRTOOL="$DRTOOL" DRTOOL_LONG="$LONG" KEEP="${KEEP:-}" "$(realpath "$0")"
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

# stop PID [SIGNAL]: and waits until it is gone.
stop() {
    kill -"${2:-TERM}" "$1" 2>/dev/null
    for _ in $(seq 400); do
        live "$1" || break
        sleep .02
    done
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
    CASE=$1
    shift
    ("$@")
    local status=$?
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
}

# The status of drtool in $got; output in $OUT and $ERR.
dr_any() {
    timeout -k 5 "${LIMIT:-120}" "$DRTOOL" -c "$CONF" "$@" >"$OUT" 2>"$ERR" </dev/null
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

# same A B: rsync finds no difference between the folders.
same() {
    local diff
    diff=$(rsync -aHAX --checksum --dry-run --itemize-changes --delete "$1/" "$2/" 2>&1)
    [ -z "$diff" ] || fail "$2 is not $1: $(head -n 5 <<<"$diff")"
}

# right_so_far SOURCE COPY: every file of COPY that has a final name is a whole
# file of SOURCE.
right_so_far() {
    local name
    while IFS= read -r -d '' name; do
        cmp -s "$1/$name" "$2/$name" || fail "$2/$name has wrong bytes"
    done < <(cd "$2" 2>/dev/null && find . -type f ! -name '.drtool-*' \
        ! -path '*/.drtool-*' -print0)
}

# back SNAPSHOT SOURCE [STATUS]: restores and compares with the folder SOURCE.
back() {
    rm -rf "$W/back"
    dr "${3:-0}" restore "$1" --to "$W/back"
    same "$2" "$W/back$2"
    rm -rf "$W/back"
}

# Bytes of the objects below DIR that are newer than the file NEWER.
new_bytes() {
    find "$1" -type f -newer "$2" -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'
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
    while live "$pid"; do
        [ $SECONDS -lt $deadline ] || stop "$pid" KILL
        sleep .01
    done
    wait "$pid" 2>/dev/null
    got=$?
    rm -f "$W/started/$pid"
    cat "$OUT" "$ERR" >>"$ALL"
}
