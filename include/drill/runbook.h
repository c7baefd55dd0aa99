/*
 * runbook: a recovery plan in YAML, read strictly.
 *
 * Read by const tables (conf/schema.h), from which drtool-runbook(5) tells the
 * keys. Whatever is wrong is told before anything starts, as ERR_USAGE with
 * file, line and column: an unknown key, a wrong type, a reference to nothing,
 * a step that needs what comes after it, a sandbox that lies in what is backed
 * up. References ${...} are put in after YAML was parsed, each once, and the
 * result is then typed; those to outputs of steps only when they are known.
 */
#ifndef DRILL_RUNBOOK_H
#define DRILL_RUNBOOK_H

#include "conf/config.h"
#include "drill/kinds.h"

#define RUN_ID_MAX 40        /* bytes, the NUL included */
#define RUNBOOK_LIST_MAX 200 /* faults, steps or checks */

enum recovery_select { SELECT_LATEST, SELECT_AS_OF, SELECT_ID };
enum sandbox_keep { KEEP_NEVER, KEEP_FAILED, KEEP_ALWAYS };
enum on_failure { FAILURE_ABORT, FAILURE_CONTINUE };
enum severity { SEVERITY_CRITICAL, SEVERITY_WARNING };

struct runbook_fault {
    char *id;
    char *uses; /* the name of its kind */
    char *target;
    const struct yaml_node *with, *expect;
    const struct fault_kind *kind;
    struct fault_options options; /* what `with` says */
    bool detected;                /* it must be noticed; only where the kind can be */
    bool demanded;                /* the runbook itself says so */
};

struct runbook_step {
    char *id, *name, *uses;
    const struct yaml_node *node, *with;
    char **needs;       /* NULL-terminated ids; NULL: none were named */
    int64_t timeout_ms; /* 0: none */
    enum on_failure on_failure;
    const struct step_kind *kind;
};

struct runbook_check {
    char *id, *name, *uses;
    const struct yaml_node *node, *with, *expect;
    enum severity severity;
    int64_t timeout_ms;
    const struct check_kind *kind;
};

struct runbook_input {
    char *name;
    char *value;
};

struct runbook {
    char *path;
    uint8_t sha256[32]; /* of the file */
    unsigned version;
    char *kind;
    struct {
        char *name, *title, *owner;
        unsigned tier; /* 0: none */
        char **tags, **controls;
        const struct yaml_node *links;
    } metadata;
    const struct yaml_node *input_map;
    struct runbook_input *inputs;
    size_t input_count;
    struct {
        int64_t rto_ms, rpo_ms; /* 0: no objective */
    } objectives;
    struct {
        enum recovery_select select;
        char *at, *id;
    } point;
    struct {
        char *root;
        enum sandbox_keep keep;
    } sandbox;
    struct runbook_fault *faults;
    size_t fault_count;
    struct runbook_step *steps;
    size_t step_count;
    struct runbook_check *checks;
    size_t check_count;
    struct runbook_cleanup {
        char *id, *uses;
    } * cleanup;
    size_t cleanup_count;

    char run_id[RUN_ID_MAX];
    char *sandbox_dir;        /* where the sandbox will be; nothing is there yet */
    struct yaml_doc *written; /* as it stands in the file */
    struct yaml_doc *doc;     /* with the references put in that are known */
};

/* The keys of a runbook, for the manual. */
extern const struct conf_key runbook_keys[];

/* Reads and checks the runbook at `path` for a run called `run_id`. */
MUST_USE int runbook_load(const char *path, const struct conf *c, const char *run_id,
                          struct runbook **out, struct err *e);
/* The same from memory; `path` is what messages call it. */
MUST_USE int runbook_parse(const char *path, struct slice text, const struct conf *c,
                           const char *run_id, struct runbook **out, struct err *e);
void runbook_free(struct runbook *rb);
DEFINE_CLEANUP(struct runbook, runbook_free)

#endif
