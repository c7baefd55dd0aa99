#include "support/breaks.h"

#include <sys/wait.h>
#include <unistd.h>

/* The case at hand. */
static struct {
    size_t target;
    const char *how; /* NULL: none */
    unsigned at, calls;
} now;

int
breaks_tell(void **state)
{
    (void)state;
    if (now.how)
        print_message("it was call %u of %u to t%zu: %s\n", now.at, now.calls, now.target,
                      now.how);
    now.how = NULL;
    return 0;
}

static const char *
mode_name(enum fault_mode mode)
{
    static const char *const names[] = {
        [FAULT_REFUSE] = "refused",
        [FAULT_DENY] = "denied",
        [FAULT_LOSE_ACK] = "no answer",
        [FAULT_GARBLE] = "garbled",
        [FAULT_CUT] = "cut",
        [FAULT_MISSING] = "missing",
        [FAULT_DIE] = "death",
    };

    return names[mode];
}

/* What a run may change; the source stays. */
static void
copy_fleet(const char *from, const char *to)
{
    AUTOFREE char *command = mem_printf("cd %s && rm -rf state t? restored && cp -a "
                                        "%s/state %s/t? .",
                                        to, from, from);

    assert_int_equal(system(command), 0);
}

static enum ran
run_in_child(const struct breaking *b, struct lab *l)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(b->run(l) < 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    l->hits = WEXITSTATUS(status) == 137;
    if (l->hits == 0 && WEXITSTATUS(status) != 0)
        fail_msg("the run ended with %d", WEXITSTATUS(status));
    return RAN_TO_DEATH;
}

static enum ran
run_broken(const struct breaking *b, struct lab *l, const struct fault_plan *plan)
{
    enum ran how = RAN_THROUGH;

    l->plans[now.target] = *plan;
    l->hits = 0;
    if (plan->mode == FAULT_DIE)
        how = run_in_child(b, l);
    else if (b->run(l) < 0)
        how = RAN_INTO_ERROR;
    no_faults(l);
    return how;
}

/* The calls that the mode can break: only answers to gets can be garbled. */
static struct fault_plan
plan_of(enum fault_mode mode)
{
    return (struct fault_plan){ .mode = mode,
                                .calls = mode == FAULT_GARBLE ? FAULT_ON_GET : 0,
                                .count = 1 };
}

/* Every call of a run to one target. How many were broken. */
static unsigned
break_target(const struct breaking *b, struct lab *l, const char *kept,
             enum fault_mode mode)
{
    unsigned short_step = TEST_SCALE(b->step, 11);
    unsigned step = getenv("DRTOOL_LONG") ? 1 : short_step;
    struct fault_plan plan = plan_of(mode);
    unsigned tried = 0, broken = 0;

    for (unsigned k = 1 + (mode + (unsigned)now.target) % step; k <= now.calls;
         k += step) {
        now.at = plan.at = k;
        copy_fleet(kept, l->site.folder.path);
        enum ran how = run_broken(b, l, &plan);
        tried++;
        broken += l->hits;
        b->judge(l, how);
    }
    /* threads do not make quite the same calls each time */
    assert_true(broken + 3 >= tried - tried / 5);
    return broken;
}

void
break_each_call(const struct breaking *b, enum fault_mode mode)
{
#ifdef __SANITIZE_THREAD__
    if (mode == FAULT_DIE)
        skip(); /* it takes the threads of who dies for leaked ones */
#endif
    unsigned calls[TARGETS], broken[TARGETS] = { 0 };
    FOLDER(kept);
    LAB(l);

    b->prepare(&l);
    copy_fleet(l.site.folder.path, kept.path);
    for (size_t i = 0; i < TARGETS; i++)
        l.plans[i] = plan_of(mode);
    assert_ok(b->run(&l), &l.e);
    memcpy(calls, l.calls, sizeof calls);
    no_faults(&l);
    b->judge(&l, RAN_THROUGH);
    now.how = mode_name(mode);
    for (now.target = 0; now.target < b->targets; now.target++) {
        now.calls = calls[now.target];
        broken[now.target] = break_target(b, &l, kept.path, mode);
    }
    now.how = NULL;
    for (size_t i = 0; i < b->targets; i++)
        print_message("%s: %u of %u calls to t%zu\n", mode_name(mode), broken[i],
                      calls[i], i);
}

struct naming {
    struct storage *store;
    unsigned wrong;
};

static int
check_name(void *arg, const struct object_info *o, struct err *e)
{
    struct naming *n = arg;
    AUTOBUF struct buf object = BUF(STORAGE_OBJECT_MAX);
    struct range range = { .key = o->key };

    if (storage_get(n->store, &range, &object, e) < 0)
        return -1;
    if (!format_hash_fits(o->key, buf_slice(&object))) {
        print_message("%s has another hash\n", o->key);
        n->wrong++;
    }
    return 0;
}

unsigned
misnamed(struct lab *l, size_t i)
{
    CLEANUP(storage_close_p) struct storage *s = site_store(&l->site, i);
    struct naming n = { .store = s };

    assert_ok(storage_list(s, "", check_name, &n, &l->e), &l->e);
    return n.wrong;
}
