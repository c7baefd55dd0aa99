#include "restore_impl.h"

#include <string.h>

void
restore_drop(struct wfile *f)
{
    pthread_mutex_destroy(&f->lock);
    mem_free(f->bytes);
    mem_free(f);
}

static bool
own_affair(const struct err *e)
{
    return e->kind == ERR_EXISTS || e->kind == ERR_DENIED || e->kind == ERR_NOT_FOUND;
}

int
restore_blocked(struct run *run, struct slice path, struct err *e)
{
    if (!own_affair(e))
        return -1;
    window_issue(&run->window, RESTORE_BLOCKED, path, err_text(e));
    *e = (struct err){ 0 };
    return 0;
}

static int
make_links(struct run *run, struct batch *b, struct err *e)
{
    for (size_t i = 0; i < b->link_count; i++) {
        struct wfile *f = b->links[i];
        int linked = place_link(run->place, f->entry.link_group, f->entry.path, e);
        if (linked < 0 && restore_blocked(run, f->told_path, e) < 0)
            return -1;
        if (linked == 0)
            window_issue(&run->window, RESTORE_DAMAGED, f->told_path,
                         "the file it is another name of could not be restored");
    }
    return 0;
}

/* Set while a folder above the source's paths is finished: its attributes are a
 * courtesy, since such folders are seldom the person's own. */
static _Thread_local bool courtesy;

static int
finish_dirs(struct run *run, struct batch *b, struct err *e)
{
    for (size_t i = 0; i < b->left_count; i++) {
        struct wfile *f = b->left[i];
        courtesy = f->entry.flags & ENTRY_ABOVE;
        int rc = place_dir_finish(run->place, &f->entry, e);
        courtesy = false;
        if (rc < 0 && restore_blocked(run, f->told_path, e) < 0)
            return -1;
    }
    return 0;
}

static void
batch_release(struct batch *b)
{
    for (size_t i = 0; i < b->left_count; i++)
        restore_drop(b->left[i]);
    for (size_t i = 0; i < b->link_count; i++)
        restore_drop(b->links[i]);
    mem_free(b->left);
    mem_free(b->links);
    *b = (struct batch){ .left = NULL };
}

/* Final names, then links to them, then the folders' own times. */
static void *
publish_main(void *arg)
{
    struct run *run = arg;
    struct batch *b = &run->batch;
    struct err *e = &run->publish_error;

    if (window_publish(&run->window, &b->files, e) == 0 && make_links(run, b, e) == 0)
        (void)!finish_dirs(run, b, e);
    batch_release(b);
    return NULL;
}

int
restore_await(struct run *run, struct err *e)
{
    if (run->publishing)
        pthread_join(run->publisher, NULL);
    run->publishing = false;
    if (run->publish_error.kind == ERR_NONE)
        return 0;
    *e = run->publish_error;
    return -1;
}

int
restore_flush(struct run *run, struct err *e)
{
    struct batch next = { .left = run->left,
                          .left_count = run->left_count,
                          .links = run->links,
                          .link_count = run->link_count };
    int rc = window_run(&run->window, &next.files, e);

    run->left = run->links = NULL;
    run->left_count = run->left_cap = run->link_count = run->link_cap = 0;
    if (restore_await(run, e) < 0 || rc < 0) {
        struct err ignored = { 0 };
        for (size_t i = 0; i < next.files.count; i++)
            next.files.items[i]->finished = false;
        (void)!window_publish(&run->window, &next.files, &ignored);
        batch_release(&next);
        return -1;
    }
    run->batch = next;
    run->publishing = pthread_create(&run->publisher, NULL, publish_main, run) == 0;
    if (!run->publishing)
        publish_main(run);
    return 0;
}

void
restore_place_issue(void *arg, struct slice path, const char *what, const char *why)
{
    struct run *run = arg;
    AUTOFREE char *text = mem_printf("%s: %s", what, why);

    if (courtesy)
        return;
    window_issue(&run->window, RESTORE_NOT_SET, path, text);
}
