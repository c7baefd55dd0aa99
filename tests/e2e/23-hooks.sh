#!/bin/bash
# What is run around the reading of a source.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

use main

# source_with BEFORE AFTER [COMMAND [MORE]]: the words of lists in YAML.
source_with() {
    new_conf main 1
    echo "  - { name: app, command: { argv: [${3:-cat, $W/held}] }, before: [$1], after: [$2]${4:+, $4} }" >>"$CONF"
    rm -f "$W/held" "$W/undone"
}

make_programs() {
    cat >"$W/hold" <<X
#!/bin/sh
echo "\$DRTOOL_SOURCE holds still" >"$W/held"
X
    cat >"$W/undo" <<X
#!/bin/sh
echo "\$DRTOOL_SOURCE \$DRTOOL_RESULT" >>"$W/undone"
rm -f "$W/held"
X
    chmod +x "$W/hold" "$W/undo"
    source_with "$W/hold" "$W/undo"
    dr 0 init --yes-saved
}

undone() {
    [ "$(cat "$W/undone" 2>/dev/null)" = "$1" ] || fail "undone is: $(cat "$W/undone" 2>/dev/null)"
    [ ! -e "$W/held" ] || fail "it is still held"
}

runs_them_around() {
    source_with "$W/hold" "$W/undo"
    dr 0 backup app
    undone 'app ok'
    dr 0 dump app stdout
    [ "$(cat "$OUT")" = 'app holds still' ] || fail "it was not held while it was read"
    echo x >"$W/held"
    dr 0 backup app --dry-run
    rm "$W/held"
    [ "$(cat "$W/undone")" = 'app ok' ] || fail "a dry run ran them"
}

count() {
    dr 0 snapshots --json
    json 'len(d["snapshots"])'
}

undoes_what_failed() {
    local n
    n=$(count)
    source_with "false" "$W/undo"
    dr 10 backup app
    says 'source app: before: false exited with 1: it said nothing'
    undone 'app failed'
    source_with "$W/hold" "$W/undo" "sh, -c, 'echo x; exit 3'"
    dr 10 backup app
    undone 'app failed'
    source_with "$W/no-such-program" "$W/undo"
    dr 10 backup app
    says 'before: '
    undone 'app failed'
    source_with "sleep, '60'" "$W/undo" "cat, $W/held" 'hook-timeout: 1s'
    dr 10 backup app
    says 'before: sleep took too long'
    undone 'app failed'
    [ "$(count)" = "$n" ] || fail "one became a snapshot"
}

undoes_what_is_interrupted() {
    source_with "$W/hold" "$W/undo" "sh, -c, 'echo x; exec sleep 60'"
    dr_start backup app
    for _ in $(seq 500); do
        [ -e "$W/held" ] && break
        sleep .02
    done
    sleep .3
    kill -INT "$pid"
    dr_wait
    [ "$got" -eq 130 ] || fail "it ended with $got"
    undone 'app failed'
}

# The snapshot is good, and somebody has to look.
tells_that_undoing_failed() {
    local n
    n=$(count)
    source_with "$W/hold" "sh, -c, 'rm $W/held; echo no way back >&2; exit 4'"
    dr 1 backup app
    says 'source app: after: sh exited with 4: no way back'
    [ "$(count)" = $((n + 1)) ] || fail "there is no snapshot"
    source_with "$W/hold" ""
    dr 2 backup app
    says 'after must not be empty'
}

try "programs are made" make_programs || finish
try "both are run around the reading" runs_them_around
try "after is run when something failed" undoes_what_failed
try "after is run when it is interrupted" undoes_what_is_interrupted
try "an after that fails is told, and takes no snapshot away" tells_that_undoing_failed
finish
