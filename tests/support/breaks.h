/*
 * breaks: one run, made again and again, each time with another call to a target
 * broken.
 *
 * The fleet is prepared once, and every run begins with a copy of it. An undisturbed
 * run tells how many calls there are.
 */
#ifndef TESTS_SUPPORT_BREAKS_H
#define TESTS_SUPPORT_BREAKS_H

#include "support/lab.h"

enum ran { RAN_THROUGH, RAN_INTO_ERROR, RAN_TO_DEATH };

struct breaking {
    void (*prepare)(struct lab *l);
    /* From opening to closing, with lab_count() before that: 0, or -1 and l->e.
     * Asserts nothing, since it also runs in a child. */
    int (*run)(struct lab *l);
    /* Demands what must hold after it, and that the same run then ends well. */
    void (*judge)(struct lab *l, enum ran how);
    size_t targets; /* so many of them are broken, one at a time */
    unsigned step;  /* every so many-th call; every one with DRTOOL_LONG */
};

void break_each_call(const struct breaking *b, enum fault_mode mode);
/* Which call it was. The teardown of such a test: says it of one that failed. */
int breaks_tell(void **state);
#define BREAK_TEST(name) cmocka_unit_test_teardown(name, breaks_tell)

/* Objects of target `i` that carry a hash in their name and have another. */
unsigned misnamed(struct lab *l, size_t i);

#endif
