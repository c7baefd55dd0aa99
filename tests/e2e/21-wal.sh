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
X
    "$PG" stop "$W/pg"
    "$PG" start "$W/pg" "$PORT" || fail "it does not start: $(tail -3 "$W/pg/log")"
    pg pgbench -q -i -s 2 postgres >"$W/pgbench.log" 2>&1 || fail "$(tail -3 "$W/pgbench.log")"
    sql "CREATE TABLE marks (n serial, at timestamptz DEFAULT clock_timestamp())"
}

# Ends the segment, and waits until the server was told that it is safe.
archived() {
    local name
    name=$(sql "SELECT pg_walfile_name(pg_switch_wal())") || exit 99
    for _ in $(seq 600); do
        [ ! "$(sql "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")" \< "$name" ] \
            && return
        sleep .1
    done
    fail "$name was not archived: $(tail -5 "$W/pg/log")"
}

# start_copy [on]: a server on $W/copy/data, on another port.
start_copy() {
    chown postgres "$W/copy"
    {
        echo "unix_socket_directories = '$W/copy'"
        echo "archive_mode = ${1:-off}"
    } >>"$W/copy/data/postgresql.conf"
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
    dr 0 restore "$1" --to "$W/copy/data" "${@:2}"
    start_copy "${ARCHIVE:-off}"
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
    file=$(ls pg_wal | grep -E '^[0-9A-F]{24}$' | head -1)
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

# Another file under the same name, with and without memory; and what is none.
refuses_others() {
    local file
    cd "$W/pg/data" || exit 99
    file=$(ls pg_wal | grep -E '^[0-9A-F]{24}$' | head -1)
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
    ARCHIVE=on recover pg
    sed "s|host=$W/pg port=$PORT|host=$W/copy port=$((PORT + 10000))|" "$CONF" >"$R/copy.yaml"
    copy_sql 'INSERT INTO marks (n) VALUES (1001)'
    CONF=$R/copy.yaml
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
    recover "$first" --to-latest
    [ "$(copy_sql 'SELECT max(n) FROM marks')" = 1002 ] || fail "an old backup does not come to the new timeline"
    "$PG" stop "$W/copy"
    "$PG" start "$W/pg" "$PORT" || fail "the server does not come back"
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
    mv "$R/t3-away" "$R/t3"
    archived
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
    name=$(ls pg_wal | grep -E '^[0-9A-F]{24}$' | head -1)
    dr 0 wal fetch "$name" "$W/home/fetched"
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
    name=$(ls pg_wal | grep -E '^[0-9A-F]{24}$' | head -1)
    key=$(objects t1 | grep -i "/$(cut -c 9- <<<"$name")-")
    for t in t1 t2 t3; do
        chmod u+w "$R/$t/$key"
        cp "$R/$t/$key" "$W/home/good.$t"
        printf rot | dd of="$R/$t/$key" bs=1 seek=3000 conv=notrunc 2>/dev/null
        [ $t = t3 ] || dr 0 wal fetch "$name" "$W/home/fetched"
        cmp "$W/home/fetched" "pg_wal/$name" || fail "wrong bytes were believed"
    done
    rm "$W/home/fetched"
    dr 126 wal fetch "$name" "$W/home/fetched"
    [ ! -e "$W/home/fetched" ] || fail "wrong bytes were written"
    for t in t1 t2 t3; do cp "$W/home/good.$t" "$R/$t/$key"; done
}

# The spool is enough when the configuration says so; what waits is sent later.
trusts_the_spool_when_told() {
    cp "$CONF" "$R/conf.quorum"
    echo 'wal: { ack: spool }' >>"$CONF"
    mv "$R/t2" "$R/t2-away"
    mv "$R/t3" "$R/t3-away"
    archived
    mv "$R/t2-away" "$R/t2"
    mv "$R/t3-away" "$R/t3"
    cp "$R/conf.quorum" "$CONF"
    dr 4 status --json
    [ "$(json '{x["target"]: x["objects"] > 0 for x in d["waiting_logs"]}')" = "{'t2': True, 't3': True}" ] \
        || fail "it is not told what waits: $(cat "$OUT")"
    dr 0 sync
    dr 0 status --json
    [ "$(json 'd["waiting_logs"]')" = '[]' ] || fail "something waits"
    [ "$(objects t1)" = "$(objects t2)" ] && [ "$(objects t1)" = "$(objects t3)" ] \
        || fail "the targets differ"
}

# Which moments can be had, and which not; a target that lacks files gets them.
tells_what_can_be_had() {
    local key to
    dr 0 status --json
    [ "$(json '[(x["source"], len(x["windows"])) for x in d["logs"]]')" = "[('pg', 1)]" ] || fail "$(cat "$OUT")"
    to=$(json 'd["logs"][0]["windows"][0]["to"]') || exit 99
    [[ $to > $(json 'd["logs"][0]["windows"][0]["from"]') ]] || fail "$(cat "$OUT")"
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
try "other files are refused" refuses_others
try "it comes back at any moment" comes_back_at_any_moment || finish
try "it comes back at a position, transaction or name" comes_back_at_other_points
try "timelines are followed" follows_timelines
try "without a quorum the server keeps its files" keeps_what_has_no_quorum
try "that a file is not there is said only when it is known" tells_what_it_cannot_know
try "damage is found and passed over" reads_what_is_whole
try "the spool is enough when that is wanted" trusts_the_spool_when_told
try "what can be had is told, and what is missing" tells_what_can_be_had
try "nothing is lost when something is killed" loses_nothing_when_killed
finish
