# Makes a table of the results of far: job tool step seconds KiB CPU-seconds, and
# job tool STEP-requests number.
function median(list, n, i, j, t, v) {
    n = split(list, v, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) {
            t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
        }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function step(job, name, words, a, b, k) {
    a = median(value[job, "drtool", name])
    b = median(value[job, "restic", name])
    k = name "-requests"
    printf "| %-5s %-14s | %7.2f | %7.2f | %6.2f | %4d, %4d | %4d, %4d |\n", job, words, a, b,
        (a > 0 ? b / a : 0), median(value[job, "drtool", k]),
        median(value[job, "restic", k]), peak[job, "drtool", name] / 1024,
        peak[job, "restic", name] / 1024
}
{
    if (!($1 in known))
        job[++jobs] = $1
    known[$1] = 1
    value[$1, $2, $3] = value[$1, $2, $3] " " $4
    if ($5 > peak[$1, $2, $3])
        peak[$1, $2, $3] = $5
}
END {
    print "|                      | drtool, s | restic, s | faster | requests | peak MiB |"
    print "|----------------------|---------:|---------:|-------:|-----------:|-----------:|"
    for (i = 1; i <= jobs; i++) {
        step(job[i], "first", "first backup")
        step(job[i], "restore", "restore")
        step(job[i], "bare", "bare restore")
    }
}
