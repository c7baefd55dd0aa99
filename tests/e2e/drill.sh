#!/bin/bash
# Drills: a recovery that works in spite of faults, each way in which one does
# not, what is refused before anything starts, and that nothing is left behind.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

S=$W/src
B=$W/box # where sandboxes are made
use drill

# runbook NAME [LINE...]: the head of a runbook and these lines, in $B's own file.
runbook() {
    RB=$W/$1.yaml
    shift
    {
        printf 'drtool: 1\nkind: runbook\nmetadata: { name: loss, owner: team }\n'
        printf 'sandbox: { root: "%s" }\n' "$B"
        printf '%s\n' "$@"
    } >"$RB"
}

STEPS='steps: [ { id: files, uses: restore.files, with: { source: tree } } ]'
# shellcheck disable=SC2016 # references of the runbook
CHECKS='checks: [ { id: hashes, uses: hash, with: { root: "${steps.files.path}" } } ]'
# shellcheck disable=SC2016
SPOILT='  - { id: files, uses: restore.files, with: { source: tree } }
  - { id: spoil, uses: command, with: { cwd: "${steps.files.path}", argv: [sh, -c, '

# spoilt COMMAND: steps that restore, and then change what was restored.
spoilt() {
    printf 'steps:\n%s"%s"] } }' "$SPOILT" "$1"
}

# drill STATUS [ARG...]: runs $RB; its report is in $W/report, and no sandbox or
# change of the local state may be left.
drill() {
    local want=$1
    shift
    rm -rf "$W/report"
    find "$R/state" -type f ! -name '*lock' ! -name '*-shm' -exec sha256sum {} + | sort >"$W/state.1"
    dr "$want" drill "$RB" --report "$W/report" "$@"
    find "$R/state" -type f ! -name '*lock' ! -name '*-shm' -exec sha256sum {} + | sort >"$W/state.2"
    cmp -s "$W/state.1" "$W/state.2" || fail "the local state was changed"
    clean
    # status 2 is told before anything starts: there is nothing to report
    [ "$want" -eq 2 ] || reported "$want"
}

clean() {
    [ -z "$(ls -A "$B")" ] || fail "left behind: $(ls "$B")"
}

# Exit status, JSON, JUnit: three tellings of one value.
reported() {
    xmllint --noout "$W/report/junit.xml" || fail "junit.xml is no XML"
    [ "$(json 'd["exit"]' "$W/report/report.json")" = "$1" ] || fail "report.json has another exit status"
    local bad result
    bad=$(sed -nE 's/^<testsuites .* failures="([0-9]+)" errors="([0-9]+)".*/\1+\2/p' "$W/report/junit.xml")
    result=$(json 'd["run"]["result"]' "$W/report/report.json")
    if [ "$1" -eq 0 ]; then
        [ "$bad" = 0+0 ] && [ "$result" = passed ] || fail "passed, but $bad and $result"
    else
        [ "$bad" != 0+0 ] && [ "$result" != passed ] || fail "ended with $1, but $bad and $result"
    fi
}

# report EXPRESSION WANT: of report.json.
report() {
    local got
    got=$(json "$1" "$W/report/report.json")
    [ "$got" = "$2" ] || fail "$1 is $got, not $2"
}

init() {
    mkdir -p "$S" "$B"
    random_tree "$S" 60 40000
    head -c 9000000 /dev/urandom >"$S/big"
    truncate -s 20M "$S/sparse"
    printf x | dd of="$S/sparse" bs=1 seek=9M conv=notrunc status=none
    ln "$S/big" "$S/link"
    ln -s big "$S/symlink"
    mkfifo "$S/pipe"
    mkdir "$S/empty" && : >"$S/nothing"
    chmod 4750 "$S/d1"/e*/f1
    echo odd >"$S/"$'two\nlines'
    new_conf drill 3
    source_files tree "$S"
    source_command notes '/bin/echo, "line one"' 'as: notes.txt'
    dr 0 init --yes-saved
    dr 0 backup
}

passes() {
    runbook pass 'objectives: { rto: 5m, rpo: 1h }' 'faults:' \
        '  - { kind: target.down, target: t1 }' \
        '  - { id: rot, kind: object.corrupt, target: t2, expect: { detected: true } }' \
        "$STEPS" "$CHECKS"
    drill 0
    says 'drill of loss: passed' "$OUT"
    says '^  RTO [0-9.]+m?s of 5m00s, margin ' "$OUT"
    says '^  RPO [0-9.]+m?s of 1h00m, margin ' "$OUT"
    says '^  passed +target.down-t1 .* [0-9]+ hits?$' "$OUT"
    report '[f["result"] for f in d["faults"]]' "['passed', 'passed']"
    report 'd["faults"][1]["detected"] and d["faults"][1]["hits"] > 0' True
    report 'd["targets"][0]["bytes"]' 0
    report 'd["schema"], d["objectives"][0]["rpo_source"]' "('drtool.report/1', 'snapshot')"
    report '0 < d["objectives"][0]["rto_measured_s"] < 60' True
    report '0 < d["objectives"][0]["rpo_measured_s"] < 300' True
    report 'd["checks"][0]["outputs"]["entries"] > 60, d["cleanup"]["leaked"]' '(True, [])'
    grep -q '<testcase classname="loss.objectives" name="RTO [0-9.]*m*s of 5m00s" time=' \
        "$W/report/junit.xml" || fail "the numbers are not in a name"
    awk 'length > 80' "$OUT" | grep . && fail "the report is too wide"
    return 0
}

# Of all folders that a drill makes, whichever way it ends, none is left.
nothing_left() {
    local dir n=0 AS=(strace -f -qq -e "trace=mkdir,mkdirat" -o "$W/strace")
    for RB in pass all missed; do
        RB=$W/$RB.yaml
        LIMIT=120 dr_any drill "$RB"
        while read -r dir; do
            n=$((n + 1))
            [ ! -e "$dir" ] || fail "left behind: $dir"
        done < <(sed -nE 's/.*mkdir(at\(AT_FDCWD, |\()"(\/[^"]*)", .*\) = 0$/\2/p' "$W/strace")
    done
    [ $n -ge 9 ] || fail "only $n folders were seen"
}

few_packs() {
    runbook few 'faults:' \
        '  - { id: rot, kind: object.corrupt, target: t1, with: { packs: 1, how: truncate }, expect: { detected: true } }' \
        "$STEPS" "$CHECKS"
    drill 0
    report 'd["faults"][0]["hits"] > 0, d["targets"][0]["bytes"] > 0' '(True, True)'
}

never_struck() {
    runbook never 'faults: [ { id: rot, kind: object.corrupt, target: t3 } ]' "$STEPS" "$CHECKS"
    drill 0
    says '^  warning +rot ' "$OUT"
    report '[x["id"] for x in d["deviations"]]' "['rot']"
    runbook never 'faults: [ { id: rot, kind: object.corrupt, target: t3, expect: { detected: true } } ]' \
        "$STEPS" "$CHECKS"
    drill 20
}

all_corrupt() {
    runbook all 'faults:' '  - { kind: object.corrupt, target: t1 }' \
        '  - { kind: object.corrupt, target: t2 }' '  - { kind: object.corrupt, target: t3 }' \
        "$STEPS" "$CHECKS"
    drill 20
    report 'd["objectives"][0]["rto_measured_s"]' None
}

all_down() {
    runbook down 'faults:' '  - { kind: target.down, target: t1 }' \
        '  - { kind: target.down, target: t2, with: { how: http-403 } }' \
        '  - { kind: target.down, target: t3, with: { how: not-found } }' "$STEPS" "$CHECKS"
    drill 20
}

missed() {
    runbook missed 'objectives: { rto: 1ms, rpo: 1h }' "$STEPS" "$CHECKS"
    drill 21
    says 'RTO [0-9.]+m?s of 1ms, MISSED by ' "$OUT"
    runbook missed 'objectives: { rto: 1m, rpo: 1ms }' "$STEPS" "$CHECKS"
    drill 21
    # an objective counts only when all else is well
    runbook missed 'objectives: { rto: 1ms }' "$(spoilt 'rm .'"$S"'/nothing')" "$CHECKS"
    drill 20
}

could_not_run() {
    runbook nothing 'steps: [ { id: files, uses: restore.files, with: { source: other } } ]' "$CHECKS"
    drill 22
    says 'step files: other: there is no snapshot of that name' "$OUT"
    runbook old 'recovery-point: { select: as-of, at: 2001-01-01 }' "$STEPS" "$CHECKS"
    drill 22
    runbook pass "$STEPS" "$CHECKS"
    mv "$R/key" "$R/key.away"
    drill 22
    mv "$R/key.away" "$R/key"
    mkdir "$W/away"
    mv "$R"/t? "$W/away"
    drill 22
    mv "$W/away"/t? "$R"
    RB=$W/nowhere.yaml
    sed "/^sandbox/s|root: .*|root: \"$W/none\" }|" "$W/pass.yaml" >"$RB"
    drill 22
}

# A target that is really away is a warning, and the others do.
one_away() {
    runbook pass "$STEPS" "$CHECKS"
    mv "$R/t1" "$R/t1.away"
    drill 0
    mv "$R/t1.away" "$R/t1"
    says '^  warning +target-t1 ' "$OUT"
}

typos() {
    runbook typo 'objectves: { rto: 1m }' "$STEPS" "$CHECKS"
    drill 2
    says "typo.yaml:5:1: unknown key \"objectves\"; did you mean \"objectives\"\?"
    runbook typo 'faults: [ { kind: target.down, target: t9 } ]' "$STEPS" "$CHECKS"
    drill 2
    says 'typo.yaml:5:40: there is no target "t9"'
    # shellcheck disable=SC2016
    runbook typo "$STEPS" 'checks: [ { id: h, uses: hash, with: { root: "${steps.file.path}" } } ]'
    drill 2
    says 'typo.yaml:6:47: there is no step "file"; did you mean "files"\?'
    RB=$W/none.yaml
    drill 2
}

# check_fails ID USES... : the lines of checks; each fails, and says what.
hash_fails() {
    runbook hash "$(spoilt "cd .$S; printf y | dd of=big bs=1 seek=5000 conv=notrunc 2>/dev/null; rm nothing; echo > new; ln -sfn elsewhere symlink; chmod 600 sparse")" "$CHECKS"
    drill 20
    says 'expected +mismatched = 0, missing = 0, extra = 0' "$OUT"
    # big has two names; the link, the mode
    says 'actual +mismatched = 4, missing = 1, extra = 1' "$OUT"
    report 'd["checks"][0]["actual"]' 'mismatched = 4, missing = 1, extra = 1'
    grep -q 'actual:   mismatched = 4' "$W/report/junit.xml" || fail "JUnit does not say it"
    # a tolerance is written down
    runbook hash "$(spoilt "echo > new")" \
        "${CHECKS/ \} ]/, expect: \{ extra: \{ le: 1 \} \} \} ]}"
    drill 0
}

file_fails() {
    # shellcheck disable=SC2016
    runbook file "$STEPS" 'checks:' \
        '  - { id: size, uses: file, with: { path: "${steps.files.path}'"$S"'/big" }, expect: { size: { lt: 1MiB } } }' \
        '  - { id: sum, uses: file, with: { path: "${steps.files.path}'"$S"'/big" }, expect: { sha256: '"$(printf x | sha256sum | cut -c 1-64)"' } }' \
        '  - { id: good, uses: file, with: { path: "${steps.files.path}'"$S"'/big" }, expect: { sha256: '"$(sha256sum <"$S/big" | cut -c 1-64)"' } }' \
        '  - { id: mode, uses: file, with: { path: "${steps.files.path}'"$S"'/big" }, expect: { mode: "0600" } }' \
        '  - { id: there, uses: file, with: { path: "${steps.files.path}/none" } }' \
        '  - { id: absent, uses: file, with: { path: "${steps.files.path}/none" }, expect: { exists: false } }'
    drill 20
    report '[c["result"] for c in d["checks"]]' \
        "['failed', 'failed', 'passed', 'failed', 'failed', 'passed']"
    report 'd["checks"][0]["expected"], d["checks"][0]["actual"]' \
        "('size < 1048576, exists = true', 'size = 9000000, exists = true')"
    report 'd["checks"][3]["actual"]' 'mode = 0644, exists = true'
}

command_fails() {
    runbook command "$STEPS" 'checks:' \
        '  - { id: exit, uses: command, with: { argv: [sh, -c, "echo why >&2; exit 3"] } }' \
        '  - { id: out, uses: command, with: { argv: [printf, "a\x1b[31m\n"] }, expect: { stdout: { matches: "^ok" } } }' \
        '  - { id: good, uses: command, with: { argv: [sh, -c, "echo $V; exit 3"], env: { V: ok } }, expect: { exit: { ge: 3, lt: 4 }, stdout: ok } }' \
        '  - { id: slow, uses: command, with: { argv: [sleep, "30"] }, timeout: 200ms }' \
        '  - { id: none, uses: command, with: { argv: [/no/such/program] } }' \
        '  - { id: fewer, uses: command, with: { argv: ["false"] }, severity: warning }'
    drill 20
    report '[c["result"] for c in d["checks"]]' \
        "['failed', 'failed', 'passed', 'timed_out', 'error', 'failed']"
    says 'it said: why' "$OUT"
    says 'expected +exit = 0' "$OUT"
    says 'actual +exit = 3' "$OUT"
    grep -qF 'a\x1b[31m' "$W/report/junit.xml" || fail "the escape sequence is lost"
    # what is only a warning lets the drill pass, and is told
    runbook command "$STEPS" 'checks:' "  ${CHECKS#checks: [}" \
        '  - { id: fewer, uses: command, with: { argv: ["false"] }, severity: warning }'
    sed -i 's/^    *\({ id: hashes.*\) ]$/  - \1/; s/^   { id: hashes/  - { id: hashes/' "$RB"
    drill 0
    says '^  warning +fewer' "$OUT"
}

steps_fail() {
    runbook steps 'steps:' '  - { id: a, uses: command, with: { argv: ["false"] }, on-failure: continue }' \
        '  - { id: b, uses: command, with: { argv: ["true"] }, needs: [a] , on-failure: continue }' \
        '  - { id: files, uses: restore.files, with: { source: tree } }' "$CHECKS"
    drill 0
    report '[s["result"] for s in d["steps"]]' "['passed', 'failed', 'skipped', 'passed']"
    runbook steps 'steps:' '  - { id: a, uses: command, with: { argv: [sh, -c, "exit 7"] } }' \
        '  - { id: files, uses: restore.files, with: { source: tree } }' "$CHECKS"
    drill 20
    report '[s["result"] for s in d["steps"] + d["checks"]]' "['passed', 'failed', 'skipped', 'skipped']"
    runbook steps 'steps:' '  - { id: a, uses: command, with: { argv: [sleep, "30"] }, timeout: 200ms }' \
        "  - ${STEPS#*\[ }" "$CHECKS"
    sed -i 's/ \]$//; s/\(id: hashes.*\)$/\1 ]/' "$RB"
    drill 20
    report 'd["steps"][1]["result"]' timed_out
}

parts() {
    # shellcheck disable=SC2016
    runbook parts 'steps:' \
        "  - { id: some, uses: restore.files, with: { source: tree, paths: [\"$S/d1/\", \"$S/big\"] } }" \
        "  - { id: notes, uses: restore.files, with: { snapshot: notes } }" \
        'checks:' '  - { id: some, uses: hash, with: { root: "${steps.some.path}" } }' \
        '  - { id: below, uses: hash, with: { root: "${steps.some.path}/e1" } }' \
        '  - { id: notes, uses: hash, with: { root: "${steps.notes.path}" } }' \
        '  - { id: text, uses: command, with: { argv: [cat, "${steps.notes.path}/notes.txt"] }, expect: { stdout: line one } }'
    drill 0
    report 'd["checks"][0]["outputs"]["entries"] > d["checks"][1]["outputs"]["entries"] > 0' True
    report 'len(d["recovery_point"]["snapshots"])' 2
}

refused() {
    local at
    for at in "$S" "$S/d1" "$R/t2" "$R/state" "$W/into"; do
        ln -sfn "$S/d1" "$W/into"
        runbook refused "$STEPS" "$CHECKS"
        sed -i "/^sandbox/s|root: .*|root: \"$at\" }|" "$RB"
        drill 2
        says 'refused.yaml:4:18: the sandbox .* would lie in '
    done
    runbook refused "$STEPS" "$CHECKS"
    sed -i '/^sandbox/d' "$RB"
    TMPDIR=$S/d1 drill 2
    says 'would lie in source tree'
}

stopped() {
    runbook stopped 'steps:' '  - { id: files, uses: restore.files, with: { source: tree } }' \
        '  - { id: wait, uses: command, with: { argv: [sleep, "60"] } }' "$CHECKS"
    rm -rf "$W/report"
    dr_start drill "$RB" --report "$W/report"
    for _ in $(seq 500); do
        pgrep -P "$pid" -x sleep >"$W/sleep" && break
        sleep .02
    done
    [ -s "$W/sleep" ] || fail "the step did not begin"
    kill -TERM "$pid"
    dr_wait
    [ "$got" -eq 130 ] || fail "ended with $got"
    clean
    reported 130
    report 'd["run"]["result"], d["steps"][2]["result"]' "('aborted', 'aborted')"
    live "$(cat "$W/sleep")" && fail "the step's program goes on"
    return 0
}

left_behind() {
    runbook left 'steps:' '  - { id: files, uses: restore.files, with: { source: tree } }' \
        '  - { id: mount, uses: command, with: { argv: [sh, -c, "mkdir m && mount -t tmpfs none m && echo $PWD/m > '"$W"'/mounted/m"] } }' "$CHECKS"
    rm -rf "$W/report"
    dr 23 drill "$RB" --report "$W/report"
    report 'len(d["cleanup"]["leaked"]), d["cleanup"]["result"]' "(1, 'failed')"
    reported 23
    umount "$(cat "$W/mounted/m")" && rm -f "$W/mounted/m"
    rm -rf "${B:?}"/*
}

kept() {
    runbook kept "$STEPS" "$CHECKS"
    dr 0 drill "$RB" --keep
    [ "$(stat -c %a "$B"/drtool-drill-*)" = 700 ] || fail "the sandbox is not 0700"
    same "$S" "$B"/drtool-drill-*/files"$S"
    rm -rf "${B:?}"/*
    runbook kept "$(spoilt "rm -r .$S/d1")" "$CHECKS"
    sed -i 's/^sandbox: { /&keep: failed, /' "$RB"
    dr 20 drill "$RB"
    says "^ +because +kept:" "$OUT"
    [ -d "$(echo "$B"/drtool-drill-*)/files" ] || fail "it was not kept"
    rm -rf "${B:?}"/*
}

checked_only() {
    runbook check "$STEPS" "$CHECKS"
    drill 0 --mode check
    says 'check of loss: passed' "$OUT"
    report 'd["run"]["mode"], d["steps"], d["run"]["t0"]' "('check', [], None)"
    runbook check 'steps: [ { id: files, uses: restore.files, with: { source: none } } ]' "$CHECKS"
    drill 22 --mode check
}

# The clock of the drill against this script's: a step of known length.
measured() {
    runbook measured 'objectives: { rto: 1m }' 'steps:' \
        '  - { id: files, uses: restore.files, with: { source: tree } }' \
        '  - { id: wait, uses: command, with: { argv: [sleep, "1.5"] } }' "$CHECKS"
    local begun=${EPOCHREALTIME/./} took
    drill 0
    took=$(((${EPOCHREALTIME/./} - begun) / 1000))
    report "1500 <= d['objectives'][0]['rto_measured_s'] * 1000 <= $took" True
    report '1500 <= d["steps"][2]["dur_ms"] < 1700' True
}

tells() {
    runbook pass "$STEPS" "$CHECKS"
    drill 0 --json
    [ "$(json 'd["schema"], d["exit"], d["run"]["result"], d["checks"][0]["result"]')" \
        = "('drtool.drill/1', 0, 'passed', 'passed')" ] || fail "the object is another"
    drill 0 --json --progress
    progress 'p["bytes_done"] == p["bytes_total"] > 0' drill tree
    drill 0 -q
    [ ! -s "$OUT" ] && [ ! -s "$ERR" ] || fail "-q is not quiet: $(cat "$OUT" "$ERR")"
    runbook hash "$(spoilt "rm .$S/nothing")" "$CHECKS"
    drill 20 -q
    [ ! -s "$OUT" ] || fail "-q prints a report"
    says 'checks hashes: .*nothing: missing; expected mismatched = 0.*actual .*missing = 1'
}

# The example that ships, with the names it uses.
example() {
    mkdir -p "$W/example"/{t1,t2,t3,up/shop/uploads,box}
    random_tree "$W/example/up/shop/uploads" 20 30000
    CONF=$W/example/conf.yaml
    {
        printf 'repository: ex\nkey: { file: %s/key }\nstate: %s/state\ntargets:\n' "$W/example" "$W/example"
        printf '  - { name: eu-west, url: "file://%s/t1" }\n' "$W/example"
        printf '  - { name: minio, url: "file://%s/t2" }\n' "$W/example"
        printf '  - { name: nas, url: "file://%s/t3" }\n' "$W/example"
        printf 'sources: [ { name: uploads, files: { paths: ["%s"] } } ]\n' "$W/example/up/shop/uploads"
    } >"$CONF"
    R=$W/example
    dr 0 init --yes-saved
    dr 0 backup
    RB=$W/example/target-loss.yaml
    sed "s|/srv/shop/uploads|$W/example/up/shop/uploads|" \
        "$here/../../examples/runbooks/target-loss.yaml" >"$RB"
    TMPDIR=$W/example/box drill 0
    report '[f["result"] for f in d["faults"]]' "['passed', 'passed']"
    [ -z "$(ls "$W/example/box")" ] || fail "left behind: $(ls "$W/example/box")"
    use drill
}

try "a repository on three targets" init || finish
try "a recovery with one target down and one corrupt works" passes
try "a few packs are corrupt, and it is noticed" few_packs
try "a fault that never struck is told" never_struck
try "corruption on all targets is 20" all_corrupt
try "all targets down is 20" all_down
try "an objective that is missed is 21" missed
try "a drill that cannot run is 22" could_not_run
try "a target that is really away is a warning" one_away
try "a typo is 2, with line and column" typos
try "check hash fails and says what" hash_fails
try "check file fails and says what" file_fails
try "check command fails and says what" command_fails
try "nothing that a drill makes is left" nothing_left
try "steps fail, are skipped, and time out" steps_fail
try "parts of a snapshot, and several snapshots" parts
try "a sandbox in what is backed up is refused" refused
try "SIGTERM is 130, and nothing is left" stopped
try "what cannot be removed is 23" left_behind
try "a sandbox is kept when asked" kept
try "mode check looks and restores nothing" checked_only
try "the recovery time is that of the clock" measured
try "JSON and quiet" tells
try "examples/runbooks/target-loss.yaml passes" example
finish
