# Prints calls that are banned, and lines that are not in the house's form.
# Usage: awk -f words.awk tests/lint/banned FILE...
#
# The list has a line "WORD WHERE WHY": WORD is a function, WHERE are prefixes of
# the files that may call it, joined by commas, or - for none. Comments and
# strings do not count.
FNR == NR {
    if ($1 ~ /^[a-z_]/) {
        where[$1] = $2
        text = $0
        sub(/^[^ ]+ +[^ ]+ +/, "", text)
        why[$1] = text
    }
    next
}

FNR == 1 { within = 0 }

{
    width = $0
    gsub(/[\200-\277]/, "", width) # continuation bytes take no column
    if (length(width) > 90)
        bad("longer than 90 columns")
    if ($0 ~ /\t/)
        bad("has a tab")
    if ($0 ~ /[ \t\r]$/)
        bad("ends in a space")
    if ($0 ~ /(TODO|FIXME)/)
        bad("has an unfinished note; finish it or open an issue")
    if (FILENAME !~ /\.[ch]$/)
        next
    code = strip($0)
    while (match(code, /[A-Za-z_][A-Za-z_0-9]*/)) {
        word = substr(code, RSTART, RLENGTH)
        before = RSTART > 1 ? substr(code, 1, RSTART - 1) : ""
        code = substr(code, RSTART + RLENGTH)
        # a member (x->free, .remove =) or a longer name is no call
        if (word in where && before !~ /(->|\.)$/ && called(word, code) && !allowed(word))
            bad(word "() is not used here: " why[word])
    }
}

function called(word, rest) {
    return word == "goto" ? rest ~ /^[ ]+[a-z]/ : rest ~ /^[ ]*\(/
}

function allowed(word,    list, n, i) {
    if (FILENAME ~ /^tests\// && word != "gets")
        return 1
    n = split(where[word], list, ",")
    for (i = 1; i <= n; i++)
        if (list[i] != "-" && index(FILENAME, list[i]) == 1)
            return 1
    return 0
}

# The line without strings, characters and comments; `within` is a comment that
# goes on. A function type in a declaration is stripped by hand: (*name)(.
function strip(line,    out, c, two, i, n, quote) {
    n = length(line)
    for (i = 1; i <= n; i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (within) {
            if (two == "*/") {
                within = 0
                i++
            }
        } else if (quote != "") {
            if (c == "\\")
                i++
            else if (c == quote)
                quote = ""
        } else if (two == "/*") {
            within = 1
            i++
        } else if (two == "//") {
            break
        } else if (c == "\"" || c == "'") {
            quote = c
        } else {
            out = out c
        }
    }
    return out
}

function bad(what) {
    print FILENAME ":" FNR ": " what
    failed = 1
}

END { exit failed }
