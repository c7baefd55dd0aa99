#!/bin/bash
# A Redis server is backed up under load; what is restored starts and is one moment.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

DIR=$W/redis
SOCKET=$DIR/socket
use main

# start_redis DIR [OPTION...]: a server on DIR/socket alone, with the data of DIR.
start_redis() {
    local dir=$1
    shift
    mkdir -p "$dir"
    redis-server --port 0 --unixsocket "$dir/socket" --dir "$dir" --save '' --daemonize no \
        --repl-diskless-sync-delay 0 "$@" >"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    started $!
    for _ in $(seq 500); do
        redis-cli -s "$dir/socket" ping 2>/dev/null | grep -qE 'PONG|NOAUTH' && return
        sleep .02
    done
    fail "no server: $(tail -3 "$dir/log")"
}

cli() {
    REDISCLI_AUTH=$PASSWORD redis-cli -s "$SOCKET" "$@"
}

PASSWORD='a pass: "word"'

make_server() {
    start_redis "$DIR" --requirepass "$PASSWORD"
    cli eval 'for i = 0, 199999 do redis.call("set", "key:" .. i, string.rep("v" .. i, 9)) end' 0 \
        >"$W/filled"
    [ "$(cli dbsize)" = 200000 ] || fail "$(cat "$W/filled")"
    printf '%s\n' "$PASSWORD" >"$W/password"
    chmod 600 "$W/password"
    new_conf main 2
    echo "  - { name: sessions, redis: { socket: $SOCKET, password: { file: $W/password } } }" \
        >>"$CONF"
    dr 0 init --yes-saved
}

# Two counters that only transactions raise, together; and what redis-benchmark does.
start_load() {
    REDISCLI_AUTH=$PASSWORD redis-benchmark -s "$SOCKET" -a "$PASSWORD" -q -l -r 10000 -t set,lpush \
        >/dev/null 2>&1 &
    started $!
    while :; do
        printf 'MULTI\nINCR a\nINCR b\nEXEC\n'
    done | REDISCLI_AUTH=$PASSWORD redis-cli -s "$SOCKET" >/dev/null 2>&1 &
    started $!
}

backs_up_under_load() {
    local before after n a b
    start_load
    for n in 1 2; do
        before=$(cli get a)
        dr 0 backup sessions
        after=$(cli get a)
        dr 0 restore sessions --to "$W/r$n"
        start_redis "$W/r$n" --dbfilename dump.rdb
        a=$(redis-cli -s "$W/r$n/socket" get a)
        b=$(redis-cli -s "$W/r$n/socket" get b)
        [ "$a" = "$b" ] || fail "the counters are $a and $b"
        [ "$a" -ge "${before:-0}" ] && [ "$a" -le "$after" ] && [ "$after" -gt "${before:-0}" ] \
            || fail "the copy has $a transactions, not $before to $after"
        [ "$(redis-cli -s "$W/r$n/socket" exists key:7 key:199999)" = 2 ] || fail "keys are gone"
        stop "$(cat "$W/r$n/pid")" KILL
    done
    pkill -x redis-benchmark
}

tells_its_facts() {
    dr 0 snapshots --json
    [ "$(json 'd["snapshots"][-1]["kind"], d["snapshots"][-1]["facts"]["role"]')" \
        = "('redis', 'master')" ] || fail "$(cat "$OUT")"
    [ "$(json 'int(d["snapshots"][-1]["facts"]["keys"]) >= 200000')" = True ] || fail "$(cat "$OUT")"
}

hides_the_password() {
    grep -rqF 'a pass:' "$R/state" && fail "the password lies in the state"
    strace -f -e trace=execve -v -s 4096 -o "$W/strace" \
        "$DRTOOL" -c "$CONF" backup sessions >/dev/null 2>&1 || fail "no backup under strace"
    grep -q -- --askpass "$W/strace" || fail "the client was not seen"
    grep -qF 'a pass:' "$W/strace" && fail "the password is in an argument or an environment"
    return 0
}

no_snapshot_of() { # STATUS WORDS SETTING
    local before after
    cp "$CONF" "$W/conf"
    dr 0 snapshots --json
    before=$(json 'len(d["snapshots"])')
    sed -i "$3" "$CONF"
    dr "$1" backup sessions
    says "$2"
    cp "$W/conf" "$CONF"
    dr 0 snapshots --json
    after=$(json 'len(d["snapshots"])')
    [ "$before" = "$after" ] || fail "it became a snapshot"
}

refuses_what_is_no_copy() {
    mkdir -p "$W/bin" # a check tool that gets to see a copy cut short
    cp "$(command -v redis-cli)" "$W/bin/my-cli"
    printf '#!/bin/sh\nhead -c 100 "$1" >"$1.x"; exec redis-check-rdb "$1.x"\n' >"$W/bin/my-check-rdb"
    chmod +x "$W/bin/my-check-rdb"
    no_snapshot_of 10 'source sessions: Redis: the copy is damaged' \
        "s|redis: {|redis: { client: $W/bin/my-cli,|"
    no_snapshot_of 10 'no-such-cli cannot be started: No such file' \
        "s|redis: {|redis: { client: no-such-cli,|"
    no_snapshot_of 8 'Redis: .*Could not connect' "s|$SOCKET|$W/nobody|"
    echo wrong >"$W/wrong"
    chmod 600 "$W/wrong"
    no_snapshot_of 7 'Redis: .*(NOAUTH|WRONGPASS|AUTH failed)' "s|$W/password|$W/wrong|"
}

# Its data may be hours old, and nobody would know.
refuses_a_lost_replica() {
    cli replicaof 127.0.0.1 1 >/dev/null
    no_snapshot_of 10 'is a replica that has lost its master' 's/^/&/'
    cli replicaof no one >/dev/null
    dr 0 backup sessions
}

try "a server is made" make_server || finish
try "a copy made under load starts and is one moment" backs_up_under_load
try "its facts are in the snapshot" tells_its_facts
try "the password stands in no argument or environment" hides_the_password
try "what is damaged, away or refused is no backup" refuses_what_is_no_copy
try "a replica that lost its master is no backup" refuses_a_lost_replica
finish
