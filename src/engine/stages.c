#include "stages.h"

#define BEGUN_MAX 2   /* loads behind the one that is waited for */
#define FETCHED_MAX 4 /* loads that wait for their names */

struct stages {
    struct window *window;
    pthread_t fetching, naming;
    unsigned started;     /* threads */
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    unsigned begun;       /* loads behind the one that is waited for */
    struct load *fetched; /* first of those that wait for their names */
    unsigned fetched_count;
    uint64_t taken, named;
    bool ending;      /* no load follows */
    bool fetched_all; /* and the last one has been fetched */
    struct err error;
};

static _Thread_local bool courtesy;

bool
stages_courtesy(void)
{
    return courtesy;
}

static bool
failed(struct stages *s)
{
    pthread_mutex_lock(&s->lock);
    bool yes = s->error.kind != ERR_NONE;
    pthread_mutex_unlock(&s->lock);
    return yes;
}

/* With the lock. */
static void
fail(struct stages *s, const struct err *e)
{
    if (s->error.kind == ERR_NONE)
        s->error = *e;
}

static void
append(struct stages *s, struct load *l)
{
    struct load **end = &s->fetched;

    while (*end)
        end = &(*end)->next;
    *end = l;
    s->fetched_count++;
}

/* The second thread. What could not be fetched is passed on as well, to be freed. */
static void *
fetch_main(void *arg)
{
    struct stages *s = arg;

    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (s->begun == 0 && !s->ending)
            pthread_cond_wait(&s->changed, &s->lock);
        if (s->begun == 0)
            break;
        s->begun--;
        struct err e = s->error;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        if (e.kind != ERR_NONE)
            window_give_up(s->window, &e);
        struct load *l = window_finish(s->window, &e);
        mem_free(TAKE(l->wants));
        pthread_mutex_lock(&s->lock);
        if (e.kind != ERR_NONE)
            fail(s, &e);
        while (s->fetched_count >= FETCHED_MAX)
            pthread_cond_wait(&s->changed, &s->lock);
        append(s, l);
        pthread_cond_broadcast(&s->changed);
    }
    s->fetched_all = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static int
name_file(struct window *w, struct wfile *f, struct err *e)
{
    bool keep = w->options->overwrite == OVERWRITE_NEVER;

    if (!f->finished)
        return 0;
    __atomic_fetch_add(&w->result->files, 1, __ATOMIC_RELAXED);
    if (!w->place)
        return 0;
    if (place_publish(w->place, f->entry.path, f->hidden, keep, e) < 0)
        return load_blocked(w, f->told_path, e);
    return f->note_link ? place_link_note(w->place, f->entry.link_group, f->entry.path, e)
                        : 0;
}

static int
make_link(struct window *w, const struct wfile *f, struct err *e)
{
    int linked = place_link(w->place, f->entry.link_group, f->entry.path, e);

    if (linked < 0)
        return load_blocked(w, f->told_path, e);
    if (linked == 0)
        load_issue(w, RESTORE_DAMAGED, f->told_path,
                   "the file it is another name of could not be restored");
    return 0;
}

static int
finish_folder(struct window *w, const struct wfile *f, struct err *e)
{
    courtesy = f->entry.flags & ENTRY_ABOVE;
    int rc = place_dir_finish(w->place, &f->entry, e);
    courtesy = false;
    return rc < 0 ? load_blocked(w, f->told_path, e) : 0;
}

/* Final names, then links to them, then the folders' own times. */
static int
name_load(struct window *w, struct load *l, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < l->file_count && rc == 0; i++) {
        rc = name_file(w, l->files[i], e);
        if (rc == 0)
            wfile_free(w, TAKE(l->files[i]));
    }
    for (size_t i = 0; i < l->link_count && rc == 0; i++)
        rc = make_link(w, l->links[i], e);
    for (size_t i = 0; i < l->left_count && rc == 0; i++)
        rc = finish_folder(w, l->left[i], e);
    return rc;
}

/* Of what has been synced. */
static void
drop_pages(const struct load *l)
{
    for (; l; l = l->next) {
        if (l->goes_on)
            wfile_drop_pages(l->goes_on);
        for (size_t i = 0; i < l->file_count; i++)
            wfile_drop_pages(l->files[i]);
    }
}

/* One sync for all loads of the list, then their names. Frees them. */
static int
name_loads(struct stages *s, struct load *first, struct err *e)
{
    struct window *w = s->window;
    bool any = false, give_up = failed(s);
    int rc = 0;

    /* Also what belongs to a file that goes on: its end should not wait for all of it. */
    for (struct load *l = first; l; l = l->next) {
        any |= l->bytes > 0;
        for (size_t i = 0; i < l->file_count; i++)
            any |= l->files[i]->finished;
    }
    if (w->place && any && !give_up)
        rc = place_sync(w->place, e);
    drop_pages(first);
    while (first) {
        struct load *l = first;
        first = l->next;
        if (rc == 0 && !give_up)
            rc = name_load(w, l, e);
        for (size_t i = 0; i < l->file_count; i++)
            if (l->files[i])
                l->files[i]->finished = false; /* its hidden file goes */
        load_free(w, l);
    }
    return rc;
}

/* The third thread. */
static void *
name_main(void *arg)
{
    struct stages *s = arg;

    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->fetched && !s->fetched_all)
            pthread_cond_wait(&s->changed, &s->lock);
        if (!s->fetched)
            break;
        struct load *first = TAKE(s->fetched);
        unsigned count = s->fetched_count;
        struct err e = { 0 };
        s->fetched_count = 0;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        int rc = name_loads(s, first, &e);
        pthread_mutex_lock(&s->lock);
        if (rc < 0)
            fail(s, &e);
        s->named += count;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int
stages_start(struct window *w, struct stages **out, struct err *e)
{
    struct stages *s = mem_zalloc(sizeof *s);

    s->window = w;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    int cause = pthread_create(&s->fetching, NULL, fetch_main, s);
    s->started += cause == 0;
    if (cause == 0) {
        cause = pthread_create(&s->naming, NULL, name_main, s);
        s->started += cause == 0;
    }
    if (cause != 0) {
        stages_free(s);
        return err_sys(e, cause, "starting a thread");
    }
    *out = s;
    return 0;
}

int
stages_take(struct stages *s, struct load *l, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    while (s->begun == BEGUN_MAX)
        pthread_cond_wait(&s->changed, &s->lock);
    window_begin(s->window, l);
    s->begun++;
    s->taken++;
    bool bad = s->error.kind != ERR_NONE;
    if (bad)
        *e = s->error;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return bad ? -1 : 0;
}

uint64_t
stages_taken(const struct stages *s)
{
    return s->taken; /* only the walk's thread changes it */
}

uint64_t
stages_named(struct stages *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t n = s->named;
    pthread_mutex_unlock(&s->lock);
    return n;
}

int
stages_finish(struct stages *s, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (s->started > 0)
        pthread_join(s->fetching, NULL);
    if (s->started > 1)
        pthread_join(s->naming, NULL);
    s->started = 0;
    if (s->error.kind == ERR_NONE)
        return 0;
    *e = s->error;
    return -1;
}

void
stages_free(struct stages *s)
{
    struct err ignored = { 0 };

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    fail(s, &(struct err){ .kind = ERR_CANCELLED });
    pthread_mutex_unlock(&s->lock);
    (void)!stages_finish(s, &ignored);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}
