/*
 * result: how a drill went, as one value.
 *
 * The exit status, the report on the terminal, JSON and JUnit are all made from
 * it, so they cannot disagree. Everything that can pass or fail is an item in
 * one of the sections. Owned by one thread.
 */
#ifndef DRILL_RESULT_H
#define DRILL_RESULT_H

#include "base/clock.h"
#include "drill/runbook.h"
#include "fleet/fleet.h"

/* X(name, word). failed: recovery does not work; error: it could not be tried;
 * aborted: a signal stopped it. */
#define VERDICTS(X)           \
    X(PASSED, "passed")       \
    X(FAILED, "failed")       \
    X(ERROR, "error")         \
    X(TIMED_OUT, "timed_out") \
    X(SKIPPED, "skipped")     \
    X(ABORTED, "aborted")

enum verdict {
#define X(name, word) VERDICT_##name,
    VERDICTS(X)
#undef X
};
const char *verdict_name(enum verdict v);

#define SECTIONS(X)             \
    X(READINESS, "readiness")   \
    X(FAULTS, "faults")         \
    X(STEPS, "steps")           \
    X(CHECKS, "checks")         \
    X(OBJECTIVES, "objectives") \
    X(CLEANUP, "cleanup")

enum section {
#define X(name, word) SECTION_##name,
    SECTIONS(X)
#undef X
        SECTION_COUNT
};
const char *section_name(enum section s);

struct drill_output {
    const char *name; /* of the kind's table */
    char *value;
    bool number;
};

struct drill_item {
    char *id, *name, *uses; /* name may be NULL */
    enum verdict verdict;
    bool warning; /* if it does not pass, the drill still may */
    struct clock_time at;
    int64_t begun_ms; /* clock_mono_ms() */
    int64_t took_ms;
    char *why;               /* a sentence; NULL: nothing to say */
    char *expected, *actual; /* NULL: nothing was compared */
    struct drill_output *outputs;
    size_t output_count, output_cap;
    char *target; /* faults */
    unsigned hits;
    bool detected;
};

struct drill_list {
    struct drill_item **items;
    size_t count, cap;
};

struct drill_snapshot { /* that a step restored */
    char id[65];
    char *source;
    struct clock_time started;
};

struct drill_target {
    char *name;
    const char *state;
    uint64_t bytes, reads, bad_reads;
};

struct drill_result {
    const struct runbook *runbook; /* borrowed */
    bool check_only;
    char host[65];
    enum status status;
    enum verdict verdict;
    struct clock_time begun, t0, ended;
    int64_t begun_ms, t0_ms, took_ms; /* t0_ms 0: never came so far */
    int64_t rto_ms, rpo_ms;           /* -1: not measured */
    struct drill_list sections[SECTION_COUNT];
    struct drill_snapshot *snapshots;
    size_t snapshot_count, snapshot_cap;
    struct drill_target targets[FLEET_TARGETS_MAX];
    size_t target_count;
    bool kept;  /* the sandbox is left on purpose */
    char *left; /* what cleanup could not remove; NULL: nothing */
};

void drill_result_release(struct drill_result *r);

/* Begins an item: PASSED until somebody says otherwise. The result owns it. */
struct drill_item *drill_item_begin(struct drill_result *r, enum section s,
                                    const char *id, const char *name, const char *uses);
void drill_item_end(struct drill_item *item);
void drill_item_say(struct drill_item *item, enum verdict v, const char *fmt, ...)
    PRINTF(3, 4);
void drill_item_put(struct drill_item *item, const char *name, bool number, char *value);
const char *drill_item_output(const struct drill_item *item, const char *name);

/* Makes status and verdict from the items; nothing else does. */
void drill_result_judge(struct drill_result *r);

#endif
