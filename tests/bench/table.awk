# Makes tables of the benchmark's results: job tool step seconds KiB CPU-seconds.
# What is no time stands in the place of the seconds.
function median(list, n, i, j, t, v) {
    n = split(list, v, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) {
            t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
        }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
# One row; the last column is the better peer divided by drtool.
function row(name, a, b, c, form, best) {
    best = b + 0 < c + 0 ? b : c
    printf "| %-28s |" form "|" form "|" form "| %20.2f |\n", name, a, b, c, (a > 0 ? best / a : 0)
}
function by(job, step, scale, form, name) {
    if (!((job, "drtool", step) in value))
        return
    row(name, median(value[job, "drtool", step]) / scale,
        median(value[job, "restic", step]) / scale,
        median(value[job, "borg", step]) / scale, form)
}
function cpu_per_gb(job, gb) {
    gb = median(value[job, "-", "bytes"]) / 1e9
    row("first backup, CPU s per GB", median(cpu[job, "drtool"]) / gb,
        median(cpu[job, "restic"]) / gb, median(cpu[job, "borg"]) / gb, " %8.2f ")
}
function memory(job, kind, name) {
    if ((job, "drtool", kind) in peak)
        row(name, peak[job, "drtool", kind] / 1024, peak[job, "restic", kind] / 1024,
            peak[job, "borg", kind] / 1024, " %8.0f ")
}
{
    if (!($1 in known))
        job[++jobs] = $1
    known[$1] = 1
    value[$1, $2, $3] = value[$1, $2, $3] " " $4
    kind = $3 == "restore" || $3 == "verify" ? $3 : "backup"
    if ($5 > peak[$1, $2, kind])
        peak[$1, $2, kind] = $5
    if ($3 == "first")
        cpu[$1, $2] = cpu[$1, $2] " " $6
}
END {
    for (i = 1; i <= jobs; i++) {
        j = job[i]
        printf "\n%s: %d files, %.0f MB\n\n", j, median(value[j, "-", "files"]),
            median(value[j, "-", "bytes"]) / 1e6
        print "|                              |   drtool |   restic |     borg | better peer / drtool |"
        print "|------------------------------|---------:|---------:|---------:|---------------------:|"
        by(j, "first", 1, " %8.2f ", "first backup, s")
        by(j, "cold", 1, " %8.2f ", "first backup, cold cache, s")
        cpu_per_gb(j)
        by(j, "unchanged", 1, " %8.2f ", "unchanged, s")
        by(j, "changed", 1, " %8.2f ", "changed, s")
        by(j, "restore", 1, " %8.2f ", "restore, s")
        by(j, "verify", 1, " %8.2f ", "verify, all data read, s")
        by(j, "stored", 1e6, " %8.1f ", "stored, MB")
        by(j, "added", 1e6, " %8.2f ", "added by what changed, MB")
        memory(j, "backup", "peak memory of backup, MiB")
        memory(j, "restore", "peak memory of restore, MiB")
        memory(j, "verify", "peak memory of verify, MiB")
    }
}
