#include "base/cancel.h"
#include "base/fs.h"
#include "base/text.h"
#include "crypto/hash.h"

#include "checks.h"
#include "compare.h"
#include "impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK ((size_t)1 << 20)

/* The step whose folder holds `root`, and what lies between them; -1: none. */
static int
step_of(const struct runbook *rb, const char *root, const char **below)
{
    size_t top = strlen(rb->sandbox_dir);

    if (strncmp(root, rb->sandbox_dir, top) != 0 || root[top] != '/')
        return -1;
    const char *id = root + top + strspn(root + top, "/");
    size_t len = strcspn(id, "/");
    for (size_t i = 0; i < rb->step_count; i++)
        if (strlen(rb->steps[i].id) == len && strncmp(rb->steps[i].id, id, len) == 0
            && rb->steps[i].kind->run == step_restore) {
            *below = id + len + strspn(id + len, "/");
            return (int)i;
        }
    return -1;
}

const char *
check_hash_wrong(const struct runbook *rb, const void *with)
{
    const struct hash_with *w = with;
    const char *below;

    return step_of(rb, w->root, &below) >= 0
             ? NULL
             : "root lies in no folder that a restore.files step makes";
}

static void
judge(struct drill_item *item, const struct expectation *x,
      const struct expect_value *found, size_t count)
{
    if (!expect_judge(x, found, count, &item->expected, &item->actual))
        drill_item_say(item, VERDICT_FAILED, "it is not as expected");
}

int
check_hash(struct drill *d, const struct runbook_check *c, const void *with,
           const struct expectation *x, struct drill_item *item, struct err *e)
{
    const struct hash_with *w = with;
    const char *below = "";
    struct compare_result res = { 0 };
    int step = step_of(d->runbook, w->root, &below);

    (void)c;
    if (step < 0 || !d->steps[step].snapshot)
        return err_set(e, ERR_NOT_FOUND, 0, "nothing was restored into %s", w->root);
    const struct restore_with *restored = d->steps[step].with;
    AUTOFREE char *root = fs_join(d->runbook->sandbox_dir, d->runbook->steps[step].id);
    AUTOFREE char *part = mem_strdup(below);
    while (part[0] && part[strlen(part) - 1] == '/')
        part[strlen(part) - 1] = 0;
    struct compare_options o = { .snapshot = d->steps[step].snapshot,
                                 .root = root,
                                 .paths = (const char *const *)restored->paths,
                                 .below = part };
    int rc = compare_tree(d->repo, &o, &res, e);
    struct expect_value found[] = { { "mismatched", res.mismatched, NULL },
                                    { "missing", res.missing, NULL },
                                    { "extra", res.extra, NULL } };
    if (rc == 0) {
        judge(item, x, found, COUNT_OF(found));
        drill_item_put(item, "entries", true,
                       mem_printf("%llu", (unsigned long long)res.entries));
        drill_item_put(item, "bytes", true,
                       mem_printf("%llu", (unsigned long long)res.bytes));
    }
    if (rc == 0 && res.told.len > 0)
        drill_item_say(item, item->verdict, "%s", buf_cstr(&res.told));
    buf_release(&res.told);
    return rc;
}

static int
hash_file(const char *path, char hex[65], struct err *e)
{
    CLEANUP(sha256_free_p) struct sha256 *h = sha256_new();
    AUTOFREE uint8_t *block = mem_alloc(BLOCK);
    AUTOCLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    uint8_t sum[SHA256_LEN];
    ssize_t n = -1;

    while (fd >= 0 && (n = read(fd, block, BLOCK)) > 0) {
        if (cancel_check(e) < 0)
            return -1;
        sha256_feed(h, slice_of(block, (size_t)n));
    }
    if (n < 0)
        return err_sys(e, errno, "reading %s", path);
    sha256_end(h, sum);
    text_hex(hex, sum, sizeof sum);
    return 0;
}

static bool
asks_for(const struct expectation *x, const char *name)
{
    for (size_t i = 0; i < x->count; i++)
        if (strcmp(x->tests[i].key->name, name) == 0)
            return true;
    return false;
}

int
check_file(struct drill *d, const struct runbook_check *c, const void *with,
           const struct expectation *x, struct drill_item *item, struct err *e)
{
    const struct file_with *w = with;
    struct expect_value found[4];
    size_t n = 0;
    struct stat st;
    char hex[65];

    (void)d;
    (void)c;
    bool there = lstat(w->path, &st) == 0;
    if (!there && errno != ENOENT && errno != ENOTDIR)
        return err_sys(e, errno, "looking at %s", w->path);
    found[n++] = (struct expect_value){ "exists", there, NULL };
    if (there) {
        found[n++] = (struct expect_value){ "size", (uint64_t)st.st_size, NULL };
        found[n++] = (struct expect_value){ "mode", st.st_mode & 07777, NULL };
    }
    if (there && S_ISREG(st.st_mode) && asks_for(x, "sha256")) {
        if (hash_file(w->path, hex, e) < 0)
            return -1;
        found[n++] = (struct expect_value){ "sha256", 0, hex };
    }
    judge(item, x, found, n);
    return 0;
}

int
check_command(struct drill *d, const struct runbook_check *c, const void *with,
              const struct expectation *x, struct drill_item *item, struct err *e)
{
    CLEANUP(command_run_release) struct command_run run = { 0 };

    if (command_run(d, with, c->timeout_ms, &run, e) < 0) {
        if (e->kind == ERR_CANCELLED)
            return -1;
        drill_item_say(item, VERDICT_ERROR, "%s", err_text(e));
        return 0;
    }
    if (run.timed_out) {
        drill_item_say(item, VERDICT_TIMED_OUT, "still running after %s, and killed",
                       text_of_duration(c->timeout_ms));
        return 0;
    }
    if (run.out.len > 0 && run.out.ptr[run.out.len - 1] == '\n')
        run.out.len--;
    struct expect_value found[] = { { "exit", (uint64_t)run.status, NULL },
                                    { "stdout", 0, buf_cstr(&run.out) } };
    judge(item, x, found, COUNT_OF(found));
    AUTOFREE char *last = command_last_line(&run.err);
    if (item->verdict == VERDICT_FAILED && last[0])
        drill_item_say(item, VERDICT_FAILED, "it said: %.300s",
                       text_of_name(slice_str(last)));
    return 0;
}
