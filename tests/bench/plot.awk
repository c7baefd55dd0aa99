# Draws what tests/bench/growth measured as SVG: a row of three plots for each kind, of
# seconds, MiB and requests against the size, all axes logarithmic. A colour is a step;
# drtool's lines are whole, restic's dashed, borg's dotted. The grey line is linear growth.
BEGIN {
    W = 300; H = 210; LEFT = 60; TOP = 64; GAP = 62; LEGEND = 190
    split("#1f77b4 #d62728 #2ca02c #9467bd #ff7f0e #17becf #8c564b #7f7f7f", colour, " ")
    split("seconds MiB requests", unit, " ")
    dash["restic"] = "7,4"
    dash["borg"] = "2,4"
}
function log10(x) { return log(x) / log(10) }
function put(k, u, n, tool, step, v) {
    if (v <= 0)
        return
    value[k, u, n, tool, step] = v
    if (!((k, u) in low) || v < low[k, u])
        low[k, u] = v
    if (!((k, u) in high) || v > high[k, u])
        high[k, u] = v
}
{
    split($1, job, ":")
    k = job[1]
    n = job[2] + 0
    if (!(k in sizes))
        kind[++kinds] = k
    if (!((k, n) in seen)) {
        seen[k, n] = 1
        size[k, ++sizes[k]] = n
    }
    tools[$2] = 1
    if (sub(/^calls:/, "", $3)) {
        put(k, 3, n, $2, $3, $4)
        next
    }
    if (!((k, $3) in hue)) {
        hue[k, $3] = ++steps[k]
        step[k, steps[k]] = $3
    }
    put(k, 1, n, $2, $3, $4)
    put(k, 2, n, $2, $3, $5 / 1024)
}
function floor(x) { return x < int(x) ? int(x) - 1 : int(x) }
function text(x, y, anchor, s, more) {
    printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>%s</text>\n", x, y, anchor, more, s
}
function stroke(x1, y1, x2, y2, how) {
    printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2, how
}
function px(v) { return X0 + W * (log10(v) - xlo) / (xhi - xlo) }
function py(v) { return Y0 + H - H * (log10(v) - ylo) / (yhi - ylo) }
function short(v) {
    return v >= 1e6 ? v / 1e6 "M" : v >= 1e3 ? v / 1e3 "k" : v
}
function panel(k, u, i, s, t, v, points, d, n) {
    xlo = floor(log10(size[k, 1]))
    xhi = -floor(-log10(size[k, sizes[k]]))
    if (xhi == xlo)
        xhi++
    ylo = floor(log10(low[k, u]))
    yhi = -floor(-log10(high[k, u]))
    if (yhi == ylo)
        yhi++
    printf "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#999\"/>\n", X0, Y0, W, H
    text(X0 + W / 2, Y0 - 8, "middle", unit[u] " against " k, " font-weight=\"bold\"")
    for (d = ylo; d <= yhi; d++) {
        stroke(X0, py(10 ^ d), X0 + W, py(10 ^ d), "stroke=\"#eee\"")
        text(X0 - 6, py(10 ^ d) + 4, "end", short(10 ^ d))
    }
    for (d = xlo; d <= xhi; d++) {
        stroke(px(10 ^ d), Y0, px(10 ^ d), Y0 + H, "stroke=\"#eee\"")
        text(px(10 ^ d), Y0 + H + 16, "middle", short(10 ^ d))
    }
    # Linear growth that ends in the upper right corner, as far as there is room.
    d = xhi - xlo < yhi - ylo ? xhi - xlo : yhi - ylo
    stroke(px(10 ^ (xhi - d)), py(10 ^ (yhi - d)), px(10 ^ xhi), py(10 ^ yhi), "stroke=\"#bbb\" stroke-width=\"3\"")
    for (s = 1; s <= steps[k]; s++)
        for (t in tools) {
            points = ""
            n = 0
            for (i = 1; i <= sizes[k]; i++)
                if ((k, u, size[k, i], t, step[k, s]) in value) {
                    v = value[k, u, size[k, i], t, step[k, s]]
                    points = points sprintf("%.1f,%.1f ", px(size[k, i]), py(v))
                    printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"/>\n", px(size[k, i]), py(v), colour[s]
                    n++
                }
            if (n > 1)
                printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\"%s/>\n", points, colour[s],
                    t in dash ? " stroke-dasharray=\"" dash[t] "\"" : ""
        }
}
END {
    width = 3 * (W + LEFT) + LEGEND + 20
    height = TOP + kinds * (H + GAP)
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n", width, height, width, height
    printf "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", width, height
    x = LEFT
    for (i = 1; i <= split("drtool restic borg", name, " "); i++)
        if (name[i] in tools) {
            stroke(x, 18, x + 40, 18, "stroke=\"black\" stroke-width=\"1.6\"" (name[i] in dash ? " stroke-dasharray=\"" dash[name[i]] "\"" : ""))
            text(x + 46, 22, "start", name[i])
            x += 110
        }
    stroke(x, 18, x + 40, 18, "stroke=\"#bbb\" stroke-width=\"3\"")
    text(x + 46, 22, "start", "linear")
    for (r = 1; r <= kinds; r++) {
        k = kind[r]
        Y0 = TOP + (r - 1) * (H + GAP)
        for (u = 1; u <= 3; u++)
            if ((k, u) in low) {
                X0 = LEFT + (u - 1) * (W + LEFT)
                panel(k, u)
            }
        X0 = 3 * (W + LEFT) + 10
        for (s = 1; s <= steps[k]; s++) {
            stroke(X0, Y0 + 14 * s, X0 + 22, Y0 + 14 * s, "stroke=\"" colour[s] "\" stroke-width=\"3\"")
            text(X0 + 28, Y0 + 14 * s + 4, "start", step[k, s])
        }
    }
    print "</svg>"
}
