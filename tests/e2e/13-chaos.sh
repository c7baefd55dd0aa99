#!/bin/bash
# The short form of the chaos loop: every fault once. With DRTOOL_LONG ten minutes;
# `make chaos MINUTES=n` runs as long as one likes. SEED repeats the faults.
# shellcheck source=tests/e2e/lib.sh disable=SC2317 # try calls the functions
. "$(dirname "$0")/lib.sh"

SEED=${SEED:-$$}

loop() {
    DRTOOL=$DRTOOL TMPDIR=$W "$here/../chaos/run" --seed "$SEED" ${LONG:+--minutes 10} \
        --check $((LONG ? 20 : 1)) ${KEEP:+--keep} >"$OUT" 2>&1 \
        || fail "SEED=$SEED: $(grep -v '^#' "$OUT" | tail -n 3)"
    cat "$OUT"
}

try "nothing is lost while servers are ill-treated" loop
finish
