#!/bin/bash
# A PostgreSQL 15 server (Debian 12) without systemd, on a socket in its folder and on 127.0.0.1.
#   postgres.sh start DIR PORT   makes DIR/data at the first start, with checksums of its pages
#   postgres.sh stop|kill9 DIR
#   postgres.sh run DIR COMMAND...   as the server's user, in its folder
# The folder has to be passable for that user. The Debian packages it needs are in PACKAGES;
# `postgres.sh packages` prints them and nothing is installed here.
PACKAGES="postgresql-15"
set -euo pipefail
cmd=${1:-help}
[ "$cmd" != packages ] || { echo "$PACKAGES"; exit 0; }
[ $# -ge 2 ] || { sed -n 2,8p "$0"; exit 2; }
DIR=$(mkdir -p "$2" && cd "$2" && pwd)
PATH=/usr/lib/postgresql/15/bin:$PATH
command -v postgres >/dev/null || { echo "postgres.sh: there is no postgres; install $PACKAGES" >&2; exit 2; }

# It refuses root. Unlike su this makes no login shell.
as_server() {
    cd "$DIR"
    setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$DIR" PGHOST="$DIR" \
        PGPORT="$(cat "$DIR/port")" PGUSER=postgres "$@"
}

make_data() {
    as_server initdb -D data -U postgres -A trust --no-instructions -k -E UTF8 --locale=C.UTF-8 >"$DIR/initdb.log"
    cat >>"$DIR/data/postgresql.conf" <<X
listen_addresses = '127.0.0.1'
unix_socket_directories = '$DIR'
wal_level = replica
max_wal_senders = 8
shared_buffers = 64MB
X
}

case $cmd in
start)
    echo "$3" >"$DIR/port"
    chown postgres "$DIR"
    [ -e "$DIR/data/PG_VERSION" ] || make_data
    as_server pg_ctl -D data -l "$DIR/log" -w -t 60 -o "-p $3" start >/dev/null
    ;;
stop) as_server pg_ctl -D data -m fast -w stop >/dev/null 2>&1 || true ;;
kill9) as_server pg_ctl -D data -m immediate -w stop >/dev/null 2>&1 || true ;;
run)
    shift 2
    as_server "$@"
    ;;
*)
    sed -n 2,8p "$0"
    exit 2
    ;;
esac
