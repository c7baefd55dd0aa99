#!/bin/bash
# Three S3 servers with ports, keys and buckets of their own: the main job, one
# and two of them down, killed and frozen, an emptied bucket, damage, and all
# that can be wrong with an address or a key.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

S=$W/src
use s3

# Keys from the environment, from the configuration and from the shared file.
export AWS_ACCESS_KEY_ID=AKap AWS_SECRET_ACCESS_KEY=SKap-0123456789
export EU_KEY=AKeu
install -m 600 /dev/null "$W/eu.secret"
echo SKeu-0123456789 >"$W/eu.secret"
mkdir -p "$HOME/.aws"
cat >"$HOME/.aws/credentials" <<'KEYS'
[default]
aws_access_key_id = wrong
aws_secret_access_key = wrong
[dr]
aws_access_key_id = AKus
aws_secret_access_key = SKus-0123456789
KEYS
KEYS_OF_EU="access-key: { env: EU_KEY }, secret-key: { file: $W/eu.secret }"
KEYS_OF_US="profile: dr"

# targets LINE...: the configuration's list of targets becomes these lines.
targets() {
    local rest
    rest=$(sed -n '/^sources:/,$p' "$CONF")
    {
        sed '/^targets:/q' "$CONF"
        printf '%s\n' "$@"
        echo "$rest"
    } >"$CONF.new"
    mv "$CONF.new" "$CONF"
}

the_three() {
    targets "$(s3_target eu eu "$KEYS_OF_EU" main)" "$(s3_target us us "$KEYS_OF_US" main)" \
        "$(s3_target ap ap "" main)"
}

# Names of the objects that all targets must have alike.
common() {
    s3_list "$1" | grep -E '^main/(pack|index|snap)/'
}

alike() {
    local r
    common eu >"$W/common.eu" || exit 99
    [ -s "$W/common.eu" ] || fail "the bucket of eu is empty"
    for r in us ap; do
        common "$r" >"$W/common.$r" || exit 99
        cmp -s "$W/common.eu" "$W/common.$r" || fail "eu and $r hold different objects:" \
            "$(diff "$W/common.eu" "$W/common.$r" | head -n 3)"
    done
}

servers() {
    gateways
    mkdir "$S"
    random_tree "$S" 200 100000
    head -c 50000000 /dev/urandom >"$S/big"
    new_conf s3 0
    source_files tree "$S"
    the_three
}

main_job() {
    dr 0 init --yes-saved
    sleep 3
    dr 0 backup
    back tree "$S"
    dr 0 verify --level 3
    dr 0 --json target check --size 1MiB
    [ "$(json '[c for c in d["checks"] if c["verdict"] == "bad"]')" = "[]" ] || fail "$(cat "$OUT")"
    alike
    dr 0 --json backup
    [ "$(json '[t["name"] for t in d["sources"][0]["targets"]
        if not t["committed"] or not 0 < t["sent_bytes"] < 65536]')" = "[]" ] || fail "$(cat "$OUT")"
    dr 0 --json snapshots
    [ "$(json 'len(d["snapshots"])')" -eq 2 ] || fail "$(cat "$OUT")"
}

each_alone() {
    local r
    for r in eu us ap; do
        use s3
        sed -e "/name: \(eu\|us\|ap\),/{/name: $r,/!d}" -e "s|state:.*|state: $W/bare-$r|" \
            "$CONF" >"$W/bare.yaml"
        CONF=$W/bare.yaml
        back tree "$S"
        rm -rf "$W/bare-$r"
    done
}

one_down() {
    head -c 3000000 /dev/urandom >"$S/while-eu-was-down"
    gateway_down eu
    dr 4 --json backup
    [ "$(json '[t["name"] for t in d["sources"][0]["targets"] if not t["committed"]]')" = "['eu']" ] \
        || fail "$(cat "$OUT")"
    says 'target eu .*(127\.0\.0\.1|refused|reached)'
    back tree "$S" # from the two others
    gateways_again
    dr 0 sync
    alike
    dr 0 verify --level 3
    dr 0 --json snapshots
    [ "$(json 'all(s["targets"] == ["eu", "us", "ap"] for s in d["snapshots"])')" = True ] \
        || fail "$(cat "$OUT")"
    dr 0 --json sync
    [ "$(json '[t["sent_objects"] for t in d["targets"]]')" = "[0, 0, 0]" ] || fail "$(cat "$OUT")"
}

two_down() {
    cp -a "$S" "$W/before"
    head -c 3000000 /dev/urandom >"$S/while-two-were-down"
    gateway_down eu
    gateway_down us
    dr 5 --json backup
    [ "$(json '[t["name"] for t in d["sources"][0]["targets"] if not t["committed"]]')" = "['eu', 'us']" ] \
        || fail "$(cat "$OUT")"
    says 'kept in the spool'
    # the third has it all: what was there before and what is new
    back tree "$S"
    gateway_down ap
    dr 5 backup # nobody answers at all
    gateways_again
    dr 0 sync
    alike
    dr 0 verify --level 3
    back tree "$S"
    dr 0 --json snapshots
    [ "$(json 'all(s["targets"] == ["eu", "us", "ap"] for s in d["snapshots"])')" = True ] \
        || fail "$(cat "$OUT")"
    [ "$(json 'len(d["snapshots"])')" -eq 5 ] || fail "not 5 snapshots: $(cat "$OUT")"
    rm -rf "$W/back"
    dr 0 restore "$(json 'd["snapshots"][2]["id"]')" --to "$W/back"
    same "$W/before" "$W/back$S"
}

# The next backup sends what is queued, too.
backup_catches_up() {
    head -c 2000000 /dev/urandom >"$S/queued"
    gateway_down ap
    dr 4 backup
    gateways_again
    dr 0 backup
    alike
    dr 0 --json snapshots
    [ "$(json 'all(s["targets"] == ["eu", "us", "ap"] for s in d["snapshots"])')" = True ] \
        || fail "$(cat "$OUT")"
}

# A server dies in the middle of a run.
dies_meanwhile() {
    head -c 150000000 /dev/urandom >"$S/long"
    dr_start --json backup
    for _ in $(seq 500); do
        s3_list us >"$W/sent.us" || exit 99
        grep -q ' [23][0-9]\{7\}$' "$W/sent.us" && break
        live "$pid" || break
    done
    gateway_down us
    dr_wait
    [ "$got" -eq 4 ] || fail "backup ended with $got, not 4: $(cat "$ERR")"
    says 'target us '
    back tree "$S"
    gateways_again
    dr 0 sync
    alike
    dr 0 verify
    rm "$S/long"
}

# It takes connections and does not answer, for a while or for ever.
frozen() {
    local p begun=$SECONDS
    p=$(cat "$W/ceph/run/rgw.eu.pid")
    head -c 2000000 /dev/urandom >"$S/frozen"
    kill -STOP "$p"
    dr_start backup
    sleep 6
    live "$pid" || fail "it did not wait for the frozen server"
    kill -CONT "$p"
    dr_wait
    [ "$got" -eq 0 ] || fail "backup ended with $got, not 0: $(cat "$ERR")"
    alike
    [ "$LONG" ] || return 0
    kill -STOP "$p"
    head -c 2000000 /dev/urandom >"$S/frozen"
    begun=$SECONDS
    LIMIT=300 dr_any backup
    kill -CONT "$p"
    [ "$got" -eq 4 ] || fail "backup ended with $got, not 4: $(cat "$ERR")"
    says 'target eu '
    [ $((SECONDS - begun)) -lt 90 ] || fail "it took $((SECONDS - begun)) s"
    dr 0 sync
    alike
}

killed() {
    head -c 100000000 /dev/urandom >"$S/killed"
    dr_start backup
    sleep 1
    stop "$pid" KILL
    dr 0 verify
    dr 0 backup
    alike
    back tree "$S"
    dr 0 verify --level 3
    rm "$S/killed"
}

damaged() {
    local key
    dr 0 backup
    key=$(common eu | sed -n 's| [0-9]*$||; /\/pack\//p' | sed -n 2p) || exit 99
    [ -n "$key" ] || fail "there is no pack"
    s3_call eu GET "$key" "$W/object"
    cp "$W/object" "$W/bad"
    printf 'damage' | dd of="$W/bad" bs=1 seek=5000 conv=notrunc status=none
    s3_call eu PUT "$key" "$W/bad"
    dr 6 verify --level 3
    says "${key#main/}"
    rm -rf "$W/back"
    dr 0 verify --level 3 --heal
    s3_call eu GET "$key" "$W/bad"
    cmp -s "$W/object" "$W/bad" || fail "$key was not healed"
    s3_call eu DELETE "$key" /dev/null
    dr 6 verify --level 0 --target eu
    back tree "$S"
    dr 0 verify --level 1 --heal
    dr 0 verify --level 3
}

emptied() {
    s3_empty eu
    back tree "$S"
    says 'target eu .*holds no repository'
    head -c 1000 /dev/urandom >"$S/emptied"
    dr 4 backup # an empty bucket is not filled by itself
    says 'drtool target add eu'
    [ -z "$(s3_list eu)" ] || fail "something was put into the emptied bucket"
    dr 0 target add eu
    alike
    dr 0 verify --level 3
    dr 0 backup
}

mixed() {
    local r
    new_conf mixed 2
    source_files tree "$S"
    targets "$(s3_target us us "$KEYS_OF_US" mixed)" "$(grep 'name: t1,' "$CONF")" \
        "$(s3_target eu eu "$KEYS_OF_EU" mixed)" "$(grep 'name: t2,' "$CONF")"
    dr 0 init --yes-saved
    dr 0 backup
    dr 0 verify --level 3
    gateway_down us
    mv "$R/t1" "$R/away"
    back tree "$S"
    dr 4 backup
    says 'target us '
    says 'target t1 '
    mv "$R/away" "$R/t1"
    gateways_again
    dr 0 sync
    dr 0 verify --level 3
    mv "$R/t2" "$R/away2" # only S3 and a folder are left
    mv "$R/t1" "$R/away"
    back tree "$S"
}

# one LINE: a configuration with this target alone and no state.
one() {
    new_conf one 0
    cp "$W/repo/s3/key" "$R/key"
    sed -i 's/^repository: .*/repository: s3/' "$CONF"
    source_files tree "$S"
    rm -rf "$R/state"
    targets "$1"
}

# A clear sentence, once, and nothing else on it.
one_sentence() {
    [ "$(grep -c '^drtool: ' "$ERR")" -le 2 ] || fail "too many words: $(cat "$ERR")"
}

wrong_keys() {
    local command
    install -m 600 /dev/null "$W/bad.secret"
    echo not-the-secret >"$W/bad.secret"
    for command in snapshots backup verify "restore tree --to $W/none" sync; do
        one "$(s3_target eu eu "access-key: { env: EU_KEY }, secret-key: { file: $W/bad.secret }" main)"
        # shellcheck disable=SC2086 # the command has words
        dr 7 $command
        says '(SignatureDoesNotMatch|refused|denied|credentials)'
        one_sentence
    done
    EU_KEY=AKnobody one "$(s3_target eu eu "$KEYS_OF_EU" main)"
    EU_KEY=AKnobody dr 7 snapshots
    one_sentence
    # another's bucket
    one "$(s3_target eu eu "$KEYS_OF_US" main)"
    dr 7 snapshots
    # keys that are not there at all
    one "$(s3_target eu eu "profile: nobody" main)"
    dr 7 snapshots
    says 'nobody'
    one "$(s3_target eu eu "access-key: { env: NO_SUCH_VARIABLE }, secret-key: { file: $W/eu.secret }" main)"
    dr 7 snapshots
    says 'NO_SUCH_VARIABLE'
    one "$(s3_target eu eu "access-key: { env: EU_KEY }, secret-key: { file: $W/no-such-file }" main)"
    dr 7 snapshots
    says "$W/no-such-file"
    chmod 644 "$W/bad.secret" # a secret that everybody may read
    one "$(s3_target eu eu "access-key: { env: EU_KEY }, secret-key: { file: $W/bad.secret }" main)"
    dr 7 snapshots
    says "$W/bad.secret"
    grep -q 'not-the-secret' "$ALL" && fail "a secret was printed"
    # one of three: degraded
    the_three_with_bad_us
    dr 4 backup
    says 'target us '
    the_three
    dr 0 backup
}

the_three_with_bad_us() {
    use s3
    the_three
    sed -i 's/profile: dr/profile: default/' "$CONF"
}

from_environment() {
    one "$(s3_target ap ap "" main)"
    dr 0 snapshots
    AWS_SECRET_ACCESS_KEY=wrong dr 7 snapshots
    one "$(s3_target us us "" main)"
    (
        unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
        AWS_PROFILE=dr dr 0 snapshots
        dr 7 snapshots
        mv "$HOME/.aws/credentials" "$W/shared"
        AWS_SHARED_CREDENTIALS_FILE=$W/shared AWS_PROFILE=dr dr 0 snapshots
        dr 7 snapshots
        says 'target us'
        mv "$W/shared" "$HOME/.aws/credentials"
    ) || exit 99
}

wrong_address() {
    local line
    line=$(s3_target eu eu "$KEYS_OF_EU" main)
    one "${line/bucket-eu/no-such-bucket}"
    dr 8 snapshots
    says 'no-such-bucket does not exist'
    one_sentence
    dr 8 init --yes-saved
    one "${line/127.0.0.1:$(s3_port eu)/127.0.0.1:9}"
    dr 8 snapshots
    says '127\.0\.0\.1'
    one_sentence
    one "${line/127.0.0.1/no-such-host.invalid}"
    dr 8 snapshots
    says 'no-such-host\.invalid'
    one_sentence
    one "${line/http:/https:}" # the server speaks no TLS
    dr 8 snapshots
    one_sentence
    one "${line/\/main/\/nothing-here}"
    dr 1 snapshots
    says 'no target holds a repository; .drtool init.'
}

clock_off() {
    local minutes
    gcc -O2 -shared -fPIC -o "$W/skew.so" "$here/skew.c" || fail "skew.c does not compile"
    for minutes in 20 -20; do
        one "$(s3_target eu eu "$KEYS_OF_EU" main)"
        AS=(env LD_PRELOAD="$W/skew.so" SKEW=$((minutes * 60)))
        dr 7 snapshots
        says "clock is 20 minutes off"
        one_sentence
        dr 7 backup
    done
    use s3 # a clock that is off by little changes nothing
    AS=(env LD_PRELOAD="$W/skew.so" SKEW=200)
    dr 0 backup
    back tree "$S"
}

# All servers run at the beginning of a case.
case_of() {
    try "$1" all_up "$2"
}

all_up() {
    gateways_again
    "$@"
}

try "three servers" servers
case_of "init, backup, restore, verify, and an unchanged backup" main_job
case_of "each server alone restores on a bare machine" each_alone
case_of "one server down: degraded, then level by sync" one_down
case_of "two and three down: no quorum, nothing lost" two_down
case_of "the next backup sends what is queued" backup_catches_up
case_of "a server that dies in the middle of a backup" dies_meanwhile
case_of "a frozen server" frozen
case_of "a backup that is killed" killed
case_of "a damaged and a missing object" damaged
case_of "an emptied bucket" emptied
case_of "folders and buckets in one fleet" mixed
case_of "wrong and missing keys" wrong_keys
case_of "keys from the environment and the shared file" from_environment
case_of "a wrong bucket, port, host, scheme and prefix" wrong_address
case_of "a clock that is 20 minutes off" clock_off
finish
