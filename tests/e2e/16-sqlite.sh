#!/bin/bash
# A SQLite database is backed up while it is written to, and restored as of one moment.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

DB=$W/app.db
use main

# A ledger: the total is always the sum of the entries, between transactions.
make_database() {
    new_conf main 2
    echo "  - { name: app, sqlite: { path: $DB, count-rows: true } }" >>"$CONF"
    /usr/bin/python3 - "$DB" <<'PY' || fail "no database"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA journal_mode=WAL")
db.execute("CREATE TABLE total(n INT)")
db.execute("CREATE TABLE entry(id INTEGER PRIMARY KEY, n INT, fill BLOB)")
db.execute("INSERT INTO total VALUES(40000)")
db.executemany("INSERT INTO entry(n, fill) VALUES(1, randomblob(800))", [()] * 40000)
db.commit()
PY
    dr 0 init --yes-saved
}

# Writes one transaction after another until it is stopped.
start_writer() {
    /usr/bin/python3 - "$DB" "$W/written" <<'PY' &
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
n = 0
while True:
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE entry SET fill = randomblob(800) WHERE id = 1 + abs(random() % 40000)")
    db.execute("INSERT INTO entry(n, fill) VALUES(7, randomblob(10))")
    db.execute("UPDATE total SET n = n + 7")
    db.execute("COMMIT")
    n += 1
    if n % 100 == 0:
        open(sys.argv[2], "w").write(str(n))
PY
    writer=$!
    started "$writer"
    for _ in $(seq 500); do
        [ -s "$W/written" ] && return
        sleep .02
    done
    fail "nothing is written"
}

# check_ledger FILE: prints the number of entries.
check_ledger() {
    /usr/bin/python3 - "$1" <<'PY' || fail "$1 is not whole"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
count, total = db.execute("SELECT count(*), sum(n) FROM entry").fetchone()
assert db.execute("SELECT n FROM total").fetchone() == (total,)
print(count)
PY
}

backs_up_beside_a_writer() {
    local before n count
    start_writer
    for n in 1 2 3; do
        before=$(cat "$W/written")
        dr 0 backup app
        dr 0 restore app --to "$W/r$n"
        count=$(check_ledger "$W/r$n/app.db") || exit 99
        [ "$count" -ge $((40000 + before)) ] || fail "it is older than the backup: $count"
        dr 0 snapshots --json
        [ "$(json 'd["snapshots"][-1]["facts"]["rows/entry"]')" = "$count" ] \
            || fail "the fact is not $count: $(json 'd["snapshots"][-1]["facts"]')"
    done
    stop "$writer"
}

# A few transactions change a few pages of 32 MB.
stores_what_changed() {
    local added
    dr 0 backup app
    /usr/bin/python3 - "$DB" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
for i in range(20):
    db.execute("UPDATE entry SET fill = randomblob(800) WHERE id = ?", (i * 1999 + 1,))
db.commit()
PY
    dr 0 backup app
    dr 0 snapshots --json
    added=$(json 'd["snapshots"][-1]["stored_bytes"]') || exit 99
    [ "$added" -le 2000000 ] || fail "$added bytes were added for 20 rows"
    [ "$(json 'd["snapshots"][-1]["kind"], d["snapshots"][-1]["facts"]["relations"]')" \
        = "('sqlite', '2')" ] || fail "$(cat "$OUT")"
}

leaves_no_copy_behind() {
    local pid
    [ -z "$(find "$R/state" -name 'copy*')" ] || fail "$(find "$R/state" -name 'copy*')"
    "$DRTOOL" -c "$CONF" backup app >/dev/null 2>&1 &
    pid=$!
    for _ in $(seq 1000); do
        [ -n "$(find "$R/state" -name copy)" ] && break
        live "$pid" || break
    done
    { kill -9 "$pid" && wait "$pid"; } 2>/dev/null
    dr 0 backup app
    [ -z "$(find "$R/state" -name 'copy*')" ] || fail "$(find "$R/state" -name 'copy*')"
}

refuses_what_is_not_it() {
    local snapshots
    dr 0 snapshots --json
    snapshots=$(json 'len(d["snapshots"])')
    cp "$DB" "$W/kept"
    printf 'no longer a database, but a text that is long enough' >"$DB"
    dr 10 backup app
    says "source app: .*$DB: SQLite: file is not a database"
    rm -f "$DB" "$DB-wal" "$DB-shm"
    dr 10 backup app
    says "the database $DB: No such file"
    cp "$W/kept" "$W/other.db"
    ln -s "$W/other.db" "$DB"
    dr 10 backup app
    says "source app is another database \($W/other.db\) than at its last backup"
    dr 0 backup app --accept-changed-source
    dr 0 snapshots --json
    [ "$(json 'len(d["snapshots"])')" -eq $((snapshots + 1)) ] || fail "$(cat "$OUT")"
}

try "a database is made" make_database || finish
try "beside a writer each backup is one moment" backs_up_beside_a_writer
try "a few rows add a few pages" stores_what_changed
try "a killed backup leaves no copy for ever" leaves_no_copy_behind
try "what is damaged, gone or another one is no backup" refuses_what_is_not_it
finish
