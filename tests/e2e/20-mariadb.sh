#!/bin/bash
# A MariaDB server is backed up under load; what is restored starts and is one moment.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

SERVER=$here/../servers/mariadb.sh
DIR=$W/maria
ACCOUNTS=60000
PASSWORD="a pass: \"w#ord' \\"
use main

# on DIR SQL: what the server there answers.
on() {
    "$SERVER" run "$1" mariadb -NBe "$2" 2>"$W/sql.err" || fail "$2: $(cat "$W/sql.err")"
}

sql() {
    on "$DIR" "$1"
}

start_copy() { # DIR: a server on what was restored there
    rm -rf "$W/copy"
    mkdir "$W/copy"
    mv "$1" "$W/copy/data"
    "$SERVER" start "$W/copy" || fail "it does not start: $(tail -3 "$W/copy/log")"
}

stop_copy() {
    "$SERVER" stop "$W/copy"
}

make_server() {
    "$SERVER" start "$DIR" --log-bin=binlog || fail "no server: $(tail -3 "$DIR/log")"
    mkdir "$W/far"
    chown mysql "$W/far"
    cat >"$W/make.sql" <<SQL
CREATE DATABASE crm;
USE crm;
CREATE TABLE accounts (id INT PRIMARY KEY, v BIGINT, moves BIGINT, pad CHAR(250)) ENGINE=InnoDB;
INSERT INTO accounts SELECT seq, 100, 0, SHA2(seq, 512) FROM seq_1_to_$ACCOUNTS;
CREATE TABLE moves (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b INT) ENGINE=InnoDB;
CREATE TABLE notes (id INT AUTO_INCREMENT PRIMARY KEY, t TEXT) ENGINE=Aria;
INSERT INTO notes (t) SELECT MD5(seq) FROM seq_1_to_5000;
CREATE TABLE old (id INT AUTO_INCREMENT PRIMARY KEY, t TEXT) ENGINE=MyISAM;
INSERT INTO old (t) SELECT MD5(seq) FROM seq_1_to_5000;
CREATE TABLE away (n INT PRIMARY KEY) ENGINE=InnoDB DATA DIRECTORY='$W/far';
INSERT INTO away SELECT seq FROM seq_1_to_1000;
CREATE TABLE raw (b BLOB);
INSERT INTO raw VALUES (UNHEX('00ff27225c0a')), (NULL), ('');
CREATE DATABASE empty;
DELIMITER //
CREATE PROCEDURE move_money(n INT) BEGIN
    DECLARE a, b INT;
    WHILE n > 0 DO
        SET a = 1 + FLOOR(RAND() * $ACCOUNTS), b = 1 + FLOOR(RAND() * $ACCOUNTS), n = n - 1;
        START TRANSACTION;
        UPDATE accounts SET v = v - 1, moves = moves + 1 WHERE id = a;
        UPDATE accounts SET v = v + 1, moves = moves + 1 WHERE id = b;
        INSERT INTO moves (a, b) VALUES (a, b);
        COMMIT;
        INSERT INTO notes (t) VALUES ('moved');
        INSERT INTO old (t) VALUES ('moved');
    END WHILE;
END //
DELIMITER ;
CREATE USER backup@localhost IDENTIFIED BY 'a pass: "w#ord\\' \\\\';
GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO backup@localhost;
CREATE USER dumper@localhost IDENTIFIED BY 'a pass: "w#ord\\' \\\\';
GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES, RELOAD, BINLOG MONITOR
    ON *.* TO dumper@localhost;
CREATE USER nobody@localhost IDENTIFIED BY 'a pass: "w#ord\\' \\\\';
SQL
    "$SERVER" run "$DIR" mariadb <"$W/make.sql" >"$W/make.log" 2>&1 || fail "$(cat "$W/make.log")"
    # What was created since the last checkpoint has another name until it is prepared.
    "$SERVER" stop "$DIR"
    "$SERVER" start "$DIR" --log-bin=binlog || fail "no server: $(tail -3 "$DIR/log")"
    printf '%s\n' "$PASSWORD" >"$W/password"
    chmod 600 "$W/password"
    new_conf main 2
    local how="socket: $DIR/socket, password: { file: $W/password }"
    {
        echo "  - { name: crm, mariadb: { user: backup, $how } }"
        echo "  - { name: dump, mariadb: { user: dumper, $how, method: logical } }"
        echo "  - { name: two, mariadb: { user: dumper, $how, method: logical, databases: [mysql, crm] } }"
    } >>"$CONF"
    dr 0 init --yes-saved
}

start_load() {
    local n
    : >"$W/load"
    for n in 1 2; do
        while [ -e "$W/load" ] && "$SERVER" run "$DIR" mariadb -e 'CALL crm.move_money(100)'; do
            :
        done >"$W/load.log" 2>&1 &
        started $!
    done
}

stop_load() {
    rm "$W/load"
    wait
}

# What the procedure's transactions leave unchanged, and no table is damaged.
check_copy() {
    local sums
    sums=$(on "$W/copy" "SELECT SUM(v) = 100 * $ACCOUNTS, SUM(moves) = 2 * (SELECT COUNT(*) FROM crm.moves),
        (SELECT SUM(n) FROM crm.away) FROM crm.accounts")
    [ "$sums" = "1	1	500500" ] || fail "the sums are wrong: $sums"
    "$SERVER" run "$W/copy" mariadb-check --all-databases --extended >"$W/check" 2>&1 \
        || fail "$(grep -v OK "$W/check")"
    [ "$(grep -cE '^(crm|mysql)\..* OK$' "$W/check")" -gt 30 ] || fail "$(head "$W/check")"
    # That is said of MyISAM's tables, which were open when they were copied.
    grep -v 'using or hasn.t closed the table properly' "$W/check" \
        | grep -iE 'error|warning|corrupt' && fail "$(cat "$W/check")"
    return 0
}

backs_up_under_load() {
    local n before after count table
    start_load
    for n in 1 2; do
        for _ in $(seq 200); do
            before=$(sql 'SELECT COUNT(*) FROM crm.moves')
            [ "$before" -gt $((n * 200)) ] && break
            sleep .05
        done
        dr 0 backup crm
        after=$(sql 'SELECT COUNT(*) FROM crm.moves')
        [ "$after" -gt "$before" ] || fail "there was no load"
        dr 0 restore crm --to "$W/r$n"
        [ "$(stat -c '%U %a' "$W/r$n")" = 'mysql 700' ] || fail "$(stat -c '%U %a' "$W/r$n")"
        [ -z "$(find "$W/r$n" ! -user mysql)" ] || fail "$(find "$W/r$n" ! -user mysql) belongs to others"
        [ ! -e "$W/r$n/.drtool-restoring" ] || fail "the mark is left"
        start_copy "$W/r$n"
        check_copy
        for table in moves 'notes WHERE t = "moved"' 'old WHERE t = "moved"'; do
            count=$(on "$W/copy" "SELECT COUNT(*) FROM crm.$table")
            [ "$count" -ge "$before" ] && [ "$count" -le $((after + 2)) ] \
                || fail "the copy has $count of $table, not $before to $after"
        done
        stop_copy
    done
    stop_load
}

# A quiet server: the pages of some rows, and the log.
stores_what_changed() {
    local added size
    sql 'FLUSH TABLES'
    dr 0 backup crm
    sql 'UPDATE crm.accounts SET v = v + 1 WHERE id % 3000 = 0; UPDATE crm.accounts SET v = v - 1 WHERE id % 3000 = 0'
    dr 0 backup crm
    dr 0 snapshots --json
    added=$(json 'd["snapshots"][-1]["stored_bytes"]') || exit 99
    size=$(json 'd["snapshots"][-1]["bytes"]') || exit 99
    [ $((20 * added)) -le "$size" ] || fail "$added bytes of $size were added for 20 rows"
}

# A table that lies elsewhere comes along; the copy does not go for the original.
brings_what_lies_elsewhere() {
    [ -e "$W/far/crm/away.ibd" ] || fail "the table does not lie elsewhere"
    dr 0 backup crm
    sql 'UPDATE crm.away SET n = n + 5000'
    dr 0 restore crm --to "$W/r3"
    start_copy "$W/r3"
    [ "$(on "$W/copy" 'SELECT SUM(n) FROM crm.away')" = 500500 ] || fail "it is not the copy's"
    [ "$(on "$W/copy" 'SHOW DATABASES LIKE "empty"')" = empty ] || fail "an empty database is gone"
    stop_copy
    sql 'UPDATE crm.away SET n = n - 5000'
}

tells_its_facts() {
    dr 0 backup crm
    dr 0 snapshots --json
    [ "$(json 'd["snapshots"][-1]["kind"]')" = mariadb ] || fail "$(cat "$OUT")"
    json 'd["snapshots"][-1]["facts"]' >"$W/facts"
    says "'version': '10\.11\." "$W/facts"
    says "'binlog': 'binlog\.[0-9]+:$(sql 'SHOW MASTER STATUS' | cut -f 2)'" "$W/facts"
    says "'gtid': '$(sql 'SELECT @@gtid_binlog_pos')'" "$W/facts"
    says "'to-lsn': '[0-9]+'.*'last-lsn': '[0-9]+'" "$W/facts"
}

hides_the_password() {
    local source tool
    grep -rqF 'a pass:' "$R/state" && fail "the password lies in the state"
    for source in crm:mariadb-backup two:mariadb-dump; do
        tool=${source#*:} source=${source%:*}
        strace -f -e trace=execve -v -s 4096 -o "$W/strace" \
            "$DRTOOL" -c "$CONF" backup $source >/dev/null 2>&1 || fail "no backup under strace"
        grep -qE "execve\(\"[^\"]*/$tool\", \[\"$tool\", \"--defaults-extra-file=/dev/stdin\"" "$W/strace" \
            || fail "$tool was not seen"
        grep -qF 'a pass:' "$W/strace" && fail "the password is in an argument or an environment"
    done
    return 0
}

# The administrator's option file is read together with the password.
takes_an_option_file() {
    cp "$CONF" "$W/conf"
    printf '[client]\nsocket=%s\nuser=backup\npassword=wrong\n' "$DIR/socket" >"$W/my.cnf"
    sed -i "s|user: backup, socket: $DIR/socket,|defaults-file: $W/my.cnf,|" "$CONF"
    dr 0 backup crm
    printf '[client]\nsocket=%s\nuser=backup\npassword="a pass: \\"w#ord\\'"'"' \\\\"\n' "$DIR/socket" \
        >"$W/my.cnf"
    sed -i "/name: crm/s|, password: {[^}]*}||" "$CONF"
    dr 0 backup crm
    rm "$W/my.cnf"
    dr 1 backup crm
    says "source crm: reading $W/my.cnf: No such file"
    cp "$W/conf" "$CONF"
    # One of the user's own does not get in between.
    printf '[client]\npassword=wrong\n' >"$HOME/.my.cnf"
    dr 0 backup crm
    rm "$HOME/.my.cnf"
}

# tool NAME: a program of that name, from stdin, comes before the real one, which is $REAL.
tool() {
    mkdir -p "$W/bin"
    REAL=$(command -v "$1")
    { echo "#!/bin/bash"; echo "REAL=$REAL W=$W"; cat; } >"$W/bin/$1"
    chmod +x "$W/bin/$1"
    AS=(env "PATH=$W/bin:$PATH")
}

no_tool() {
    rm -rf "$W/bin"
    AS=()
}

# Waits for the tool to come to its point, or fails.
reached() {
    for _ in $(seq 1000); do
        [ -e "$W/reached" ] && return
        sleep .02
    done
    fail "the tool was not reached: $(cat "$ERR")"
}

# Holds the stream in its middle, until it is let go.
holding_tool() {
    rm -f "$W/reached"
    : >"$W/hold"
    tool mariadb-backup <<'TOOL'
{ echo $BASHPID >$W/tool.pid; exec $REAL "$@"; } | {
    head -c 3000000
    : >$W/reached
    while [ -e $W/hold ]; do sleep .02; done
    cat
}
exit ${PIPESTATUS[0]}
TOOL
    PATH=$W/bin:$PATH dr_start backup crm
    reached
}

# As other engines have them.
brings_folders_in_folders() {
    tool mariadb-backup <<'TOOL'
for path in a/b/one a/two a/b/c/three; do
    printf "XBSTCK01\\0E\\$(printf %o ${#path})\\0\\0\\0$path"
done
exec $REAL "$@"
TOOL
    dr 0 backup crm
    no_tool
    dr 0 ls --names crm /a -r
    [ "$(tr '\n' ' ' <"$OUT")" = '/a/b /a/b/c /a/b/c/three /a/b/one /a/two ' ] || fail "$(cat "$OUT")"
}

# What is changed meanwhile comes with the log, whose pieces come between those of the
# files: it is too long for one.
brings_a_long_log() {
    holding_tool
    sql 'UPDATE crm.accounts SET pad = SHA2(pad, 512)'
    sql 'SELECT SUM(CRC32(pad)) FROM crm.accounts' >"$W/pads"
    rm "$W/hold"
    dr_wait
    no_tool
    [ "$got" -eq 0 ] || fail "it ended with $got: $(cat "$ERR")"
    dr 0 ls crm --json
    [ "$(json '[e["size"] > 12 << 20 for e in d["entries"] if e["path"].endswith("ib_logfile0")]')" \
        = '[True]' ] || fail "the log is short"
    dr 0 restore crm --to "$W/r4"
    start_copy "$W/r4"
    check_copy
    on "$W/copy" 'SELECT SUM(CRC32(pad)) FROM crm.accounts' | cmp -s - "$W/pads" \
        || fail "the changes are not all there"
    stop_copy
}

backup_of_a_dying_server() {
    holding_tool
    "$SERVER" kill9 "$DIR"
    rm "$W/hold"
    dr_wait
    no_tool
    "$SERVER" start "$DIR" --log-bin=binlog || fail "the server does not come back"
    [ "$got" -eq 8 ] || [ "$got" -eq 10 ] || fail "it ended with $got: $(cat "$ERR")"
    says 'source crm: command mariadb-backup exited with '
}

backup_by_a_dying_tool() {
    holding_tool
    kill -9 "$(cat "$W/tool.pid")"
    rm "$W/hold"
    dr_wait
    no_tool
    [ "$got" -eq 10 ] || fail "it ended with $got: $(cat "$ERR")"
    says 'source crm: command mariadb-backup exited with 137'
}

backup_that_is_cancelled() {
    holding_tool
    kill -INT "$pid"
    dr_wait
    [ "$got" -eq 130 ] || fail "it ended with $got: $(cat "$ERR")"
    live "$(cat "$W/tool.pid")" && fail "mariadb-backup goes on"
    rm "$W/hold"
    no_tool
}

backup_by_a_lying_tool() {
    tool mariadb-backup <<<'$REAL "$@" | { head -c 3000000; cat >/dev/null; }'
    dr 10 backup crm
    says 'source crm: the stream of mariadb-backup ends '
    tool mariadb-backup <<<'$REAL "$@" >/dev/null'
    dr 10 backup crm
    says 'source crm: mariadb-backup gave no redo log'
    tool mariadb-backup <<<'$REAL "$@" 2> >(grep -v completed >&2)'
    dr 10 backup crm
    says 'source crm: mariadb-backup did not say at its end that it completed OK!'
    tool mariadb-backup <<<'$REAL "$@"; exit 3'
    dr 10 backup crm
    says 'source crm: command mariadb-backup exited with 3: '
    tool mariadb-backup <<<'$REAL "$@" | sed "s/moved/MOVED/"; exit ${PIPESTATUS[0]}'
    dr 10 backup crm
    says 'source crm: the stream of mariadb-backup is damaged: a checksum of crm/'
    tool mariadb-dump <<<'$REAL "$@" | head -n -1'
    dr 10 backup two
    says 'source two: mariadb-dump did not print "-- Dump completed" at the end of mysql.sql'
    tool mariadb-dump <<<'$REAL "$@"; exit 3'
    dr 10 backup dump
    says 'source dump: command mariadb-dump exited with 3'
    no_tool
    AS=(env "PATH=$W/empty")
    dr 10 backup crm
    says 'source crm: the program mariadb cannot be started: No such file'
    AS=()
}

backup_without_a_server() {
    cp "$CONF" "$W/conf"
    sed -i "s|$DIR/socket|$W/away|" "$CONF"
    for source in crm two; do
        dr 8 backup $source
        says "source $source: MariaDB: .*Can't connect"
    done
    cp "$W/conf" "$CONF"
    echo wrong >"$W/wrong"
    chmod 600 "$W/wrong"
    sed -i "s|$W/password|$W/wrong|" "$CONF"
    for source in crm two; do
        dr 7 backup $source
        says "source $source: MariaDB: .*Access denied"
    done
    cp "$W/conf" "$CONF"
    sql 'REVOKE RELOAD ON *.* FROM backup@localhost'
    dr 7 backup crm
    says 'Error: missing required privilege RELOAD'
    grep -q 'IDENTIFIED BY' "$ALL" && fail "the hash of the password is told"
    sql 'GRANT RELOAD ON *.* TO backup@localhost'
    sed -i "s/user: [a-z]*/user: nobody/" "$CONF"
    for source in crm two; do
        dr 7 backup $source
        says 'Access denied'
    done
    cp "$W/conf" "$CONF"
}

# The same socket, another data folder: a new server, or a wrong host.
backup_of_another_server() {
    local id
    "$SERVER" start "$W/other" || fail "no other server"
    cp "$CONF" "$W/conf"
    sed -i "/name: crm/s|user: backup, socket: $DIR/socket, password: {[^}]*}|user: root, socket: $W/other/socket|" "$CONF"
    dr 10 backup crm
    id=$(xxd -s 4 -l 16 -p "$DIR/data/aria_log_control")
    says "source crm is another server \([0-9a-f]{32}\) than at its last backup \($id\)"
    cp "$W/conf" "$CONF"
}

# A server without a binlog has no coordinates.
dumps_without_a_binlog() {
    cp "$CONF" "$W/conf"
    echo "  - { name: quiet, mariadb: { user: root, socket: $W/other/socket, method: logical } }" >>"$CONF"
    dr 0 backup quiet
    dr 0 snapshots --json
    [ "$(json '"binlog" in d["snapshots"][-1]["facts"]')" = False ] || fail "$(cat "$OUT")"
    cp "$W/conf" "$CONF"
}

sums_of() { # DIR
    on "$1" 'CHECKSUM TABLE crm.accounts, crm.moves, crm.notes, crm.old, crm.away, crm.raw'
    on "$1" 'SELECT user, host, authentication_string FROM mysql.user ORDER BY 1, 2'
    on "$1" 'SHOW CREATE PROCEDURE crm.move_money; SHOW DATABASES'
}

# Into a fresh server: all of it, and one database of two.
restores_dumps() {
    dr 0 backup dump
    dr 0 snapshots --json
    [ "$(json 'd["snapshots"][-1]["kind"]')" = mariadb-dump ] || fail "$(cat "$OUT")"
    [ "$(json 'd["snapshots"][-1]["facts"]["binlog"].split(":")[1]')" \
        = "$(sql 'SHOW MASTER STATUS' | cut -f 2)" ] || fail "the coordinates are wrong"
    mkdir "$W/sql" # it is restored as files: into any folder
    : >"$W/sql/x"
    dr 0 restore dump --to "$W/sql"
    sed -i "s| DATA DIRECTORY='$W/far/'||" "$W/sql/all.sql" # there lies the first one's
    "$SERVER" run "$W/other" mariadb <"$W/sql/all.sql" || fail "the dump is not understood"
    sums_of "$DIR" >"$W/sums.was"
    sums_of "$W/other" >"$W/sums.is"
    [ "$(wc -l <"$W/sums.was")" -gt 10 ] || fail "$(cat "$W/sums.was")"
    cmp -s "$W/sums.was" "$W/sums.is" || fail "$(diff "$W/sums.was" "$W/sums.is")"
    dr 0 backup two
    dr 0 restore two --to "$W/two"
    [ "$(cd "$W/two" && echo *)" = "crm.sql mysql.sql" ] || fail "$(ls "$W/two")"
    on "$W/other" 'DROP DATABASE crm'
    sed -i "s| DATA DIRECTORY='$W/far/'||" "$W/two/crm.sql"
    "$SERVER" run "$W/other" mariadb <"$W/two/crm.sql" || fail "the dump is not understood"
    sums_of "$W/other" >"$W/sums.is"
    cmp -s "$W/sums.was" "$W/sums.is" || fail "$(diff "$W/sums.was" "$W/sums.is")"
}

# The folder of a server is never mixed with another one's; what was begun goes on.
restores_into_empty_folders() {
    mkdir "$W/full"
    : >"$W/full/x"
    dr 1 restore crm --to "$W/full"
    says "$W/full is not empty"
    [ "$(ls "$W/full")" = x ] || fail "something was restored"
    dr_start --limit-download 5MiB restore crm --to "$W/part"
    for _ in $(seq 500); do
        [ -e "$W/part/ibdata1" ] && break
        sleep .01
    done
    kill -9 "$pid"
    dr_wait
    [ -e "$W/part/ibdata1" ] || fail "nothing was restored before the kill"
    [ ! -e "$W/part/mysql/db.frm" ] || fail "a server could start on a part"
    dr 0 restore crm --to "$W/part"
    start_copy "$W/part"
    check_copy
    stop_copy
    dr 0 restore crm /crm/accounts.ibd --to "$W/files"
    [ -e "$W/files/crm/accounts.ibd" ] || fail "a part of it is not restored"
}

# What a prepare that was cut off has left is thrown away.
prepares_anew() {
    rm -f "$W/reached"
    tool mariadb-backup <<'TOOL'
[ "$1" = --prepare ] || exec $REAL "$@"
$REAL "$@" 2>&1 | head -c 1500 >/dev/null
: >$W/reached
echo $$ >$W/tool.pid
exec sleep 60
TOOL
    PATH=$W/bin:$PATH dr_start restore crm --to "$W/cut"
    reached
    kill -9 "$pid"
    dr_wait
    stop "$(cat "$W/tool.pid")" KILL
    [ ! -e "$W/cut/mysql/db.frm" ] || fail "a server could start on it"
    printf rot | dd of="$W/cut/crm/accounts.ibd" conv=notrunc bs=1 seek=100000 2>/dev/null
    : >"$W/cut/crm/left.ibd"
    tool mariadb-backup <<<'[ "$1" = --prepare ] || exec $REAL "$@"; echo "it went wrong" >&2; exit 3'
    dr 1 restore crm --to "$W/cut"
    says "preparing $W/cut: command mariadb-backup exited with 3: it went wrong"
    tool mariadb-backup <<<'[ "$1" = --prepare ] || exec $REAL "$@"; echo "so so" >&2'
    dr 1 restore crm --to "$W/cut"
    says "preparing $W/cut: mariadb-backup did not say at its end that it completed OK!"
    [ ! -e "$W/cut/crm/left.ibd" ] || fail "what the cut one left is still there"
    [ ! -e "$W/cut/mysql/db.frm" ] || fail "a server could start on it"
    no_tool
    dr 0 restore crm --to "$W/cut"
    start_copy "$W/cut"
    check_copy
    stop_copy
}

# Without mariadb-backup it is said before anything is written; it can be done by hand.
restores_without_the_tool() {
    AS=(env "PATH=$W/empty")
    dr 1 restore crm --to "$W/later"
    says 'mariadb-backup is not installed here.*give --no-prepare and run `mariadb-backup --prepare'
    [ ! -e "$W/later" ] || fail "something was restored"
    dr 0 restore crm --to "$W/later" --no-prepare
    says "run .mariadb-backup --prepare --target-dir=$W/later. before a server is started"
    AS=()
    mariadb-backup --prepare --target-dir="$W/later" >"$W/prepared" 2>&1 || fail "$(tail -2 "$W/prepared")"
    chown -R mysql "$W/later"
    start_copy "$W/later"
    check_copy
    stop_copy
    dr 2 restore dump --to "$W/x" --no-prepare
    says '--no-prepare is for a whole MariaDB server'
    dr 2 restore crm --to "$W/x" --tablespace 1=/x
    says '--tablespace is for a PostgreSQL server'
    tool mariadb-backup <<<'[ "$1" = --version ] || exec $REAL "$@"; $REAL "$@" 2>&1 | sed "s/10\.11/11.4/"'
    dr 0 restore crm --to "$W/x"
    says 'mariadb-backup is of version 11\.4, the server that was backed up of 10\.11'
    no_tool
}

stop_all() {
    local dir
    for dir in maria copy other; do
        [ -e "$W/$dir/pid" ] && "$SERVER" kill9 "$W/$dir"
    done
    clean_up
}
trap stop_all EXIT
try "a server is made" make_server || finish
try "a copy made under load starts and is one moment" backs_up_under_load
try "a few rows add a few pages" stores_what_changed
try "a table that lies elsewhere comes along" brings_what_lies_elsewhere
try "its facts are in the snapshot" tells_its_facts
try "the password stands in no argument or environment" hides_the_password
try "an option file is read with it" takes_an_option_file
try "folders in folders come along" brings_folders_in_folders
try "a log that is written meanwhile comes along" brings_a_long_log
try "a server that dies meanwhile is no backup" no_snapshot_more backup_of_a_dying_server
try "a tool that dies meanwhile is no backup" no_snapshot_more backup_by_a_dying_tool
try "what is cancelled is no backup" no_snapshot_more backup_that_is_cancelled
try "what a tool leaves out or damages is no backup" no_snapshot_more backup_by_a_lying_tool
try "a server that is away or refuses is told" no_snapshot_more backup_without_a_server
try "another server is not the one it was" no_snapshot_more backup_of_another_server
try "a server without a binlog is dumped" dumps_without_a_binlog
try "a dump makes a fresh server the same" restores_dumps
try "only an empty folder is restored into" restores_into_empty_folders
try "a prepare that was cut off is done anew" prepares_anew
try "a restore without mariadb-backup says what to do" restores_without_the_tool
finish
