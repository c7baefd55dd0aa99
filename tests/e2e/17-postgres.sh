#!/bin/bash
# A PostgreSQL server is backed up under load; what is restored starts and is one moment.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

PG=$here/../servers/postgres.sh
PORT=$((20000 + $$ % 10000))
use main

pg() {
    "$PG" run "$W/pg" "$@"
}

sql() {
    pg psql -X -q -A -t -v ON_ERROR_STOP=1 -d postgres -c "$1" 2>"$W/sql.err" \
        || fail "$1: $(cat "$W/sql.err")"
}

make_server() {
    "$PG" start "$W/pg" "$PORT" || fail "no server"
    pg pgbench -q -i -s 5 postgres >"$W/pgbench.log" 2>&1 || fail "$(tail -3 "$W/pgbench.log")"
    new_conf main 2
    echo "  - { name: pg, postgres: { dsn: \"host=$W/pg port=$PORT user=postgres\" } }" >>"$CONF"
    dr 0 init --yes-saved
}

# start_copy DIR: a server on what was restored there, on another port.
start_copy() {
    mkdir -p "$W/copy"
    rm -rf "$W/copy/data"
    mv "$1" "$W/copy/data"
    chown postgres "$W/copy"
    echo "unix_socket_directories = '$W/copy'" >>"$W/copy/data/postgresql.conf"
    "$PG" start "$W/copy" $((PORT + 10000)) || fail "it does not start: $(tail -3 "$W/copy/log")"
}

copy() {
    "$PG" run "$W/copy" "$@"
}

stop_copy() {
    "$PG" stop "$W/copy"
}

# What pgbench's transactions leave unchanged.
check_bank() {
    local sums
    sums=$(copy psql -X -q -A -t -d postgres -c "SELECT (SELECT sum(abalance) FROM pgbench_accounts),
        (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches),
        (SELECT coalesce(sum(delta), 0) FROM pgbench_history)") || fail "the copy gives no sums"
    [ "$(tr '|' '\n' <<<"$sums" | sort -u | wc -l)" -eq 1 ] || fail "the sums differ: $sums"
    echo "$sums"
}

# check_copy DIR: pg_verifybackup knows every file, the server starts, its indexes fit
# its tables, and the sums agree.
check_copy() {
    "$PG" run "$W/pg" pg_verifybackup "$1" >"$W/verify" 2>&1 || fail "$(head -3 "$W/verify")"
    start_copy "$1"
    copy psql -X -q -d postgres -c 'CREATE EXTENSION IF NOT EXISTS amcheck' || fail "no amcheck"
    copy pg_amcheck --all --heapallindexed >"$W/amcheck" 2>&1 || fail "$(head -3 "$W/amcheck")"
    check_bank >"$W/sums"
    stop_copy
}

backs_up_under_load() {
    local n before after
    pg pgbench -n -c 8 -T 600 postgres >"$W/load.log" 2>&1 &
    started $!
    for n in 1 2; do
        for _ in $(seq 200); do
            before=$(sql 'SELECT count(*) FROM pgbench_history')
            [ "$before" -gt $((n * 300)) ] && break
            sleep .05
        done
        dr 0 backup pg
        after=$(sql 'SELECT count(*) FROM pgbench_history')
        dr 0 restore pg --to "$W/r$n"
        check_copy "$W/r$n"
        [ "$after" -gt "$before" ] || fail "there was no load"
        "$PG" start "$W/copy" $((PORT + 10000)) || fail "it does not start again"
        n=$(copy psql -X -q -A -t -d postgres -c 'SELECT count(*) FROM pgbench_history')
        stop_copy
        [ "$n" -ge "$before" ] && [ "$n" -le "$after" ] \
            || fail "the copy has $n transactions, not $before to $after"
    done
    pkill -INT -u postgres pgbench
    wait
}

# A quiet server: only what a checkpoint touches, and one segment of the log.
stores_what_changed() {
    local added size
    sql CHECKPOINT
    dr 0 backup pg
    sql "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 10000 = 0;
         UPDATE pgbench_accounts SET abalance = abalance - 1 WHERE aid % 10000 = 0"
    dr 0 backup pg
    dr 0 snapshots --json
    added=$(json 'd["snapshots"][-1]["stored_bytes"]') || exit 99
    size=$(json 'd["snapshots"][-1]["bytes"]') || exit 99
    [ $((20 * added)) -le "$size" ] || fail "$added bytes of $size were added for 100 rows"
}

tells_its_facts() {
    dr 0 snapshots --json
    [ "$(json 'd["snapshots"][-1]["kind"]')" = postgres ] || fail "$(cat "$OUT")"
    json 'd["snapshots"][-1]["facts"]' >"$W/facts"
    local id
    id=$(sql 'SELECT system_identifier FROM pg_control_system()')
    says "'system-id': '$id'" "$W/facts"
    says "'start-lsn': '[0-9A-F]+/[0-9A-F]+'.*'stop-lsn': '[0-9A-F]+/[0-9A-F]+'" "$W/facts"
    says "'version': '15\.|'wal-segment-size': '16MB'" "$W/facts"
    says "'relations': '[1-9][0-9][0-9]+'" "$W/facts"
}

# A table in a tablespace comes along, in a folder beside the copy or where it is told.
brings_tablespaces() {
    local number
    mkdir "$W/space"
    chown postgres "$W/space"
    sql "CREATE TABLESPACE far LOCATION '$W/space'"
    sql "CREATE TABLE away TABLESPACE far AS SELECT generate_series(1, 50000) AS n"
    dr 0 backup pg
    number=$(sql "SELECT oid FROM pg_tablespace WHERE spcname = 'far'")
    mv "$W/space" "$W/space-is-gone"
    dr 0 restore pg --to "$W/r4"
    says "tablespace $number, which was at $W/space, is at $W/r4-tablespaces/$number"
    dr 0 restore pg --to "$W/r5" --tablespace "$number=$W/by-number"
    dr 0 restore pg --to "$W/r6" --tablespace "$W/space=$W/by-place"
    for n in 4 5 6; do
        check_copy "$W/r$n"
        "$PG" start "$W/copy" $((PORT + 10000)) || fail "it does not start again"
        [ "$(copy psql -X -q -A -t -d postgres -c 'SELECT sum(n) FROM away')" = 1250025000 ] \
            || fail "the table is not whole"
        stop_copy
    done
    [ -d "$W/by-number" ] && [ -d "$W/by-place" ] || fail "the places are not used"
    [ ! -e "$W/r5-tablespaces" ] && [ ! -e "$W/r6-tablespaces" ] || fail "others are made"
    dr 2 restore pg --to "$W/r7" --tablespace "999=$W/x"
    says 'the snapshot has no tablespace for 999='
    dr 1 restore pg --to "$W/r7" --tablespace "$number=$W/by-place"
    says "$W/by-place is not empty"
    [ ! -e "$W/r7" ] || fail "something was restored"
    mv "$W/space-is-gone" "$W/space"
    sql 'DROP TABLE away'
    sql 'DROP TABLESPACE far'
}

# The folder of a server is never mixed with another one's; what was begun goes on.
restores_into_empty_folders() {
    local pid
    mkdir "$W/full"
    : >"$W/full/x"
    dr 1 restore pg --to "$W/full"
    says "$W/full is not empty"
    [ "$(ls "$W/full")" = x ] || fail "something was restored"
    "$DRTOOL" -c "$CONF" --limit-download 10MiB restore pg --to "$W/part" >/dev/null 2>&1 &
    pid=$!
    for _ in $(seq 500); do
        [ -e "$W/part/PG_VERSION" ] && break
        sleep .01
    done
    { kill -9 $pid && wait $pid; } 2>/dev/null
    [ -e "$W/part/PG_VERSION" ] || fail "nothing was restored before the kill"
    [ ! -e "$W/part/global/pg_control" ] || fail "a server could start on a part"
    dr 0 restore pg --to "$W/part"
    [ "$(stat -c '%U %a' "$W/part")" = 'postgres 700' ] || fail "$(stat -c '%U %a' "$W/part")"
    [ ! -e "$W/part/.drtool-restoring" ] || fail "the mark is left"
    check_copy "$W/part"
    dr 0 restore pg /base/1 --to "$W/files"
    [ -e "$W/files/base/1/PG_VERSION" ] || fail "a part of it is not restored"
}

# The server finds the page and says so at the end of an otherwise good copy.
backup_of_a_damaged_page() {
    local file
    sql "CREATE TABLE victim AS SELECT generate_series(1, 5000) AS n"
    sql CHECKPOINT
    file=$(sql "SELECT pg_relation_filepath('victim')")
    cp -a "$W/pg/data/$file" "$W/victim"
    printf 'rot' | dd of="$W/pg/data/$file" bs=1 seek=9000 conv=notrunc 2>/dev/null
    dr 10 backup pg
    says "source pg: PostgreSQL: the server: .*checksum verification failure.*$file"
    cp -a "$W/victim" "$W/pg/data/$file"
    sql 'DROP TABLE victim'
}

backup_of_a_dying_server() {
    local pid
    sed "s/user=postgres\"/&, max-rate: 8MiB/" "$CONF" >"$R/slow.yaml"
    "$DRTOOL" -c "$R/slow.yaml" backup pg >"$OUT" 2>"$ERR" &
    pid=$!
    for _ in $(seq 500); do
        [ "$(sql "SELECT count(*) FROM pg_stat_progress_basebackup WHERE backup_streamed > 1000000")" = 1 ] \
            && break
        sleep .01
    done
    "$PG" kill9 "$W/pg"
    wait $pid
    got=$?
    "$PG" start "$W/pg" "$PORT" || fail "the server does not come back"
    [ $got -eq 8 ] || [ $got -eq 10 ] || fail "it ended with $got: $(cat "$ERR")"
    says 'source pg: PostgreSQL: '
}

backup_without_a_server() {
    cp "$CONF" "$W/conf"
    sed -i "s/port=$PORT/port=1/" "$CONF"
    dr 8 backup pg
    says 'source pg: PostgreSQL: connecting: '
    cp "$W/conf" "$CONF"
    sql "CREATE ROLE reader LOGIN"
    sed -i "s/user=postgres/user=reader/" "$CONF"
    dr_any backup pg
    [ "$got" -eq 7 ] || [ "$got" -eq 8 ] || fail "a role without rights ended with $got"
    says 'replication'
    cp "$W/conf" "$CONF"
    sed -i "s/user=postgres/user=postgres password=x/" "$CONF"
    dr 2 backup pg
    says 'the dsn must not hold the password'
    cp "$W/conf" "$CONF"
}

# The same address, another cluster: a restored or a new one, or a wrong host.
backup_of_another_server() {
    "$PG" stop "$W/pg"
    "$PG" start "$W/other" "$PORT" || fail "no other server"
    cp "$CONF" "$W/conf"
    sed -i "s|host=$W/pg|host=$W/other|" "$CONF"
    dr 10 backup pg
    says 'source pg is another database system \([0-9]+\) than at its last backup'
    "$PG" stop "$W/other"
    cp "$W/conf" "$CONF"
    "$PG" start "$W/pg" "$PORT" || fail "the server does not come back"
}

stop_all() {
    local dir
    for dir in pg copy other; do
        [ -e "$W/$dir/data" ] && "$PG" kill9 "$W/$dir"
    done
    clean_up
}
trap stop_all EXIT
try "a server is made" make_server || finish
try "a copy made under load starts and is one moment" backs_up_under_load
try "a few rows add a few pages" stores_what_changed
try "its facts are in the snapshot" tells_its_facts
try "tablespaces come along" brings_tablespaces
try "only an empty folder is restored into" restores_into_empty_folders
try "a page with a wrong checksum is no backup" no_snapshot_more backup_of_a_damaged_page
try "a server that dies meanwhile is no backup" no_snapshot_more backup_of_a_dying_server
try "a server that is away or refuses is told" no_snapshot_more backup_without_a_server
try "another server is not the one it was" no_snapshot_more backup_of_another_server
finish
