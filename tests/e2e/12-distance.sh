#!/bin/bash
# Three S3 servers at distances: round trips of 20, 80 and 200 ms, 10 MiB/s each way.
# What a backup, a target that is lost in the middle of one, its return, and a
# restore without the nearest target take, as ratios to what is measured beside them
# in the same run. With DRTOOL_LONG (`make distance`) a backup lasts over two minutes,
# all in all a quarter of an hour, and a ratio that is too large is a failure; else
# the data is small and the distances are a quarter, and the ratios, which the linger
# of five seconds and the start then rule, are only told. CPU is user and system time
# over elapsed time.
#
# The servers are three gateways of one store on disk (in RAM for the small form):
# what is measured is the lines, which are far slower.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

MIB=${MIB:-$((LONG ? 1300 : 16))}
RATE=$((10 << 20))
S=$W/src
LIMIT=900
export STORE=memstore
[ -z "$LONG" ] || STORE=bluestore

# far REGION PREFIX: a target at the far end of the line to REGION.
far() {
    local port
    port=$(s3_port "$1")
    s3_target "$1" "$1" "access-key: { env: KEY_$1 }, secret-key: { env: SECRET_$1 }" "$2" \
        | sed "s/:$port\"/:$((port + 10))\"/"
}

# A configuration NAME for the repository of PREFIX at these REGIONS; becomes $CONF.
at_regions() {
    local r
    new_conf "$1" 0
    sed -i "/^sources/d; s/^repository: .*/repository: $2/" "$CONF"
    for r in "${@:3}"; do far "$r" "$2" >>"$CONF"; done
    echo "sources:" >>"$CONF"
    source_files tree "$S"
}

# As a bare machine sees that repository: its key, and no state.
bare() {
    at_regions "$@"
    cp "$W/repo/$2/key" "$R/key"
}

# measure WHAT STATUS ARG...: drtool's seconds, and its CPU in percent, as $W/took.WHAT.
measure() {
    AS=(/usr/bin/time -f '%e %U %S' -o "$W/time")
    dr "$2" "${@:3}"
    AS=()
    tail -n 1 "$W/time" | awk '{ printf "%s %.0f\n", $1, ($2 + $3) / $1 * 100 }' >"$W/took.$1"
}

# demand NAME MOST EXPRESSION WORDS: of what was measured as a ratio. WORDS tell how
# it came about.
demand() {
    local ratio
    ratio=$(awk "BEGIN { printf \"%.3f\", $3 }")
    echo "# $1: $ratio of at most $2 ($4)"
    awk "BEGIN { exit !($ratio <= $2) }" || [ -z "$LONG" ] || fail "$1 is $ratio, not at most $2"
}

took() {
    cut -d ' ' -f 1 "$W/took.$1"
}

told() {
    awk '{ print $1 " s, CPU " $2 " %" }' "$W/took.$1"
}

# tell REGION COMMAND: to the line.
tell() {
    echo "$2" >"$W/$1.control"
    sleep .05
}

# Bytes that the line to REGION has carried up and down.
carried() {
    rm -f "$W/count"
    tell "$1" "count $W/count"
    until [ -e "$W/count" ]; do sleep .02; done
    awk '{ print $1, $2 }' "$W/count"
}

# Bytes of the objects that all targets of a repository must have alike.
held() {
    s3_list "$1" | awk -v of="^$2/(pack|index|snap)/" '$1 ~ of { n += $2 } END { printf "%.0f\n", n }'
}

prepare() {
    local r
    local -A rtt=([eu]=5 [us]=20 [ap]=50)
    [ -z "$LONG" ] || rtt=([eu]=20 [us]=80 [ap]=200)
    gateways
    for r in eu us ap; do
        line_between $r $(($(s3_port $r) + 10)) "$(s3_port $r)" "${rtt[$r]}" $RATE
    done
    mkdir "$S"
    head -c $((MIB << 20)) /dev/urandom | split -b 30M - "$S/part"
    at_regions three three eu us ap
    dr 0 init --yes-saved
    at_regions alone alone us
    dr 0 init --yes-saved
}

# The quorum is two: the second nearest is the slowest that is needed.
backups() {
    use alone
    measure alone 0 backup
    use three
    measure three 0 backup
    demand "backup to three targets / to the second nearest alone" 1.15 \
        "$(took three) / $(took alone)" "$(told three); alone $(told alone)"
}

# The nearest dies after a third of a normal run. The linger is what drtool-backup(1)
# says.
lost_meanwhile() {
    local delay
    rm -r "$S"
    mkdir "$S"
    head -c $((MIB << 20)) /dev/urandom | split -b 30M - "$S/other"
    delay=$(awk "BEGIN { print $(took three) / 3 }")
    use three
    (
        sleep "$delay"
        gateway_down eu
    ) &
    measure lost 4 backup
    wait $!
    says 'target eu '
    demand "backup that loses a target / (1.1 normal + linger)" 1 \
        "$(took lost) / (1.1 * $(took three) + ($(took three) > 50 ? $(took three) / 10 : 5))" \
        "$(told lost); normal $(told three)"
}

# What the returned one lacks is sent once, to it alone, and nothing else.
returns() {
    local before missing sent up after
    gateways_again
    use three
    before=$(held eu three)
    missing=$(($(held us three) - before))
    [ "$missing" -gt $((MIB << 18)) ] || fail "eu lacks $missing bytes only: it died too late"
    read -r up _ < <(carried eu)
    measure sync 0 --json sync
    read -r after _ < <(carried eu)
    sent=$(json '[t["sent_bytes"] for t in d["targets"] if t["name"] == "eu"][0]')
    [ "$(held eu three)" -eq $((before + missing)) ] || fail "eu holds $(held eu three) bytes"
    demand "sent by sync / missing" 1.01 "$sent / $missing" "$(told sync)"
    demand "carried by the line / missing" 1.03 "($after - $up) / $missing" "with all requests"
    [ "$(json 'sum(t["sent_objects"] for t in d["targets"] if t["name"] != "eu")')" -le 2 ] \
        || fail "others were sent something: $(cat "$OUT")"
}

restores() {
    bare bare-us three us
    measure second 0 restore tree --to "$W/second"
    same "$S" "$W/second$S"
    rm -r "$W/second"
    tell eu refuse
    bare bare-three three eu us ap
    measure dead 0 restore tree --to "$W/dead"
    tell eu mend
    says 'target eu '
    same "$S" "$W/dead$S"
    rm -r "$W/dead"
    demand "restore without the nearest / from the second nearest alone" 1.2 \
        "$(took dead) / $(took second)" "$(told dead); alone $(told second)"
}

export KEY_eu=AKeu KEY_us=AKus KEY_ap=AKap
export SECRET_eu=SKeu-0123456789 SECRET_us=SKus-0123456789 SECRET_ap=SKap-0123456789
try "three servers at distances" prepare || finish
try "a backup to three is hardly slower than to one" backups || finish
try "a target that is lost in the middle costs little" lost_meanwhile || finish
try "one that returns gets what it lacks" returns
try "a restore without the nearest target" restores
finish
