# Prints each include that breaks the order of src/LAYERS, and each source of a
# library that belongs to other folders.
# Usage: awk -f layers.awk src/LAYERS FILE...
FNR == NR {
    if ($1 == "lib")
        for (i = 3; i <= NF; i++)
            owner[$2] = owner[$2] " " $i
    else if ($1 !~ /^#/)
        for (i = 1; i <= NF; i++)
            level[$i] = FNR
    next
}

# src/storage/s3/s3.c and include/storage/dir.h are of the folder storage.
FNR == 1 {
    split(FILENAME, part, "/")
    me = part[2]
    if (!(me in level))
        bad("the folder " me " does not stand in src/LAYERS")
}

/^#[ \t]*include/ {
    name = $2
    if (name == "" || name !~ /^[<"]/) {
        name = $0
        sub(/^#[ \t]*include[ \t]*/, "", name)
    }
    quoted = name ~ /^"/
    gsub(/[<>"]/, "", name)
    check_library(name)
    split(name, to, "/")
    if (quoted && (name ~ /^\.\.\// || !(to[1] in level)))
        check_private(name)
    else if (to[1] in level && to[1] != me && level[to[1]] >= level[me])
        bad(me " may not include " name ": " to[1] " stands beside or above it")
}

# A private header is named from where its user stands and lies in his folder.
function check_private(name,    path, n, dir, i, out) {
    n = split(FILENAME, dir, "/")
    path = ""
    for (i = 1; i < n; i++)
        path = path dir[i] "/"
    while (name ~ /^\.\.\//) {
        sub(/^\.\.\//, "", name)
        sub(/[^\/]+\/$/, "", path)
    }
    if (index(path name, part[1] "/" me "/") != 1)
        bad("includes " path name ", a private header of another folder")
    else if ((getline out < (path name)) < 0)
        bad("includes " name ", which is neither in include/ nor beside it")
    close(path name)
}

function check_library(name,    lib, n, list, i) {
    for (lib in owner) {
        if (!matches(name, lib))
            continue
        n = split(owner[lib], list, " ")
        for (i = 1; i <= n; i++)
            if (list[i] == me)
                return
        bad(name " belongs to" owner[lib])
    }
}

# A name that ends in / or * is a prefix.
function matches(name, lib) {
    if (lib !~ /[\/*]$/)
        return name == lib
    sub(/\*$/, "", lib)
    return index(name, lib) == 1
}

function bad(why) {
    print FILENAME ":" FNR ": " why
    failed = 1
}

END { exit failed }
