/*
 * mem: allocation that never fails, and cleanup at the end of a scope.
 *
 * Out of memory ends the program with one line: the big buffers are taken at
 * the start of a run, so it happens there or hardly ever, and a run may end
 * anywhere without harm. Sizes that come from outside are checked before they
 * get here.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_resize(void *p, size_t size);
void *mem_pages(size_t size); /* page aligned, for O_DIRECT; free with mem_free */
char *mem_strdup(const char *s); /* NULL gives NULL */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *p);

/* Grows the array `p` of `*cap` elements of `size` bytes so that `need` fit. */
void *mem_grow(void *p, size_t *cap, size_t need, size_t size);

#define CLEANUP(f) __attribute__((cleanup(f)))

/* Makes FUNC_p, the cleanup helper for a variable `struct x *`. */
#define DEFINE_CLEANUP(type, func)                                             \
    static inline void func##_p(type **p)                                      \
    {                                                                          \
        if (*p)                                                                \
            func(*p);                                                          \
    }

static inline void
mem_free_p(void *p)
{
    mem_free(*(void **)p);
}

#define AUTOFREE CLEANUP(mem_free_p)

/* Hands a pointer on and empties the variable, so its cleanup does nothing. */
#define TAKE(p)                                                                \
    ({                                                                         \
        __auto_type take_ = (p);                                               \
        (p) = NULL;                                                            \
        take_;                                                                 \
    })

#define COUNT_OF(a) (sizeof(a) / sizeof(a)[0])

#endif
