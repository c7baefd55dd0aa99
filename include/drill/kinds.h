/*
 * kinds: what a step, a check or a fault of a runbook can be.
 *
 * One const table each. Parsing, running and drtool-runbook(5) go by them: to
 * add a kind, write its function and a row.
 */
#ifndef DRILL_KINDS_H
#define DRILL_KINDS_H

#include "conf/schema.h"
#include "drill/expect.h"

struct drill;
struct drill_item;
struct runbook;
struct runbook_step;
struct runbook_check;

/* What a step leaves for those after it: ${steps.ID.NAME}. */
struct output_kind {
    const char *name;
    bool number; /* in reports */
    const char *help;
};

struct step_kind {
    const char *name, *help;
    const struct conf_key *keys;       /* of `with` */
    size_t size;                       /* of the struct they fill */
    const struct output_kind *outputs; /* ends with a NULL name */
    /* What no table can tell to be wrong, as a sentence; NULL: nothing. */
    const char *(*wrong)(const struct runbook *rb, const void *with);
    /* Says in `item` how it went; -1 with `e` when something broke. */
    int (*run)(struct drill *d, const struct runbook_step *s, const void *with,
               struct drill_item *item, struct err *e);
};

struct check_kind {
    const char *name, *help;
    const struct conf_key *keys;
    size_t size;
    const struct expect_key *expects; /* ends with a NULL name */
    const char *(*wrong)(const struct runbook *rb, const void *with);
    /* Looks, and judges by `x` (expect_judge); -1 when it could not look. */
    int (*run)(struct drill *d, const struct runbook_check *c, const void *with,
               const struct expectation *x, struct drill_item *item, struct err *e);
};

#define FAULT_PACKS_MAX 32

struct fault_options {
    int how;        /* index in the kind's words */
    unsigned packs; /* 0: all */
};

struct fault_kind {
    const char *name, *help;
    const struct conf_key *keys;    /* they fill a struct fault_options */
    const struct conf_key *expects; /* they fill a bool; NULL: it expects nothing */
};

extern const struct step_kind step_kinds[]; /* each ends with a NULL name */
extern const struct check_kind check_kinds[];
extern const struct fault_kind fault_kinds[];
extern const char *const cleanup_kinds[]; /* NULL-terminated */

#endif
