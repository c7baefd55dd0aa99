#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
checked(void *p, size_t size)
{
    if (!p && size) {
        fprintf(stderr, "drtool: out of memory (%zu bytes)\n", size);
        abort();
    }
    return p;
}

void *
mem_alloc(size_t size)
{
    return checked(malloc(size ? size : 1), size);
}

void *
mem_zalloc(size_t size)
{
    return checked(calloc(1, size ? size : 1), size);
}

void *
mem_resize(void *p, size_t size)
{
    return checked(realloc(p, size ? size : 1), size);
}

void *
mem_pages(size_t size)
{
    return checked(aligned_alloc(4096, (size + 4095) & ~(size_t)4095), size);
}

char *
mem_strdup(const char *s)
{
    return s ? checked(strdup(s), strlen(s)) : NULL;
}

char *
mem_printf(const char *fmt, ...)
{
    char *out = NULL;
    va_list ap;

    va_start(ap, fmt);
    int n = vasprintf(&out, fmt, ap);
    va_end(ap);
    return n < 0 ? checked(NULL, 1) : out;
}

void
mem_free(void *p)
{
    free(p);
}

void *
mem_grow(void *p, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return p;
    size_t next = *cap ? *cap * 2 : 16;
    if (next < need)
        next = need;
    *cap = next;
    return mem_resize(p, next * size);
}
