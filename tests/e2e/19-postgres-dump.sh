#!/bin/bash
# A PostgreSQL server's databases are dumped; loaded into another server they are the same.
# shellcheck source=tests/e2e/lib.sh disable=SC2015,SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

unset "${!PG@}" # the environment of libpq
PG=$here/../servers/postgres.sh
PORT=$((20000 + $$ % 10000))
PASSWORD="a pa:ss\\w'ord geheim"
use main

# psql_in SERVER ARG...: without a password, over the server's socket.
psql_in() {
    local server=$1
    shift
    "$PG" run "$W/$server" psql -X -q -A -t -v ON_ERROR_STOP=1 "$@" 2>"$W/sql.err" </dev/null \
        || fail "$*: $(cat "$W/sql.err")"
}

sql() {
    psql_in pg -d "${2:-postgres}" -c "$1"
}

make_server() {
    "$PG" start "$W/pg" "$PORT" || fail "no server"
    sql "CREATE ROLE keeper LOGIN SUPERUSER PASSWORD '${PASSWORD//\'/\'\'}'"
    sed -i '1i host all keeper 127.0.0.1/32 scram-sha-256' "$W/pg/data/pg_hba.conf"
    "$PG" run "$W/pg" pg_ctl -D data reload >/dev/null || fail "no reload"
    sql 'CREATE ROLE clerk LOGIN CONNECTION LIMIT 7'
    sql 'CREATE DATABASE shop'
    sql 'CREATE DATABASE "odd/100% name" OWNER clerk'
    "$PG" run "$W/pg" pgbench -q -i -s 4 shop >"$W/pgbench.log" 2>&1 || fail "$(tail -3 "$W/pgbench.log")"
    sql "CREATE SCHEMA more; CREATE SEQUENCE more.counter; SELECT setval('more.counter', 4711);
        CREATE TABLE more.notes AS SELECT n, CASE WHEN n % 3 > 0 THEN E'a\\tb\\n' || n END AS t
            FROM generate_series(1, 1000) AS n;
        ALTER TABLE more.notes ADD PRIMARY KEY (n); GRANT SELECT ON more.notes TO clerk" shop >"$W/made"
    sql "CREATE TABLE odd AS SELECT 'x' AS x" 'odd/100% name'
    printf '%s\n' "$PASSWORD" >"$W/password"
    chmod 600 "$W/password"
    new_conf main 2
    {
        echo "  - name: pg"
        echo "    postgres: { dsn: \"host=127.0.0.1 port=$PORT user=keeper\", method: logical,"
        echo "      count-rows: true, password: { file: $W/password } }"
    } >>"$CONF"
    dr 0 init --yes-saved
}

# sums SERVER: the rows of every table and where the sequence stands, then the roles.
sums() {
    local t
    for t in pgbench_accounts pgbench_branches pgbench_tellers pgbench_history more.notes; do
        psql_in "$1" -d shop -c "SELECT '$t', count(*), md5(string_agg(r::text, ';' ORDER BY r::text)) FROM $t AS r"
    done
    psql_in "$1" -d shop -c "SELECT last_value FROM more.counter" \
        -c "SELECT has_table_privilege('clerk', 'more.notes', 'SELECT')" \
        -c "SELECT conname FROM pg_constraint WHERE conrelid > 16000 ORDER BY 1"
    psql_in "$1" -d 'odd/100% name' -c "SELECT x, current_database() FROM odd"
    psql_in "$1" -d postgres -c "SELECT datname, datdba::regrole FROM pg_database ORDER BY 1" \
        -c "SELECT rolname, rolsuper, rolconnlimit, rolpassword FROM pg_authid ORDER BY 1"
}

# load DIR: what was restored there goes into a fresh server.
load() {
    local dump
    [ ! -e "$W/copy/data" ] || drop_copy
    "$PG" start "$W/copy" $((PORT + 10000)) || fail "no second server"
    chmod -R a+rX "$1"
    "$PG" run "$W/copy" psql -X -q -d postgres -f "$1/globals.sql" >"$W/globals" 2>&1 </dev/null
    grep -v 'role "postgres" already exists' "$W/globals" | grep -q . && fail "$(cat "$W/globals")"
    for dump in "$1"/*.dump; do
        [ "$(basename "$dump")" = postgres.dump ] && continue # every server has that one
        "$PG" run "$W/copy" pg_restore --exit-on-error --create -d postgres "$dump" >"$W/load" 2>&1 \
            || fail "$dump: $(head -3 "$W/load")"
    done
}

drop_copy() {
    "$PG" kill9 "$W/copy"
    rm -rf "$W/copy"
}

dumps_all_databases() {
    dr 0 backup pg
    dr 0 ls pg --json
    [ "$(json 'sorted(x["path"] for x in d["entries"])')" \
        = "['globals.sql', 'odd%2F100%25 name.dump', 'postgres.dump', 'shop.dump']" ] || fail "$(cat "$OUT")"
    dr 0 restore pg --to "$W/r1"
    load "$W/r1"
    sums pg >"$W/sums.pg"
    sums copy >"$W/sums.copy"
    [ "$(wc -l <"$W/sums.pg")" -ge 20 ] || fail "there is too little to compare: $(cat "$W/sums.pg")"
    cmp -s "$W/sums.pg" "$W/sums.copy" || fail "$(diff "$W/sums.pg" "$W/sums.copy" | head -5)"
}

tells_its_facts() {
    dr 0 snapshots --json
    [ "$(json 'd["snapshots"][-1]["kind"]')" = postgres-dump ] || fail "$(cat "$OUT")"
    json 'd["snapshots"][-1]["facts"]' >"$W/facts"
    says "'system-id': '$(sql 'SELECT system_identifier FROM pg_control_system()')'" "$W/facts"
    says "'version': '15\.|'role-passwords': 'yes'" "$W/facts"
    says "'database/shop': '[0-9]{8}'" "$W/facts"
    says "'rows/shop/more.notes': '1000'" "$W/facts"
    says "'rows/odd/100% name/public.odd': '1'" "$W/facts"
}

stores_what_changed() {
    local added size
    sql "UPDATE more.notes SET t = 'changed' WHERE n = 500" shop
    dr 0 backup pg
    dr 0 snapshots --json
    added=$(json 'd["snapshots"][-1]["stored_bytes"]') || exit 99
    size=$(json 'd["snapshots"][-1]["bytes"]') || exit 99
    [ "$size" -gt 30000000 ] || fail "the dumps have $size bytes"
    [ $((20 * added)) -le "$size" ] || fail "$added bytes of $size were added for one row"
}

# Under load: the dump is one moment, and its rows were counted at that moment.
is_one_moment() {
    local sums counted
    "$PG" run "$W/pg" pgbench -n -c 4 -T 120 shop >"$W/load.log" 2>&1 &
    started $!
    for _ in $(seq 500); do
        [ "$(sql 'SELECT count(*) > 200 FROM pgbench_history' shop)" = t ] && break
        sleep .02
    done
    dr 0 backup pg
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgbench'" >"$W/ended"
    wait
    dr 0 restore pg --to "$W/r2"
    load "$W/r2"
    sums=$(psql_in copy -d shop -c "SELECT (SELECT sum(abalance) FROM pgbench_accounts),
        (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches),
        (SELECT sum(delta) FROM pgbench_history)")
    [ "$(tr '|' '\n' <<<"$sums" | sort -u | wc -l)" -eq 1 ] || fail "the sums differ: $sums"
    dr 0 snapshots --json
    counted=$(json 'd["snapshots"][-1]["facts"]["rows/shop/public.pgbench_history"]') || exit 99
    [ "$counted" -gt 200 ] || fail "there was no load"
    [ "$(psql_in copy -d shop -c 'SELECT count(*) FROM pgbench_history')" = "$counted" ] \
        || fail "$counted rows were counted, and others are in the dump"
    drop_copy
}

# with SETTING COMMAND...: with a configuration that sed has changed.
with() {
    local CONF=$R/with.yaml
    sed "$1" "$R/conf.yaml" >"$CONF"
    "${@:2}"
}

dumps_named_databases() {
    with 's/method: logical/&, databases: [shop, template1]/' dr 0 backup pg
    dr 0 ls pg --json
    [ "$(json 'sorted(x["path"] for x in d["entries"])')" \
        = "['globals.sql', 'shop.dump', 'template1.dump']" ] || fail "$(cat "$OUT")"
}

# Not in an argument, not in the environment, and whatever the environment says.
hides_the_password() {
    grep -rqF geheim "$R/state" && fail "the password lies in the state"
    PGPASSWORD=wrong PGPASSFILE=/dev/null strace -f -e trace=execve -v -s 4096 -o "$W/strace" \
        "$DRTOOL" -c "$CONF" backup pg >"$OUT" 2>"$ERR" || fail "no backup under strace: $(cat "$ERR")"
    grep -q 'pg_dumpall.*/dev/stdin' "$W/strace" && grep -q 'pg_dump".*/dev/stdin' "$W/strace" \
        || fail "the programs were not seen"
    grep -qF geheim "$W/strace" && fail "the password is in an argument or an environment"
    return 0
}

# The server ends the dump's session while it copies the big table.
backup_that_is_cut_off() {
    dr_start backup pg
    sql "DO \$\$ BEGIN FOR i IN 1..2000 LOOP
        PERFORM pg_stat_clear_snapshot();
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'pg_dump' AND query LIKE 'COPY public.pgbench_accounts %';
        EXIT WHEN FOUND;
        PERFORM pg_sleep(.005);
    END LOOP; END \$\$"
    dr_wait
    [ "$got" -eq 10 ] || fail "it ended with $got: $(cat "$ERR")"
    says 'source pg: PostgreSQL: making shop.dump: pg_dump: .*terminating connection due to administrator'
}

# The program itself is killed while it waits for a table that somebody has locked.
backup_whose_program_is_killed() {
    local child=
    "$PG" run "$W/pg" psql -X -q -d shop -c 'BEGIN; LOCK TABLE more.notes; SELECT pg_sleep(60)' \
        >/dev/null 2>&1 </dev/null &
    started $!
    for _ in $(seq 500); do
        [ "$(sql "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
            AND relation > 16000")" = 1 ] && break
        sleep .02
    done
    dr_start backup pg
    for _ in $(seq 500); do
        [ "$(sql "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
            AND application_name = 'pg_dump'")" = 1 ] && child=$(pgrep -P "$pid") && break
        sleep .02
    done
    kill -9 "${child:?}"
    dr_wait
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'
        AND pid <> pg_backend_pid()" >"$W/ended"
    [ "$got" -eq 10 ] || fail "it ended with $got: $(cat "$ERR")"
    says 'command pg_dump exited with 137'
}

# Programs that end well and print what is no dump.
backup_of_half_a_dump() {
    mkdir -p "$W/bin"
    printf '#!/bin/sh\nexit 0\n' >"$W/bin/pg_dump"
    chmod +x "$W/bin/pg_dump"
    PATH=$W/bin:$PATH dr 10 backup pg
    says 'making odd%2F100%25 name.dump|making postgres.dump'
    says 'pg_dump printed what is no whole dump'
    rm "$W/bin/pg_dump"
    printf '#!/bin/sh\n%s "$@" | head -c 400\n' "$(command -v pg_dumpall)" >"$W/bin/pg_dumpall"
    chmod +x "$W/bin/pg_dumpall"
    PATH=$W/bin:$PATH dr 10 backup pg
    says 'making globals.sql: pg_dumpall printed what is no whole dump'
    rm "$W/bin/pg_dumpall"
}

backup_that_is_refused() {
    printf 'geheim\n' >"$W/wrong"
    chmod 600 "$W/wrong"
    with "s|$W/password|$W/wrong|" dr 7 backup pg
    says 'source pg: PostgreSQL: connecting: .*password authentication failed'
    with "s/port=$PORT/port=1/" dr 8 backup pg
    says 'source pg: PostgreSQL: connecting: '
    with 's/method: logical/&, databases: [shop, shoop]/' dr 10 backup pg
    says 'source pg: PostgreSQL: the server has no database "shoop"'
    with "s/port=$PORT/& colour=red/" dr 2 backup pg
    says 'the dsn: invalid connection option "colour"'
    with "s/user=keeper/user=clerk/; s/method: logical/&, databases: [shop]/" dr 10 backup pg
    says 'making shop.dump: pg_dump: .*permission denied for table pgbench_'
}

# A role that owns its database and no more has a dump of it, without others' passwords.
dumps_with_few_rights() {
    sql 'ALTER TABLE odd OWNER TO clerk' 'odd/100% name'
    with 's|user=keeper|user=clerk|; s|method: logical|&, databases: ["odd/100% name"]|' dr 0 backup pg
    says 'may not read the passwords of roles, so globals.sql is without them'
    dr 0 restore pg /globals.sql --to "$W/few"
    says 'CREATE ROLE keeper' "$W/few/globals.sql"
    grep -q SCRAM "$W/few/globals.sql" && fail "there are passwords"
    dr 0 snapshots --json
    [ "$(json 'd["snapshots"][-1]["facts"]["role-passwords"]')" = no ] || fail "$(cat "$OUT")"
}

# The same address, another cluster: a restored or a new one, or a wrong host.
backup_of_another_server() {
    "$PG" stop "$W/pg"
    "$PG" start "$W/other" "$PORT" || fail "no other server"
    with 's/user=keeper/user=postgres/' dr 10 backup pg
    says 'source pg is another database system \([0-9]+\) than at its last backup'
    "$PG" stop "$W/other"
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
try "all databases come back in another server" dumps_all_databases
try "its facts are in the snapshot" tells_its_facts
try "one row adds little" stores_what_changed
try "a dump under load is one moment, and so are its facts" is_one_moment
try "named databases alone are dumped" dumps_named_databases
try "the password stands in no argument or environment" hides_the_password
try "a role with few rights dumps what is its own" dumps_with_few_rights
try "a dump that is cut off is no backup" no_snapshot_more backup_that_is_cut_off
try "a dump whose program is killed is no backup" no_snapshot_more backup_whose_program_is_killed
try "half a dump is no backup" no_snapshot_more backup_of_half_a_dump
try "what is away or refused is told" no_snapshot_more backup_that_is_refused
try "another server is not the one it was" no_snapshot_more backup_of_another_server
finish
