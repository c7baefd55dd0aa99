# Makes tables of what tests/bench/growth measured: KIND:SIZE tool step seconds KiB
# CPU-seconds, and KIND:SIZE drtool calls:STEP number. A value that grew faster than it
# may from one size to the last, or memory over 128 MiB, is marked with "!": times may
# grow as the sizes do (and some noise), memory not at all.
function words(step) {
    sub(/^restore-one$/, "restore of one file", step)
    sub(/^restore-lost$/, "the same, local state lost", step)
    sub(/^list-lost$/, "snapshots, local state lost", step)
    sub(/^read-index$/, "backup that reads the index", step)
    sub(/^presence$/, "verify, are all packs there", step)
    return step
}
function power(k, key, last, n) {
    n = sizes[k]
    if (n < 2 || !((k, size[k, n], key) in last) || !((k, size[k, n - 1], key) in last))
        return ""
    if (last[k, size[k, n - 1], key] <= 0 || last[k, size[k, n], key] <= 0)
        return ""
    return log(last[k, size[k, n], key] / last[k, size[k, n - 1], key]) / log(size[k, n] / size[k, n - 1])
}
# Is the growth more than noise explains?
function too_fast(kind, p, value) {
    if (kind == "MiB")
        return value > 128 || (p != "" && p > 0.1 && value > 32)
    return p != "" && p > 1.1 && (kind == "requests" || value > 1)
}
# The lines of one unit: step by step, and each tool's.
function table(k, kind, scale, form, list, s, t) {
    for (s = 1; s <= steps[k]; s++)
        for (t = 1; t <= 3; t++)
            row(k, tool[t] SUBSEP step[k, s], kind, scale, form, list)
}
function row(k, key, kind, scale, form, list, i, line, any, p, v) {
    for (i = 1; i <= sizes[k]; i++)
        if ((k, size[k, i], key) in list) {
            v = list[k, size[k, i], key] / scale
            line = line sprintf(" " form " |", v)
            any = 1
        } else
            line = line sprintf(" %10s |", "")
    if (!any)
        return
    p = power(k, key, list)
    split(key, part, SUBSEP)
    printf "| %-28s | %-6s | %-8s |%s %6s%1s |\n", words(part[2]), part[1], kind, line,
        p == "" ? "" : sprintf("%.2f", p), too_fast(kind, p, v) ? "!" : ""
}
BEGIN { split("drtool restic borg", tool, " ") }
{
    split($1, job, ":")
    k = job[1]
    if (!(k in sizes))
        kind[++kinds] = k
    if (!((k, job[2]) in seen)) {
        seen[k, job[2]] = 1
        size[k, ++sizes[k]] = job[2]
    }
    if (sub(/^calls:/, "", $3)) {
        calls[k, job[2], $2, $3] = $4
        next
    }
    if (!((k, $3) in known)) {
        known[k, $3] = 1
        step[k, ++steps[k]] = $3
    }
    seconds[k, job[2], $2, $3] = $4
    memory[k, job[2], $2, $3] = $5
    cpu[k, job[2], $2, $3] = $6
}
END {
    for (i = 1; i <= kinds; i++) {
        k = kind[i]
        printf "\n| %-28s | %-6s | %-8s |", k, "", ""
        for (s = 1; s <= sizes[k]; s++)
            printf " %10d |", size[k, s]
        printf " %7s |\n", "power"
        printf "|------------------------------|--------|----------|"
        for (s = 1; s <= sizes[k]; s++)
            printf "-----------:|"
        print "--------:|"
        table(k, "s", 1, "%10.2f", seconds)
        table(k, "CPU s", 1, "%10.2f", cpu)
        table(k, "MiB", 1024, "%10.0f", memory)
        table(k, "requests", 1, "%10d", calls)
    }
}
