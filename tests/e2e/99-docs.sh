#!/bin/bash
# What the documents say: examples of the help are understood, help fits, the
# example configuration is right, the README names commands that exist, the
# manual has no mistakes of form, and the demo runs through.
set -u
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
name=$(basename "$0" .sh)
drtool=$(realpath "${DRTOOL:-$top/build/release/drtool}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
unset "${!DRTOOL_@}" XDG_CONFIG_HOME
export HOME=$work
cd "$work" || exit 1
failed=0

ok() { echo "ok $name: $*"; }
not_ok() {
    echo "not ok $name: $*"
    failed=1
}

# report CASE FILE: the findings in FILE, of which there should be none.
report() {
    if [ -s "$2" ]; then
        not_ok "$1: $(head -n 3 "$2" | tr '\n' ';')"
    else
        ok "$1"
    fi
}

drtool() { timeout 60 "$drtool" "$@" </dev/null; }

# Whole names, such as "key add", and first words alone, such as "key".
{
    drtool help | awk '/^commands:/ { on = 1; next } /^$/ { on = 0 }
        on && /^  [a-z]/ { name = substr($0, 3, 15); sub(/ +$/, "", name); print name }'
    drtool __complete command
} | sort -u >"$work/commands"
[ "$(wc -l <"$work/commands")" -ge 10 ] || not_ok "the commands are not told"

# The words of a line of shell, as the examples use them: quotes, no more.
words() {
    local line=$1 word
    declare -ga line_words=()
    while IFS= read -r -d '' word; do
        line_words+=("$word")
    done < <(xargs printf '%s\0' <<<"$line")
}

# understood LINE FILE: "drtool ..." is no usage error but for the missing
# configuration; what is not goes into FILE.
understood() {
    local line=$1 findings=$2 said
    line=${line%%[>|<]*} # what the shell would do with it
    words "$line"
    said=$(drtool -c "$work/none.yaml" "${line_words[@]:1}" 2>&1 >/dev/null)
    local status=$?
    [ $status -eq 0 ] || grep -q 'reading the configuration: .*none\.yaml' <<<"$said" \
        || echo "$line: $said" >>"$findings"
}

: >"$work/help" && : >"$work/wide" && : >"$work/lines"
while read -r command; do
    read -ra parts <<<"$command"
    if ! drtool help "${parts[@]}" >"$work/out" 2>"$work/err" || [ -s "$work/err" ]; then
        echo "$command: $(cat "$work/err")" >>"$work/help"
    fi
    [ -s "$work/out" ] || echo "$command: nothing on standard output" >>"$work/help"
    [ "$command" = help ] || drtool "${parts[@]}" --help 2>&1 | cmp -s - "$work/out" \
        || echo "$command: --help differs from help" >>"$work/help"
    awk -v c="$command" 'length > 80 { print c ": " $0 }' "$work/out" >>"$work/wide"
    awk '/^examples:/ { on = 1; next } on && /^  drtool/' "$work/out" >>"$work/lines"
done <"$work/commands"
drtool help | awk 'length > 80' >>"$work/wide"
report "help of every command on standard output, with status 0" "$work/help"
report "help of every command in 80 columns" "$work/wide"

: >"$work/bad"
while read -r line; do
    # an example that names its own configuration means that one
    understood "$(sed -E 's/ -c [^ ]+//' <<<"$line")" "$work/bad"
done <"$work/lines"
if [ "$(wc -l <"$work/lines")" -lt 8 ]; then
    not_ok "only $(wc -l <"$work/lines") examples were found"
fi
report "every example of the help is understood" "$work/bad"

# A program that does not know a word says so: else the case above proves nothing.
: >"$work/planted"
understood "drtool backup --no-such-option" "$work/planted"
understood "drtool no-such-command" "$work/planted"
if [ "$(wc -l <"$work/planted")" -eq 2 ]; then
    ok "an example that is wrong would be found"
else
    not_ok "an example that is wrong would not be found"
fi

: >"$work/bad"
drtool -c "$top/examples/drtool.yaml" config check >"$work/out" 2>&1 || cat "$work/out" >"$work/bad"
report "examples/drtool.yaml passes config check" "$work/bad"

# The configuration that the README shows, too.
awk '/^```yaml/ { on = 1; n++; next } /^```/ { on = 0 } on && n == 1' "$top/README.md" >readme.yaml
: >"$work/bad"
drtool -c "$work/readme.yaml" config check >"$work/out" 2>&1 || cat "$work/out" >"$work/bad"
report "README's configuration passes config check" "$work/bad"

# Lines of commands in the README, in examples and in the manual of the ideas.
: >"$work/bad"
{
    sed -nE 's/^ +(- |run: )?(drtool .*)$/\2/p' "$top/README.md" "$top"/examples/*.yml
    sed -nE 's/^[^#].* root +(drtool .*)$/\1/p' "$top/README.md" "$top/examples/cron"
    sed -nE 's/^ExecStart=.*\/(drtool .*)$/\1/p' "$top"/examples/systemd/*.service
    sed -nE 's/^(drtool .*)$/\1/p' "$top/man/drtool.7"
} | sed -E 's/ -c [^ ]+//; s/ +#.*//' >"$work/lines"
while read -r line; do
    understood "$line" "$work/bad"
done <"$work/lines"
[ "$(wc -l <"$work/lines")" -ge 10 ] || not_ok "README has too few commands"
report "every command of README, examples and drtool(7) is understood" "$work/bad"

: >"$work/bad"
grep -oE '\]\([^)#:]+\)' "$top/README.md" | tr -d '])(' | while read -r file; do
    [ -e "$top/$file" ] || echo "README.md: $file is not there" >>"$work/bad"
done
grep -oE '^ +make [a-z]+' "$top/README.md" | while read -r _ target; do
    grep -q "^$target:" "$top/Makefile" || echo "make $target does not exist" >>"$work/bad"
done
report "README's links and targets of make exist" "$work/bad"

: >"$work/bad"
while read -r command; do
    page=$top/man/drtool-${command%% *}.1
    [ -e "$page" ] || echo "$command has no manual page" >>"$work/bad"
    [ -e "$top/man/${command%% *}.prose" ] || [ "${command%% *}" = help ] \
        || [ "${command%% *}" = version ] || echo "$command has no prose" >>"$work/bad"
done <"$work/commands"
report "every command has a manual page and prose" "$work/bad"

: >"$work/bad"
for page in "$top"/man/*.[1-9]; do
    mandoc -T lint -W warning "$page"
done 2>&1 | grep -v 'referenced manual not found\|outdated mandoc.db' >"$work/bad"
report "mandoc finds nothing wrong with the manual" "$work/bad"

# References among our own pages lead somewhere.
: >"$work/bad"
grep -hoE '^\.Xr drtool[a-z.-]* [0-9]' "$top"/man/*.[1-9] | sort -u \
    | while read -r _ page section; do
        [ -e "$top/man/$page.$section" ] || echo "$page($section) is not there" >>"$work/bad"
    done
report "references from page to page lead somewhere" "$work/bad"

if DRTOOL=$drtool TMPDIR=$work timeout 600 "$top/examples/demo.sh" >"$work/out" 2>&1; then
    ok "examples/demo.sh runs through"
else
    not_ok "examples/demo.sh ended with status $?: $(tail -n 4 "$work/out" | tr '\n' ';')"
fi
[ -z "$(find "$work" -maxdepth 1 -name 'drtool-demo.*')" ] || not_ok "the demo left its folder"

exit $failed
