#!/bin/bash
# A MariaDB 10.11 server (Debian 12) without systemd, on the socket in its folder alone.
#   mariadb.sh start DIR [OPTION...]   makes DIR/data at the first start
#   mariadb.sh stop|kill9 DIR
#   mariadb.sh run DIR COMMAND...      a client, as the server's root, on its socket
# The folder has to be passable for the user mysql. The Debian packages it needs are in
# PACKAGES; `mariadb.sh packages` prints them and nothing is installed here.
PACKAGES="mariadb-server mariadb-backup"
set -euo pipefail
cmd=${1:-help}
[ "$cmd" != packages ] || { echo "$PACKAGES"; exit 0; }
[ $# -ge 2 ] || { sed -n 2,7p "$0"; exit 2; }
DIR=$(mkdir -p "$2" && cd "$2" && pwd)
command -v mariadbd >/dev/null || { echo "mariadb.sh: there is no mariadbd; install $PACKAGES" >&2; exit 2; }

client() {
    local program=$1
    shift
    "$program" --no-defaults --socket="$DIR/socket" --user=root "$@"
}

is_live() {
    local s
    s=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) && [ "${s%% *}" != Z ]
}

end_by() { # SIGNAL
    local pid
    pid=$(cat "$DIR/pid" 2>/dev/null) || return 0
    kill "-$1" "$pid" 2>/dev/null || true
    for _ in $(seq 1500); do
        is_live "$pid" || break
        sleep .02
    done
    rm -f "$DIR/pid"
}

case $cmd in
start)
    shift 2
    chown mysql "$DIR"
    [ -d "$DIR/data/mysql" ] || mariadb-install-db --no-defaults --user=mysql \
        --datadir="$DIR/data" --auth-root-authentication-method=normal --skip-test-db \
        >"$DIR/install.log" 2>&1
    # It refuses root. Unlike su this makes no login shell.
    setsid setpriv --reuid=mysql --regid=mysql --init-groups mariadbd --no-defaults \
        --datadir="$DIR/data" --socket="$DIR/socket" --pid-file="$DIR/mariadbd.pid" \
        --skip-networking --innodb-buffer-pool-size=64M "$@" >"$DIR/log" 2>&1 </dev/null &
    echo $! >"$DIR/pid"
    for _ in $(seq 1500); do
        is_live "$!" || break
        client mariadb-admin ping >/dev/null 2>&1 && exit
        sleep .02
    done
    rm -f "$DIR/pid"
    exit 1
    ;;
stop) end_by TERM ;;
kill9) end_by KILL ;;
run)
    shift 2
    client "$@"
    ;;
*)
    sed -n 2,7p "$0"
    exit 2
    ;;
esac
