/* impl: one drill while it runs. Private to drill. */
#ifndef DRILL_IMPL_H
#define DRILL_IMPL_H

#include "drill/drill.h"
#include "repo/repo.h"
#include "runbook_check.h"
#include "storage/wrap.h"

struct fault_state {
    struct storage *stores[FAULT_PACKS_MAX]; /* the fleet's: gone with the repository */
    size_t store_count;
};

struct step_state {
    struct drill_item *item;  /* NULL: has not begun */
    void *with;               /* the kind's struct, until the drill ends */
    struct yaml_doc *doc;     /* what it borrows */
    struct snapshot_row *row; /* that it is going to restore; NULL: not known before */
    const struct snapshot *snapshot; /* that it restored; of drill.list */
};

struct drill {
    const struct drill_options *options;
    const struct runbook *runbook;
    const struct conf *conf;
    struct drill_result *result;
    struct repo *repo;
    struct snapshot_list list;
    struct fault_state *faults; /* as many as the runbook has */
    struct step_state *steps;
    bool made; /* the sandbox is to be removed */
};

/* `with` of restore.files. */
struct restore_with {
    char *source, *snapshot;
    char **paths;
};

/* `with` of the step and the check `command`. */
struct command_with {
    char **argv;
    char *cwd;
    const struct yaml_node *env;
};

/* steps.c */
int step_restore(struct drill *d, const struct runbook_step *s, const void *with,
                 struct drill_item *item, struct err *e);
int step_command(struct drill *d, const struct runbook_step *s, const void *with,
                 struct drill_item *item, struct err *e);
const char *step_restore_wrong(const struct runbook *rb, const void *with);
const char *command_wrong(const struct runbook *rb, const void *with);
/* The snapshot that the step restores, among those listed. */
MUST_USE int step_find_snapshot(const struct runbook *rb, const struct restore_with *with,
                                const struct snapshot_list *list,
                                struct snapshot_row **out, struct err *e);

/* command.c */
struct command_run {
    struct buf out, err; /* what it printed, at most COMMAND_OUTPUT_MAX */
    int status;
    bool timed_out;
};
#define COMMAND_OUTPUT_MAX 65536
MUST_USE int command_run(struct drill *d, const struct command_with *with,
                         int64_t timeout_ms, struct command_run *run, struct err *e);
void command_run_release(struct command_run *run);
/* The first or the last line of what it printed; the caller frees it. */
char *command_first_line(const struct buf *b);
char *command_last_line(const struct buf *b);

/* checks.c */
int check_hash(struct drill *d, const struct runbook_check *c, const void *with,
               const struct expectation *x, struct drill_item *item, struct err *e);
int check_file(struct drill *d, const struct runbook_check *c, const void *with,
               const struct expectation *x, struct drill_item *item, struct err *e);
int check_command(struct drill *d, const struct runbook_check *c, const void *with,
                  const struct expectation *x, struct drill_item *item, struct err *e);
const char *check_hash_wrong(const struct runbook *rb, const void *with);

/* plan.c: what goes on in which order. */
void drill_steps(struct drill *d);
void drill_checks(struct drill *d);
/* Gives an item the verdict that fits an error: what targets or data do is the
 * recovery's failure, what this host does is the drill's. */
void drill_item_fail(struct drill_item *item, const struct err *e);

/* ready.c */
/* Looks, without faults, whether the drill can begin. */
void drill_ready(struct drill *d);
bool drill_is_ready(const struct drill *d);
/* Opens the repository, and
 * lists its snapshots. */
MUST_USE int drill_open(struct drill *d, bool with_faults, struct repo **out,
                        struct snapshot_list *list, struct err *e);
/* The snapshot that a step is going to restore: 1, 0 when that cannot be known
 * before it begins, -1 when there is none. */
MUST_USE int drill_find(struct drill *d, size_t step, const struct snapshot_list *list,
                        struct snapshot_row **out, struct err *e);

/* faults.c */
struct storage *faults_wrap(void *arg, const char *target, struct storage *inner);
/* Chooses the packs of faults that strike a few only: packs that are needed. */
MUST_USE int faults_aim(struct drill *d, struct err *e);
void faults_judge(struct drill *d);

#endif
