#!/bin/bash
# A PostgreSQL server archives its log; from it the server comes back at any moment.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

PG=$here/../servers/postgres.sh
PORT=$((20000 + $$ % 10000))
cd "$W" || exit 1
cp "$DRTOOL" "$W/drtool" # where the server's user finds it
DRTOOL=$W/drtool
# All of it is the server's user's.
AS=(setpriv --reuid=postgres --regid=postgres --init-groups env "HOME=$W/home")
use main

pg() {
    "$PG" run "$W/pg" "$@"
}

sql() {
    pg psql -X -q -A -t -v ON_ERROR_STOP=1 -d postgres -c "$1" 2>"$W/sql.err" \
        || fail "$1: $(cat "$W/sql.err")"
}

copy_sql() {
    "$PG" run "$W/copy" psql -X -q -A -t -v ON_ERROR_STOP=1 -d postgres -c "$1" 2>"$W/sql.err" \
        || fail "$1: $(cat "$W/sql.err")"
}

make_server() {
    new_conf main 3
    echo "  - { name: pg, postgres: { dsn: \"host=$W/pg port=$PORT user=postgres\" } }" >>"$CONF"
    chown -R postgres "$R" "$HOME"
    mkdir -p "$W/pg" && chown postgres "$W/pg"
    "$PG" start "$W/pg" "$PORT" || fail "no server"
    dr 0 init --yes-saved
    cat >>"$W/pg/data/postgresql.conf" <<X
archive_mode = on
archive_command = '$DRTOOL -c $CONF wal push %p'
track_commit_timestamp = on
max_wal_size = 128MB
wal_keep_size = 512MB
X
    "$PG" stop "$W/pg"
    "$PG" start "$W/pg" "$PORT" || fail "it does not start: $(tail -3 "$W/pg/log")"
    pg pgbench -q -i -s 2 postgres >"$W/pgbench.log" 2>&1 || fail "$(tail -3 "$W/pgbench.log")"
    sql "CREATE TABLE marks (n serial, at timestamptz DEFAULT clock_timestamp())"
}

# Ends the segment, and waits until the server was told that it is safe.
archived() {
    local name
    sql 'SELECT txid_current()' >/dev/null # an empty segment is not switched
    name=$(sql "SELECT pg_walfile_name(pg_switch_wal())") || exit 99
    for _ in $(seq 600); do
        [ ! "$(sql "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")" \< "$name" ] \
            && return
        sleep .1
    done
    fail "$name was not archived: $(tail -5 "$W/pg/log")"
}

# start_copy: a server on $W/copy/data, on another port.
start_copy() {
    chown postgres "$W/copy"
    echo "unix_socket_directories = '$W/copy'" >>"$W/copy/data/postgresql.conf"
    "$PG" start "$W/copy" $((PORT + 10000)) || fail "it does not start: $(tail -8 "$W/copy/log")"
    for _ in $(seq 600); do
        [ "$(copy_sql 'SELECT pg_is_in_recovery()')" = f ] && return
        sleep .05
    done
    fail "its recovery does not end: $(tail -5 "$W/copy/log")"
}

# recover SNAPSHOT OPTION...: restored, started, and its log replayed.
recover() {
    [ ! -e "$W/copy/data" ] || "$PG" stop "$W/copy"
    rm -rf "$W/copy"
    mkdir "$W/copy" && chown postgres "$W/copy"
    dr 0 restore "$1" --to "$W/copy/data" ${ALONE---no-archive} "${@:2}"
    start_copy
}

# What pgbench's transactions leave unchanged.
check_bank() {
    local sums
    sums=$(copy_sql "SELECT (SELECT sum(abalance) FROM pgbench_accounts),
        (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches),
        (SELECT coalesce(sum(delta), 0) FROM pgbench_history)") || exit 99
    [ "$(tr '|' '\n' <<<"$sums" | sort -u | wc -l)" -eq 1 ] || fail "the sums differ: $sums"
}

# has_marks N: the rows 1 to N, and no other.
has_marks() {
    local have
    have=$(copy_sql 'SELECT count(*), max(n) FROM marks') || exit 99
    [ "$have" = "$1|$1" ] || fail "it has count and last $have, not $1"
}

# A file that is stored, and still there; in the server's folder.
stored_file() {
    local f
    for f in pg_wal/archive_status/[0-9A-F]*.done; do
        f=$(basename "$f" .done)
        [ ${#f} -ne 24 ] || [ ! -e "pg_wal/$f" ] || { echo "$f" && return; }
    done
    fail "no file is stored"
}

# key_of NAME: its object's key on t1.
key_of() {
    objects t1 | grep -i "/${1:0:8}/${1:8}-" | head -1
}

objects() {
    find "$R/$1/log" -type f 2>/dev/null | sed "s|^$R/$1/||" | sort
}

stores_the_log() {
    local file
    archived
    for t in t1 t2 t3; do
        [ "$(objects $t | wc -l)" -ge 3 ] || fail "$t has $(objects $t | wc -l) files of the log"
    done
    cd "$W/pg/data" || exit 99
    file=$(stored_file) || exit 99
    dr 0 wal push "pg_wal/$file"
    dr 0 wal push "pg_wal/$file" --json
    [ "$(json 'd["known_files"], d["stored_files"]')" = '(1, 0)' ] || fail "$(cat "$OUT")"
    # The same without this host's memory: the targets tell.
    rm -rf "$R/state/main/wal"
    dr 0 wal push "pg_wal/$file" --json
    [ "$(json 'd["known_files"] > 0')" = True ] || fail "$(cat "$OUT")"
    dr 0 wal fetch "$file" "$W/home/fetched" --system "$(sql 'SELECT system_identifier FROM pg_control_system()')"
    cmp "$W/home/fetched" "pg_wal/$file" || fail "it is not what was stored"
}

# A key that cannot read what is stored stores files, and knows them again.
stores_with_a_writers_key() {
    local file
    cd "$W/pg/data" || exit 99
    file=$(stored_file) || exit 99
    dr 0 key add --role writer --key-file "$R/writer.key"
    sed "s|key: .*|key: { file: $R/writer.key }|" "$CONF" >"$R/writer.yaml"
    chown postgres "$R/writer.yaml"
    cp "$CONF" "$R/conf.admin"
    cp "$R/writer.yaml" "$CONF"
    rm -rf "$R/state/main/wal"
    dr 0 wal push "pg_wal/$file" --json
    [ "$(json 'd["known_files"] > 0')" = True ] || fail "$(cat "$OUT")"
    dr 126 wal fetch "$file" "$W/home/x"
    says 'role writer may not open stored data'
    archived
    cp "$R/conf.admin" "$CONF"
}

# Another file under the same name, with and without memory; and what is none.
refuses_others() {
    local file
    cd "$W/pg/data" || exit 99
    file=$(stored_file) || exit 99
    mkdir -p "$W/home/pg_wal"
    cp "pg_wal/$file" "$W/home/pg_wal/$file"
    printf x | dd of="$W/home/pg_wal/$file" bs=1 seek=100000 conv=notrunc 2>/dev/null
    chown -R postgres "$W/home/pg_wal"
    dr 10 wal push "$W/home/pg_wal/$file"
    says "another file was stored as $file"
    rm -rf "$R/state/main/wal"
    dr 10 wal push "$W/home/pg_wal/$file"
    says "another file was stored as $file"
    cp -p "pg_wal/$file" "$W/home/pg_wal/0000000100000000000000FF"
    dr 10 wal push "$W/home/pg_wal/0000000100000000000000FF"
    says 'not what its name says'
    head -c 100000 "pg_wal/$file" >"$W/home/pg_wal/$file"
    dr 10 wal push "$W/home/pg_wal/$file"
    says 'has 100000 bytes, and a segment 16777216'
    dr 10 wal push "$W/home/pg_wal/notes.txt"
    says 'no file of a log is called so'
    sql 'CREATE TABLE begun AS SELECT 1'
    sql "SELECT pg_walfile_name(pg_current_wal_lsn())" >"$W/current"
    dr 10 wal push "pg_wal/$(cat "$W/current")"
    says 'the server may still write it'
    dr 2 wal push
    dr 2 wal fetch 000000010000000000000001
}

# Eight clients work, and one writes marks; each moment lies between two commits.
comes_back_at_any_moment() {
    local rounds=${LONG:+20} i n at
    rounds=${rounds:-3}
    pg pgbench -n -c 8 -T 600 postgres >"$W/load.log" 2>&1 &
    started $!
    for i in $(seq 5); do sql 'INSERT INTO marks DEFAULT VALUES'; done
    dr 0 backup pg
    for i in $(seq $((rounds * 5))); do
        sql 'INSERT INTO marks DEFAULT VALUES'
        sleep .1
        [ $((i % 5)) -ne 0 ] || sql 'SELECT pg_switch_wal()' >/dev/null
    done
    pkill -INT -u postgres pgbench
    wait
    archived
    sql "SELECT n, to_char(c + (lead(c) OVER (ORDER BY n) - c) / 2, 'YYYY-MM-DD HH24:MI:SS.USOF')
         FROM (SELECT n, pg_xact_commit_timestamp(xmin) AS c FROM marks) AS x ORDER BY n" >"$W/moments"
    for i in $(shuf -i 6-$((rounds * 5 + 4)) -n "$rounds"); do
        IFS='|' read -r n at < <(sed -n "${i}p" "$W/moments")
        recover pg --to-time "$at"
        has_marks "$n"
        check_bank
        [ ! -e "$W/copy/data/pg_wal/.drtool-ahead" ] || fail "files fetched ahead are left"
    done
}

comes_back_at_other_points() {
    local last lsn xid
    sql "SELECT pg_create_restore_point('before the mistake')" >/dev/null
    last=$(sql 'SELECT max(n) FROM marks')
    sql 'INSERT INTO marks DEFAULT VALUES'
    lsn=$(sql 'SELECT pg_current_wal_lsn()')
    sql 'INSERT INTO marks DEFAULT VALUES'
    xid=$(sql 'SELECT xmin FROM marks ORDER BY n DESC LIMIT 1')
    sql 'INSERT INTO marks DEFAULT VALUES'
    archived
    recover pg --to-name 'before the mistake'
    has_marks "$last"
    recover pg --to-lsn "$lsn"
    has_marks $((last + 1))
    recover pg --to-xid "$xid"
    has_marks $((last + 2))
    recover pg
    has_marks $((last + 3))
    check_bank
    recover pg --to-snapshot
    [ "$(copy_sql 'SELECT max(n) FROM marks')" = 5 ] || fail "it went on behind the backup"
    dr 0 restore pg --to "$W/home/exact" --to-time "$(date -u +'%F %T')Z" --json
    json 'd["point"]' | grep -q '\.000000+00$' || fail "it is not that second: $(cat "$OUT")"
    grep -q "archive_mode = 'off'" "$W/home/exact/postgresql.auto.conf" && fail "it archives nothing"
    dr 2 restore pg --to "$W/home/x" --to-lsn 0/1 --to-latest
    says 'only one of --to-time'
    dr 2 restore pg --to "$W/home/x" --to-time yesterday
    says '"yesterday" is no time such as'
    dr 1 restore pg --to "$W/home/x" --to-time 2020-01-01
    says 'no backup of pg was complete before 2020-01-01'
    [ ! -e "$W/home/x" ] || fail "something was restored"
}

# A copy becomes the server, on a timeline of its own, and is backed up; both sides of the
# switch can be had.
follows_timelines() {
    local last
    last=$(sql 'SELECT max(n) FROM marks')
    "$PG" stop "$W/pg"
    ALONE="" recover pg
    cp "$CONF" "$R/first.yaml"
    sed "s|host=$W/pg port=$PORT|host=$W/copy port=$((PORT + 10000))|" "$CONF" >"$R/copy.yaml"
    copy_sql 'INSERT INTO marks (n) VALUES (1001)'
    cp "$R/copy.yaml" "$CONF"
    dr 0 backup pg
    copy_sql 'INSERT INTO marks (n) VALUES (1002)'
    name=$(copy_sql 'SELECT pg_walfile_name(pg_switch_wal())')
    for _ in $(seq 600); do
        [ ! "$(copy_sql "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")" \< "$name" ] && break
        sleep .1
    done
    objects t1 | grep -q '/00000002/history-' || fail "no history: $(objects t1)"
    "$PG" stop "$W/copy"
    recover pg
    [ "$(copy_sql 'SELECT max(n) FROM marks')" = 1002 ] || fail "behind the switch it is $(copy_sql 'SELECT max(n) FROM marks')"
    dr 0 snapshots --json
    first=$(json 'd["snapshots"][0]["id"]')
    recover "$first" --to-latest --timeline 1
    has_marks "$last"
    # Without its history nobody knows where the newest timeline comes from.
    mkdir "$W/home/histories"
    for t in t1 t2 t3; do mv "$R/$t"/log/*/00000002/history-* "$W/home/histories/$t"; done
    name=$(objects t1 | sed -n 's|/00000002/.*|/00000002|p' | head -1)/history-$(sha256sum <"$W/home/histories/t1" | cut -c 1-64)
    dr 8 restore "$first" --to "$W/home/x" --to-latest
    says 'the history of timeline 2 cannot be read'
    for t in t1 t2 t3; do mv "$W/home/histories/$t" "$R/$t/$name"; done
    # The first server goes on all the same: nobody can know which is meant.
    "$PG" stop "$W/copy"
    "$PG" start "$W/pg" "$PORT" || fail "the server does not come back"
    sql 'INSERT INTO marks DEFAULT VALUES'
    archived
    dr 2 restore "$first" --to "$W/home/x" --to-latest
    says 'two servers went on from timeline 1 at [0-9A-F/]+: say which is meant by --timeline 1 or --timeline 2'
    recover "$first" --to-latest --timeline 1
    has_marks $((last + 1))
    recover "$first" --to-latest --timeline 2
    [ "$(copy_sql 'SELECT max(n) FROM marks')" = 1002 ] || fail "an old backup does not come to the new timeline"
    "$PG" stop "$W/copy"
    # A backup of the first server, which the newest timeline does not go on from.
    cp "$R/first.yaml" "$CONF"
    dr 0 backup pg
    recover pg
    has_marks $((last + 1))
    says 'timeline 2 does not go on from this backup'
    "$PG" stop "$W/copy"
}

# Without a quorum the server keeps the file; nothing is lost when the targets are back.
keeps_what_has_no_quorum() {
    local name
    mv "$R/t3" "$R/t3-away"
    archived
    mv "$R/t2" "$R/t2-away"
    sql 'INSERT INTO marks DEFAULT VALUES'
    name=$(sql 'SELECT pg_walfile_name(pg_switch_wal())')
    for _ in $(seq 200); do
        grep -q "$name is not on the 2 targets that must have it" "$W/pg/log" && break
        sleep .1
    done
    grep -q "$name is not on the 2 targets" "$W/pg/log" || fail "it is not told: $(tail -5 "$W/pg/log")"
    [ -e "$W/pg/data/pg_wal/archive_status/$name.ready" ] || fail "the server believes that it is safe"
    mv "$R/t2-away" "$R/t2"
    dr_any sync # it brings the file to t2: then the quorum has it, and t3 may stay away
    archived
    mv "$R/t3-away" "$R/t3"
    objects t2 | grep -qi "$(cut -c 9- <<<"$name")" || fail "$name is not on t2"
}

# 1 only when no target can have it; a recovery must not end for a target that is away.
tells_what_it_cannot_know() {
    local name=0000000100000000000000F0
    cd "$W/pg/data" || exit 99
    dr 1 wal fetch $name "$W/home/x"
    says "$name is not stored"
    mv "$R/t3" "$R/t3-away"
    dr 1 wal fetch $name "$W/home/x"
    mv "$R/t2" "$R/t2-away"
    dr 126 wal fetch $name "$W/home/x"
    says "$name is on none of the targets that answer"
    name=$(stored_file) || exit 99
    dr 0 wal fetch "$name" "$W/home/fetched"
    # A configuration that cannot be read is no end of a log.
    chmod 0 "$CONF"
    dr 126 wal fetch "$name" "$W/home/x"
    chmod 644 "$CONF"
    mkdir -p "$W/home/standby/global"
    cp global/pg_control "$W/home/standby/global"
    : >"$W/home/standby/standby.signal"
    chown -R postgres "$W/home/standby"
    cd "$W/home/standby" || exit 99
    dr 8 wal fetch 0000000100000000000000F0 "$W/home/x"
    mv "$R/t2-away" "$R/t2"
    mv "$R/t3-away" "$R/t3"
}

reads_what_is_whole() {
    local name key
    cd "$W/pg/data" || exit 99
    name=$(stored_file) || exit 99
    key=$(key_of "$name")
    for t in t1 t2 t3; do
        chmod u+w "$R/$t/$key"
        cp -p "$R/$t/$key" "$W/home/good.$t"
        printf rot | dd of="$R/$t/$key" bs=1 seek=3000 conv=notrunc 2>/dev/null
        [ $t = t3 ] || dr 0 wal fetch "$name" "$W/home/fetched"
        cmp "$W/home/fetched" "pg_wal/$name" || fail "wrong bytes were believed"
    done
    rm "$W/home/fetched"
    dr 126 wal fetch "$name" "$W/home/fetched"
    [ ! -e "$W/home/fetched" ] || fail "wrong bytes were written"
    for t in t1 t2 t3; do cp -p "$W/home/good.$t" "$R/$t/$key"; done
}

# The spool is enough when the configuration says so; what waits is sent later.
trusts_the_spool_when_told() {
    cp "$CONF" "$R/conf.quorum"
    echo 'wal: { ack: spool }' >>"$CONF"
    mv "$R/t2" "$R/t2-away"
    mv "$R/t3" "$R/t3-away"
    archived
    dr_any status --json
    [ "$(json '{x["target"]: x["objects"] > 0 for x in d["waiting_logs"]}')" = "{'t2': True, 't3': True}" ] \
        || fail "it is not told what waits: $(cat "$OUT")"
    mv "$R/t2-away" "$R/t2"
    mv "$R/t3-away" "$R/t3"
    cp "$R/conf.quorum" "$CONF"
    dr 0 sync
    dr 0 status --json
    [ "$(json 'd["waiting_logs"]')" = '[]' ] || fail "something waits"
    [ "$(objects t1)" = "$(objects t2)" ] && [ "$(objects t1)" = "$(objects t3)" ] \
        || fail "the targets differ"
}

# What lies there under the name is not believed before it was read; what is queued and
# lost is stored anew.
believes_nothing_unread() {
    local name key t
    cd "$W/pg/data" || exit 99
    name=$(stored_file) || exit 99
    key=$(key_of "$name")
    for t in t1 t2 t3; do
        cp -p "$R/$t/$key" "$W/home/good.$t"
        cp -p "$W/home/good.$t" "$W/home/bad"
        printf rot | dd of="$W/home/bad" bs=1 seek=2000 conv=notrunc 2>/dev/null
        rm "$R/$t/$key"
        cp -p "$W/home/bad" "$R/$t/$key"
    done
    rm -rf "$R/state/main/wal"
    dr 0 wal push "pg_wal/$name"
    dr 0 wal fetch "$name" "$W/home/fetched"
    cmp "$W/home/fetched" "pg_wal/$name" || fail "it is not stored anew"
    for t in t1 t2 t3; do cp -p "$W/home/good.$t" "$R/$t/$key"; done
    # Another file's object under this name, from one target: the others decide.
    rm -rf "$R/state/main/wal"
    other=$(objects t1 | grep -E '/00000001/[0-9a-f]{16}-' | grep -v "$key" | head -1)
    rm -f "$R/t1/$key"
    cp -p "$R/t1/$other" "$R/t1/$key"
    dr 0 wal push "pg_wal/$name"
    cp -p "$W/home/good.t1" "$R/t1/$key"
    # All targets refuse, then the spool is lost: no status 0 for what is nowhere.
    mkdir "$W/home/off"
    for t in t1 t2 t3; do mv "$R/$t" "$W/home/off/$t"; done
    sql 'INSERT INTO marks DEFAULT VALUES'
    sql 'SELECT pg_switch_wal()' >/dev/null
    name=$(ls -t pg_wal/archive_status | grep ready | head -1)
    name=${name%.ready}
    dr_any wal push "pg_wal/$name"
    [ "$got" -ne 0 ] || fail "it was told as safe without a target"
    rm -f "$R"/state/main/wal/spool/log*
    for t in t1 t2 t3; do mv "$W/home/off/$t" "$R/$t"; done
    for _ in 1 2 3; do
        dr_any wal push "pg_wal/$name"
        [ "$got" -ne 0 ] || break
    done
    [ "$got" -eq 0 ] || fail "it is not stored anew: $(cat "$ERR")"
    dr 0 wal fetch "$name" "$W/home/fetched"
    cmp "$W/home/fetched" "pg_wal/$name" || fail "it is not what it was"
}

# Two hosts that cannot see each other: neither is told that both are safe.
keeps_one_file_of_a_name() {
    local name
    cd "$W/pg/data" || exit 99
    name=$(ls pg_wal | grep -E '^[0-9A-F]{24}$' | sort | tail -1)
    name=$(printf '%s%08X' "${name:0:16}" $((16#${name:16} + 100)))
    mkdir -p "$W/home/twin/pg_wal"
    /usr/bin/python3 - "$W/home/twin/pg_wal/$name" "pg_wal/$(stored_file)" <<'PY'
import struct, sys
data = bytearray(open(sys.argv[2], "rb").read())
place = int(sys.argv[1][-16:], 16)
struct.pack_into("<IQ", data, 4, 1, ((place >> 32) * 256 + (place & 0xffffffff)) << 24)
open(sys.argv[1], "wb").write(data)
PY
    chown -R postgres "$W/home/twin"
    mv "$R/t3" "$R/t3-away"
    dr 0 wal push "$W/home/twin/pg_wal/$name"
    mv "$R/t3-away" "$R/t3"
    rm -rf "$R/state/main/wal"
    printf other | dd of="$W/home/twin/pg_wal/$name" bs=1 seek=5000 conv=notrunc 2>/dev/null
    mv "$R/t1" "$R/t1-away"
    mv "$R/t2" "$R/t2-away"
    dr_any wal push "$W/home/twin/pg_wal/$name"
    [ "$got" -ne 0 ] || fail "without a quorum it was told as safe"
    mv "$R/t1-away" "$R/t1"
    mv "$R/t2-away" "$R/t2"
    for _ in 1 2 3; do
        dr_any wal push "$W/home/twin/pg_wal/$name"
        [ "$got" -ne 0 ] || fail "both were told as safe"
    done
    says "another file was stored as $name"
    dr 126 wal fetch "$name" "$W/home/fetched"
    says "two different files are stored as $name"
    find "$R" -path "*log*" -name "$(cut -c 9- <<<"$name" | tr A-F a-f)-*" -delete
    rm -rf "$R/state/main/wal"
}

# Which moments can be had, and which not; a target that lacks files gets them.
tells_what_can_be_had() {
    local key to name
    dr 0 status --json
    [ "$(json '[(x["source"], len(x["windows"]) > 0) for x in d["logs"]]')" = "[('pg', True)]" ] || fail "$(cat "$OUT")"
    to=$(json 'd["logs"][0]["windows"][-1]["to"]') || exit 99
    [[ $to > $(json 'd["logs"][0]["windows"][-1]["from"]') ]] || fail "$(cat "$OUT")"
    dr 0 verify --level 3
    key=$(objects t1 | grep -E '/00000001/[0-9a-f]{16}-' | tail -2 | head -1)
    mv "$R/t2/$key" "$W/home/kept"
    printf rot | dd of="$R/t3/$key" bs=1 seek=3000 conv=notrunc 2>/dev/null
    dr 6 verify --level 3
    says "$(basename "$key")"
    dr 0 verify --level 3 --heal
    cmp "$R/t2/$key" "$W/home/kept" || fail "t2 did not get it back"
    cmp "$R/t3/$key" "$W/home/kept" || fail "t3 is not mended"
    rm "$R/t1/$key" "$R/t2/$key" "$R/t3/$key"
    # Whoever recovers must not take the hole for the end.
    cd "$W/pg/data" || exit 99
    name=00000001$(sed 's|.*/\([0-9a-f]*\)-.*|\1|' <<<"$key" | tr a-f A-F)
    dr 126 wal fetch "$name" "$W/home/x"
    says "$name is missing, and files behind it are stored"
    dr 11 verify
    says 'source pg: a file of its log is missing at [0-9A-F]+/[0-9A-F]+ of timeline 1'
    dr 0 status
    says 'a file of the log is missing' "$OUT"
    dr 0 status --json
    [[ $(json 'd["logs"][0]["windows"][-1]["to"]') < $to ]] || fail "$(cat "$OUT")"
    cp -p "$W/home/kept" "$R/t1/$key"
    dr 0 sync
    dr 0 verify
}

# Whatever is killed: what the server was told as safe is on the quorum, and right.
loses_nothing_when_killed() {
    local rounds=${LONG:+30} i name f has
    rounds=${rounds:-3}
    for i in $(seq "$rounds"); do
        pg psql -X -q -d postgres -c 'INSERT INTO marks SELECT FROM generate_series(1, 200000)' \
            >/dev/null 2>&1 &
        sleep ".$((RANDOM % 10))"
        case $((i % 3)) in
        0) "$PG" kill9 "$W/pg" ;;
        *) pkill -KILL -u postgres -f 'drtool -c .* wal push' ;;
        esac
        wait
        [ $((i % 3)) -ne 0 ] || "$PG" start "$W/pg" "$PORT" || fail "it does not come back"
        for f in "$W"/pg/data/pg_wal/archive_status/*.done; do
            name=$(basename "$f" .done)
            [ -e "$W/pg/data/pg_wal/$name" ] || continue
            cd "$W/pg/data" || exit 99
            dr 0 wal fetch "$name" "$W/home/fetched"
            cmp -s "$W/home/fetched" "pg_wal/$name" || fail "$name is not what it was"
            has=0
            for t in t1 t2 t3; do
                objects $t | grep -qi "/$(cut -c 9- <<<"$name")-" && has=$((has + 1))
            done
            [ $has -ge 2 ] || [[ $name == *.history ]] || fail "$name is on $has targets"
        done
    done
    archived
}

stop_all() {
    local dir
    for dir in pg copy; do
        [ -e "$W/$dir/data" ] && "$PG" kill9 "$W/$dir"
    done
    clean_up
}
trap stop_all EXIT
try "a server is made" make_server || finish
try "its log is stored" stores_the_log || finish
try "a writer's key is enough to store" stores_with_a_writers_key
try "other files are refused" refuses_others
try "it comes back at any moment" comes_back_at_any_moment || finish
try "it comes back at a position, transaction or name" comes_back_at_other_points
try "timelines are followed" follows_timelines
try "without a quorum the server keeps its files" keeps_what_has_no_quorum
try "that a file is not there is said only when it is known" tells_what_it_cannot_know
try "damage is found and passed over" reads_what_is_whole
try "the spool is enough when that is wanted" trusts_the_spool_when_told
try "what was not read is not believed" believes_nothing_unread
try "two files of one name are not both safe" keeps_one_file_of_a_name
try "what can be had is told, and what is missing" tells_what_can_be_had
try "nothing is lost when something is killed" loses_nothing_when_killed
finish
