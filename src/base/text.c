#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RING 8

static char *
ring(size_t size)
{
    static _Thread_local char bufs[RING][512];
    static _Thread_local unsigned next;

    (void)size;
    return bufs[next++ % RING];
}

void
text_hex(char *out, const void *p, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = p;

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * len] = 0;
}

static int
digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
text_unhex(void *out, size_t len, const char *hex)
{
    uint8_t *b = out;

    for (size_t i = 0; i < len; i++) {
        int hi = digit_of(hex[2 * i]);
        int lo = hi < 0 ? -1 : digit_of(hex[2 * i + 1]);
        if (lo < 0)
            return false;
        b[i] = (uint8_t)(hi << 4 | lo);
    }
    return hex[2 * len] == 0;
}

bool
text_uint(const char *s, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (!*s)
        return false;
    for (; *s; s++) {
        uint64_t digit = (uint64_t)(*s - '0');
        if (*s < '0' || *s > '9' || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return v <= max;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* Reads "12" or "1.5" at *s and moves on: whole part and fraction apart, so that
 * bytes stay exact. Not strtod(), which takes "0x10", "1e3" and "inf" as well. */
static bool
decimal(const char **s, uint64_t *whole, double *fraction)
{
    char digits[24];
    size_t len = strspn(*s, "0123456789");
    double place = 0.1;

    *fraction = 0;
    if (len == 0 || len >= sizeof digits)
        return false;
    memcpy(digits, *s, len);
    digits[len] = 0;
    *s += len;
    if (**s == '.')
        for (++*s; isdigit((unsigned char)**s); ++*s, place /= 10)
            *fraction += (**s - '0') * place;
    return text_uint(digits, UINT64_MAX, whole);
}

/* Reads "NUMBER UNIT" at *s and moves on; false if it fits no unit or 63 bits. */
static bool
number_with_unit(const char **s, const struct unit *units, size_t n, uint64_t *out)
{
    uint64_t whole;
    double fraction;

    if (!decimal(s, &whole, &fraction))
        return false;
    size_t len = 0;
    while (isalpha((unsigned char)(*s)[len]))
        len++;
    for (size_t i = 0; i < n; i++)
        if (strlen(units[i].name) == len && strncasecmp(units[i].name, *s, len) == 0) {
            *s += len;
            *out = whole * units[i].factor
                 + (uint64_t)(fraction * (double)units[i].factor + 0.5);
            return whole < INT64_MAX / units[i].factor;
        }
    return false;
}

bool
text_duration(const char *s, int64_t *out_ms)
{
    static const struct unit units[] = { { "ms", 1 },       { "s", 1000 },
                                         { "m", 60000 },    { "h", 3600000 },
                                         { "d", 86400000 }, { "w", 604800000 } };
    const uint64_t most = (uint64_t)1000 * 366 * 86400000; /* a thousand years */
    uint64_t sum = 0, part;

    if (!*s)
        return false;
    while (*s) {
        if (!number_with_unit(&s, units, COUNT_OF(units), &part) || part > most)
            return false;
        sum += part;
        if (sum > most)
            return false;
    }
    *out_ms = (int64_t)sum;
    return true;
}

bool
text_size(const char *s, uint64_t *out)
{
    static const struct unit units[] = {
        { "", 1 },           { "B", 1 },           { "K", 1u << 10 },
        { "M", 1u << 20 },   { "G", 1u << 30 },    { "T", 1ull << 40 },
        { "KiB", 1u << 10 }, { "MiB", 1u << 20 },  { "GiB", 1u << 30 },
        { "TiB", 1ull << 40 }, { "kB", 1000 },     { "MB", 1000000 },
        { "GB", 1000000000 }, { "TB", 1000000000000 },
    };
    uint64_t v;

    if (!number_with_unit(&s, units, COUNT_OF(units), &v) || *s)
        return false;
    *out = v;
    return true;
}

static bool
two_digits(const char **s, int lo, int hi, int *out)
{
    const char *p = *s;

    if (!isdigit((unsigned char)p[0]) || !isdigit((unsigned char)p[1]))
        return false;
    *out = (p[0] - '0') * 10 + p[1] - '0';
    *s = p + 2;
    return *out >= lo && *out <= hi;
}

/* Reads "Z" or "+hh:mm"; true with *utc_offset_s set. */
static bool
zone(const char **s, long *utc_offset_s)
{
    int h, m;
    char sign = **s;

    *utc_offset_s = 0;
    if (sign == 'Z' || sign == 'z')
        return ++*s, true;
    if (sign != '+' && sign != '-')
        return false;
    ++*s;
    if (!two_digits(s, 0, 14, &h))
        return false;
    if (**s == ':')
        ++*s;
    if (!two_digits(s, 0, 59, &m))
        return false;
    *utc_offset_s = (h * 3600L + m * 60L) * (sign == '-' ? -1 : 1);
    return true;
}

/* False for the 31st of a short month, which timegm() would move on. */
static bool
day_exists(const struct tm *tm)
{
    struct tm day = { .tm_year = tm->tm_year, .tm_mon = tm->tm_mon,
                      .tm_mday = tm->tm_mday, .tm_hour = 12 };

    timegm(&day);
    return day.tm_mday == tm->tm_mday;
}

/* `tm`: what a text that says less stands for. */
static bool
parse_time(const char *s, struct tm tm, int64_t *out_s)
{
    int hi, lo, v;
    long off = 0;

    if (!two_digits(&s, 0, 99, &hi) || !two_digits(&s, 0, 99, &lo) || *s++ != '-')
        return false;
    tm.tm_year = hi * 100 + lo - 1900;
    if (!two_digits(&s, 1, 12, &v) || *s++ != '-')
        return false;
    tm.tm_mon = v - 1;
    if (!two_digits(&s, 1, 31, &tm.tm_mday) || !day_exists(&tm))
        return false;
    if (*s == 'T' || *s == ' ') {
        s++;
        if (!two_digits(&s, 0, 23, &tm.tm_hour))
            return false;
        if (*s == ':') {
            s++;
            if (!two_digits(&s, 0, 59, &tm.tm_min))
                return false;
            if (*s == ':') {
                s++;
                if (!two_digits(&s, 0, 60, &tm.tm_sec))
                    return false;
                if (*s == '.')
                    for (s++; isdigit((unsigned char)*s); s++)
                        continue;
            }
        }
    }
    bool zoned = *s && zone(&s, &off);
    if (*s)
        return false;
    *out_s = zoned ? (int64_t)timegm(&tm) - off : (int64_t)mktime(&tm);
    return true;
}

bool
text_time(const char *s, int64_t *out_s)
{
    struct tm last = { .tm_hour = 23, .tm_min = 59, .tm_sec = 59, .tm_isdst = -1 };

    return parse_time(s, last, out_s);
}

bool
text_time_begin(const char *s, int64_t *out_s)
{
    struct tm first = { .tm_isdst = -1 };

    return parse_time(s, first, out_s);
}

const char *
text_of_size(uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double v = (double)bytes;
    unsigned u = 0;
    char *out = ring(32);

    while (v >= 1024 && u + 1 < COUNT_OF(units)) {
        v /= 1024;
        u++;
    }
    snprintf(out, 32, u == 0 || v >= 100 ? "%.0f %s" : "%.1f %s", v, units[u]);
    return out;
}

const char *
text_of_duration(int64_t ms)
{
    char *out = ring(32);
    long long s = ms / 1000;

    if (ms < 1000)
        snprintf(out, 32, "%lldms", (long long)ms);
    else if (ms < 100000)
        snprintf(out, 32, "%.1fs", (double)ms / 1e3);
    else if (s < 3600)
        snprintf(out, 32, "%lldm%02llds", s / 60, s % 60);
    else if (s < 2 * 86400)
        snprintf(out, 32, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(out, 32, "%lldd%02lldh", s / 86400, s / 3600 % 24);
    return out;
}

const char *
text_of_time(int64_t s)
{
    time_t t = (time_t)s;
    struct tm tm;
    char *out = ring(32);

    if (!localtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm))
        snprintf(out, 32, "@%lld", (long long)s);
    return out;
}

const char *
text_of_utc(int64_t s, int32_t ns)
{
    time_t t = (time_t)s;
    struct tm tm;
    char *out = ring(80), seconds[64];

    if (!gmtime_r(&t, &tm)
        || !strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &tm))
        snprintf(out, 80, "@%lld", (long long)s);
    else
        snprintf(out, 80, "%s.%03uZ", seconds, (unsigned)ns / 1000000 % 1000);
    return out;
}

/* Length of the valid UTF-8 sequence at p, 0 if there is none (RFC 3629). */
static size_t
utf8_length(const uint8_t *p, size_t left)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = p[0] < 0x80 ? 1
             : p[0] < 0xc2 ? 0
             : p[0] < 0xe0 ? 2
             : p[0] < 0xf0 ? 3
             : p[0] < 0xf5 ? 4
                           : 0;
    if (n == 0 || n > left)
        return 0;
    uint32_t c = n == 1 ? p[0] : (uint32_t)(p[0] & (0xff >> (n + 1)));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < least[n] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff ? 0 : n;
}

bool
text_is_utf8(struct slice s)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_length(s.ptr + i, s.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

const char *
text_of_name(struct slice name)
{
    char *out = ring(512);
    size_t o = 0;

    for (size_t i = 0; i < name.len && o + 8 < 512;) {
        size_t n = utf8_length(name.ptr + i, name.len - i);
        if (n == 0 || name.ptr[i] < 0x20 || name.ptr[i] == 0x7f || name.ptr[i] == '\\') {
            o += (size_t)snprintf(out + o, 512 - o, "\\x%02x", name.ptr[i]);
            i++;
            continue;
        }
        memcpy(out + o, name.ptr + i, n);
        o += n;
        i += n;
    }
    out[o] = 0;
    return out;
}

/* Damerau-Levenshtein distance of short words; 99 for long ones. */
static unsigned
distance(const char *a, const char *b)
{
    enum { MAX = 40 };
    unsigned d[MAX + 1][MAX + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > MAX || lb > MAX)
        return 99;
    for (unsigned i = 0; i <= la; i++)
        d[i][0] = i;
    for (unsigned j = 0; j <= lb; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= la; i++)
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]
                && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[la][lb];
}

struct slice
text_last_line(struct slice s)
{
    size_t end = s.len;

    while (end > 0 && strchr(" \t\r\n", s.ptr[end - 1]))
        end--;
    size_t from = end;
    while (from > 0 && s.ptr[from - 1] != '\n')
        from--;
    return slice_sub(s, from, end - from);
}

const char *
text_nearest(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    unsigned least = (unsigned)strlen(word) / 2 + 1;

    if (least > 4)
        least = 4;
    for (size_t i = 0; i < n; i++) {
        unsigned d = distance(word, words[i]);
        if (d < least) {
            least = d;
            best = words[i];
        }
    }
    return best;
}

/* Matches one "[...]" set at *p against c and moves *p behind it. */
static bool
in_set(const char **p, char c)
{
    const char *s = *p + 1;
    bool negate = *s == '!' || *s == '^', hit = false;

    if (negate)
        s++;
    const char *first = s;
    for (; *s && (*s != ']' || s == first); s++) {
        if (s[1] == '-' && s[2] && s[2] != ']') {
            hit |= c >= s[0] && c <= s[2];
            s += 2;
        } else {
            hit |= *s == c;
        }
    }
    *p = *s ? s + 1 : s;
    return hit != negate;
}

/* Where to go on after a mismatch: behind a star, with one byte more eaten. */
struct retry {
    const char *pattern, *path; /* NULL: no such star */
};

bool
text_match(const char *pattern, const char *path)
{
    const char *p = pattern, *s = path;
    struct retry star = { 0 }, deep = { 0 }; /* "*" within a part, "**" across parts */

    while (*s) {
        if (*p == '*') {
            bool crosses = p[1] == '*';
            while (*p == '*')
                p++;
            if (crosses && *p == '/' && (p - pattern < 3 || p[-3] == '/')
                && text_match(p + 1, s))
                return true; /* "**" followed by '/' matches no folder too */
            *(crosses ? &deep : &star) = (struct retry){ p, s };
            if (crosses)
                star.pattern = NULL;
            continue;
        }
        const char *after = p;
        bool hit = *p == '?'          ? *s != '/'
                 : *p == '['          ? *s != '/' && in_set(&after, *s)
                 : *p == '\\' && p[1] ? p[1] == *s
                                      : *p == *s;
        if (hit && *p) {
            p = *p == '[' ? after : *p == '\\' && p[1] ? p + 2 : p + 1;
            s++;
            continue;
        }
        bool shallow = star.pattern && *star.path != '/';
        struct retry *r = shallow ? &star : &deep;
        if (!r->pattern)
            return false;
        if (!shallow)
            star.pattern = NULL;
        p = r->pattern;
        s = ++r->path;
    }
    while (*p == '*')
        p++;
    return *p == 0;
}
