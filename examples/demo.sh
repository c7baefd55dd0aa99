#!/bin/bash
# drtool's main job on real files, in a folder that is removed at the end: back
# up to three targets, lose one, restore from the others and compare, make the
# lost one whole again, and rehearse the plan for it as a drill. Needs neither
# network nor root. $DRTOOL is the program; KEEP=1 keeps the folder.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=${DRTOOL:-$here/../build/release/drtool}
[ -x "$program" ] || program=$(command -v drtool) || {
    echo "demo.sh: no drtool: run make, or set DRTOOL to the program" >&2
    exit 1
}
program=$(realpath "$program")

demo=$(mktemp -d "${TMPDIR:-/tmp}/drtool-demo.XXXXXX")
clean_up() {
    [ -n "${KEEP:-}" ] && echo "kept: $demo" && return
    chmod -R u+rwX "$demo" 2>/dev/null || true
    rm -rf "$demo"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
cd "$demo"
export DRTOOL_CONFIG=$demo/drtool.yaml
begun=$SECONDS

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
plain() { printf '\n== %s\n' "$*"; }
[ -t 1 ] || say() { plain "$@"; }

# Prints a command, then runs it.
run() {
    printf '$ %s\n' "$*"
    "$@"
}

# What cron runs is silent without a terminal unless it is asked; here it shall tell.
drtool() {
    case $1 in
    backup | verify) [ -t 1 ] || set -- -v "$@" ;;
    esac
    "$program" "$@"
}

# expect STATUS COMMAND...: the same, and it must end with this exit status.
expect() {
    local want=$1 status=0
    shift
    run "$@" || status=$?
    if [ "$status" -ne "$want" ]; then
        echo "demo.sh: exit status $status, but $want was to be expected" >&2
        exit 1
    fi
    [ "$want" -eq 0 ] || echo "(exit status $status, as it should be)"
}

# Everything about the files below $1 that a copy must have, by find and
# sha256sum alone: types, modes, owners, times, links, names, contents.
listing() {
    (
        cd "$1"
        find . -printf '%P  %y %m %U:%G %T@ %l\n' | sort
        find . ! -type d -printf '%P  names %n size %s\n' | sort
        find . -type f -print0 | sort -z | xargs -0 sha256sum
    )
}

say "Some real files, and some odd ones"
mkdir data
folders=()
for dir in /usr/share/doc /usr/include /usr/share/perl5 /usr/share/zoneinfo; do
    [ -d "$dir" ] && folders+=("$dir")
done
{ find "${folders[@]}" -xdev \( -type f -readable -size -2048k -o -type l \) -print0 || true; } \
    2>/dev/null >files.list
head -z -n 8000 files.list | tar --null --no-recursion -T - -cf - 2>/dev/null | tar -C data -xf -
mkdir data/odd
(
    cd data/odd
    head -c 24M /dev/urandom >large
    : >empty
    truncate -s 256M sparse && printf 'x' | dd of=sparse bs=1 seek=100M conv=notrunc status=none
    echo 'a name of two lines' >$'two\nlines'
    echo 'a name that is not UTF-8' >$'caf\xe9'
    ln large another-name
    ln -s /nowhere/at/all dangling
    mkfifo pipe
    touch -d '1969-07-20 20:17:40.123456789 UTC' empty
    mkdir -p a/b/c/d/e && echo deep >a/b/c/d/e/file
    install -m 4750 /dev/null setuid
    echo secret >server.key && chmod 600 server.key
)
run du -sh --apparent-size data
echo "$(find data -printf x | wc -c) names"

say "Three targets on three sites; two must hold a snapshot for it to count"
mkdir west east office
cat >drtool.yaml <<YAML
repository: demo
key: { file: $demo/key }
state: $demo/state
targets:
  - { name: west,   url: "file://$demo/west",   site: west }
  - { name: east,   url: "file://$demo/east",   site: east }
  - { name: office, url: "file://$demo/office", site: office }
fleet: { quorum: 2 }
sources:
  - { name: uploads, files: { paths: [$demo/data] } }
YAML
run cat drtool.yaml
expect 0 drtool config check
expect 0 drtool init --yes-saved

say "The first backup sends everything, sealed, to all three in one pass"
expect 0 drtool backup
run du -sh west east office

say "Something changes; the second backup sends only that"
echo 'one more line' >>data/odd/a/b/c/d/e/file
head -c 300000 /dev/urandom >data/odd/new
rm data/odd/server.key
listing data >wanted
expect 0 drtool backup --tag before-the-fire
expect 0 drtool snapshots

say "West burns down"
run rm -rf west

say "Restore, from what is left"
expect 0 drtool restore uploads --to restored
listing "restored$demo/data" >found
run cmp wanted found
echo "$(grep -c ' f ' wanted) files and everything else: names, contents, modes, times, links are the same"

say "Backups go on: two of three targets are enough, and drtool says that one is missing"
echo 'written while west was away' >data/odd/later
expect 4 drtool backup

say "A new west: an empty folder is made a target again and filled from the others"
run mkdir west
expect 0 drtool target add west
expect 0 drtool verify --level 3

say "The plan for the day when it burns again, as a drill"
cat >west-lost.yaml <<'YAML'
drtool: 1
kind: runbook
metadata: { name: west-lost, owner: operations }
objectives: { rto: 5m, rpo: 1h }
faults:
  - { kind: target.down, target: west }
steps:
  - { id: files, uses: restore.files, with: { source: uploads } }
checks:
  - { id: hashes, uses: hash, with: { root: "${steps.files.path}" } }
YAML
run cat west-lost.yaml
expect 0 drtool drill west-lost.yaml --report report | tee drill.out

say "Summary"
echo "backed up    $(find data -printf x | wc -c) names to three targets, deduplicated and encrypted"
echo "lost         one of the three"
echo "restored     everything, identical, from the other two"
echo "mended       the lost one, from the others; every byte of it verified"
echo "drilled      passed: $(grep -oE 'RTO [^,]*' drill.out), $(grep -oE 'RPO [^,]*' drill.out)"
echo "All of it in $((SECONDS - begun)) s."
