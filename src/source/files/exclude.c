#include "exclude.h"

#include "base/text.h"

#include <string.h>

/* A pattern cut at its slashes: one that matches names has a single part. */
struct rule {
    char *text; /* the parts lie in it, each with a NUL */
    char **parts;
    size_t count;
    bool whole;  /* matches the whole path, not just the name */
    bool folder; /* only folders */
    bool negate;
    bool plain; /* no part has a special character */
};

struct exclude {
    struct rule *rules;
    size_t count, cap;
    bool any_whole;
    char *scratch; /* a path, cut at its slashes */
    size_t scratch_cap;
    char **parts;
    size_t parts_cap;
};

/* Cuts `text` at its slashes; empty parts (of "a//b") are left out. */
static size_t
cut(char *text, char ***parts, size_t *cap)
{
    size_t n = 0;

    for (char *p = text; *p;) {
        char *slash = strchrnul(p, '/');
        bool last = *slash == 0;
        *slash = 0;
        if (slash > p) {
            *parts = mem_grow(*parts, cap, n + 1, sizeof **parts);
            (*parts)[n++] = p;
        }
        p = last ? slash : slash + 1;
    }
    return n;
}

/* Without the trailing spaces that no backslash protects. */
static size_t
trimmed_length(const char *s)
{
    size_t len = strlen(s);

    while (len > 0 && s[len - 1] == ' ' && !(len > 1 && s[len - 2] == '\\'))
        len--;
    return len;
}

static bool
rule_parse(const char *pattern, struct rule *out)
{
    size_t len = trimmed_length(pattern), cap = 0;
    struct rule r = { 0 };

    if (len == 0 || pattern[0] == '#')
        return false;
    r.negate = pattern[0] == '!';
    pattern += r.negate;
    len -= r.negate;
    r.text = mem_printf("%.*s", (int)len, pattern);
    while (len > 0 && r.text[len - 1] == '/') {
        r.folder = true;
        r.text[--len] = 0;
    }
    r.whole = strchr(r.text, '/') != NULL;
    r.plain = strpbrk(r.text, "*?[\\") == NULL;
    r.count = cut(r.text, &r.parts, &cap);
    *out = r;
    if (r.count > 0)
        return true;
    mem_free(r.text);
    mem_free(r.parts);
    return false;
}

struct exclude *
exclude_new(char *const *patterns)
{
    struct exclude *x = mem_zalloc(sizeof *x);
    struct rule r;

    for (size_t i = 0; patterns && patterns[i]; i++) {
        if (!rule_parse(patterns[i], &r))
            continue;
        x->rules = mem_grow(x->rules, &x->cap, x->count + 1, sizeof *x->rules);
        x->rules[x->count++] = r;
        x->any_whole |= r.whole;
    }
    return x;
}

void
exclude_free(struct exclude *x)
{
    for (size_t i = 0; i < x->count; i++) {
        mem_free(x->rules[i].text);
        mem_free(x->rules[i].parts);
    }
    mem_free(x->rules);
    mem_free(x->scratch);
    mem_free(x->parts);
    mem_free(x);
}

static bool
part_matches(const struct rule *r, const char *pattern, const char *name)
{
    return r->plain ? strcmp(pattern, name) == 0 : text_match(pattern, name);
}

/* Part by part, with "**" for any number of parts. As with a star in a name,
 * only the last one passed needs to be tried again with more. */
static bool
whole_matches(const struct rule *r, char *const *parts, size_t n)
{
    size_t i = 0, k = 0;
    size_t star = SIZE_MAX, star_at = 0;

    while (k < n) {
        bool deep = i < r->count && strcmp(r->parts[i], "**") == 0;
        if (deep && i + 1 == r->count)
            return true; /* all that is below, of which one part is left */
        if (deep) {
            star = i++;
            star_at = k;
        } else if (i < r->count && part_matches(r, r->parts[i], parts[k])) {
            i++;
            k++;
        } else if (star != SIZE_MAX) {
            i = star + 1;
            k = ++star_at;
        } else {
            return false;
        }
    }
    return i == r->count;
}

bool
exclude_match(struct exclude *x, const char *path, bool folder)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t n = 0;

    if (x->any_whole) {
        size_t size = strlen(path) + 1;
        x->scratch = mem_grow(x->scratch, &x->scratch_cap, size, 1);
        memcpy(x->scratch, path, size);
        n = cut(x->scratch, &x->parts, &x->parts_cap);
    }
    for (size_t i = x->count; i-- > 0;) {
        const struct rule *r = &x->rules[i];
        if (r->folder && !folder)
            continue;
        if (r->whole ? whole_matches(r, x->parts, n) : part_matches(r, r->parts[0], name))
            return !r->negate;
    }
    return false;
}
