#include "cli/output.h"
#include "base/text.h"

#include <string.h>

struct table {
    size_t columns;
    char **cells; /* row by row; the heads are the first */
    size_t count, cap;
};

static void
add_cell(struct table *t, const char *text)
{
    t->cells = mem_grow(t->cells, &t->cap, t->count + 1, sizeof t->cells[0]);
    t->cells[t->count++] = mem_strdup(text ? text : "");
}

struct table *
table_new(const char *const *heads)
{
    struct table *t = mem_zalloc(sizeof *t);

    for (; heads[t->columns]; t->columns++)
        add_cell(t, heads[t->columns]);
    return t;
}

void
table_row(struct table *t, const char *const *cells)
{
    for (size_t i = 0; i < t->columns; i++)
        add_cell(t, cells[i]);
}

static size_t
width_of(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void
print_row(const struct table *t, size_t row, const size_t *widths, FILE *to)
{
    size_t used = t->columns; /* no spaces behind the last that has something */

    while (used > 0 && !t->cells[row * t->columns + used - 1][0])
        used--;
    for (size_t c = 0; c < used; c++) {
        bool right = t->cells[c][0] == '>';
        const char *text = t->cells[row * t->columns + c] + (row == 0 && right);
        size_t pad = widths[c] - width_of(text);
        if (c > 0)
            fputs("  ", to);
        if (right)
            fprintf(to, "%*s%s", (int)pad, "", text);
        else
            fprintf(to, "%s%*s", text, c + 1 < used ? (int)pad : 0, "");
    }
    fputc('\n', to);
}

void
table_print(const struct table *t, FILE *to)
{
    size_t rows = t->columns ? t->count / t->columns : 0;
    AUTOFREE size_t *widths = mem_zalloc(t->columns * sizeof *widths);

    if (rows < 2)
        return;
    for (size_t i = 0; i < t->count; i++) {
        size_t c = i % t->columns;
        size_t w = width_of(t->cells[i]) - (i < t->columns && t->cells[i][0] == '>');
        if (w > widths[c])
            widths[c] = w;
    }
    for (size_t r = 0; r < rows; r++)
        print_row(t, r, widths, to);
}

void
table_free(struct table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        mem_free(t->cells[i]);
    mem_free(t->cells);
    mem_free(t);
}

void
json_put(json_t *o, const char *key, json_t *value)
{
    if (json_object_set_new(o, key, value) < 0) /* only for keys that are no UTF-8 */
        fprintf(stderr, "drtool: warning: the JSON field %s was lost\n", key);
}

/* Text for a person that may carry bytes of a file name: never lost. */
static json_t *
text_or_escaped(const char *text)
{
    struct slice s = slice_str(text);

    return json_string(text_is_utf8(s) ? text : text_of_name(s));
}

void
json_put_text(json_t *o, const char *key, const char *text)
{
    json_put(o, key, text ? text_or_escaped(text) : json_null());
}

void
json_put_int(json_t *o, const char *key, int64_t v)
{
    json_put(o, key, json_integer(v));
}

void
json_put_bool(json_t *o, const char *key, bool v)
{
    json_put(o, key, json_boolean(v));
}

void
json_put_time(json_t *o, const char *key, int64_t s, int32_t ns)
{
    json_put_text(o, key, text_of_utc(s, ns));
}

void
json_put_seconds(json_t *o, const char *key, int64_t ms)
{
    json_put(o, key, json_real((double)ms / 1e3));
}

/* RFC 4648 §4. */
static char *
base64(struct slice s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789+/";
    char *out = mem_alloc((s.len + 2) / 3 * 4 + 1), *o = out;

    for (size_t i = 0; i < s.len; i += 3) {
        size_t n = s.len - i < 3 ? s.len - i : 3;
        uint32_t v = (uint32_t)s.ptr[i] << 16 | (n > 1 ? (uint32_t)s.ptr[i + 1] << 8 : 0)
                   | (n > 2 ? s.ptr[i + 2] : 0u);
        for (unsigned d = 0; d < 4; d++)
            *o++ = d <= n ? digits[v >> (18 - 6 * d) & 63] : '=';
    }
    *o = 0;
    return out;
}

void
json_put_name(json_t *o, const char *key, struct slice name)
{
    if (text_is_utf8(name)) {
        json_put(o, key, json_stringn((const char *)name.ptr, name.len));
        return;
    }
    AUTOFREE char *other = mem_printf("%s_b64", key);
    AUTOFREE char *digits = base64(name);
    json_put(o, other, json_string(digits));
}

json_t *
json_put_array(json_t *o, const char *key)
{
    json_put(o, key, json_array());
    return json_object_get(o, key);
}

json_t *
json_put_object(json_t *o, const char *key)
{
    json_put(o, key, json_object());
    return json_object_get(o, key);
}

json_t *
json_add_object(json_t *array)
{
    json_array_append_new(array, json_object());
    return json_array_get(array, json_array_size(array) - 1);
}

void
json_add_text(json_t *array, const char *text)
{
    json_array_append_new(array, text_or_escaped(text));
}

void
json_print(const json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT);
    fputc('\n', stdout);
}

void
name_print(struct slice name, FILE *to)
{
    while (name.len > 0) {
        size_t n = name.len < 100 ? name.len : 100;
        for (unsigned back = 0; n < name.len && back < 3 && (name.ptr[n] & 0xc0) == 0x80;
             back++)
            n--; /* to where a character begins */
        fputs(text_of_name(slice_sub(name, 0, n)), to);
        name = slice_sub(name, n, name.len - n);
    }
}
