#include "cli/progress.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/app.h"
#include "cli/output.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define RATE_OVER_MS 5000 /* older bytes count less and less */
#define ETA_MAX_S 1e7     /* a rate near nothing foretells nothing */

enum style { HIDDEN, DRAWN, LINES, OBJECTS };

static const int64_t every_ms[] = { [DRAWN] = 200, [LINES] = 5000, [OBJECTS] = 1000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum style style;
static bool drawn; /* a line stands on the terminal */
static struct progress run;
static int64_t begun_ms, due_ms, measured_ms;
static uint64_t measured_bytes;

static unsigned
terminal_width(void)
{
    struct winsize size;

    return ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void
clear(void)
{
    if (drawn)
        fputs("\r\033[K", stderr);
    drawn = false;
}

/* The log is about to write. Its line gets a moment for itself. */
static void
make_way(void)
{
    pthread_mutex_lock(&lock);
    clear();
    due_ms = clock_mono_ms() + every_ms[DRAWN];
    pthread_mutex_unlock(&lock);
}

/* Who asks for progress gets it, with --quiet too. */
static enum style
style_of(const struct app *app)
{
    if (app->json)
        return app->progress ? OBJECTS : HIDDEN;
    if (!isatty(2))
        return app->progress ? LINES : HIDDEN;
    return app->progress || !app->quiet ? DRAWN : HIDDEN;
}

void
progress_begin(const struct app *app, const char *doing, const char *source)
{
    pthread_mutex_lock(&lock);
    style = style_of(app);
    run = (struct progress){ app->command->name, doing, source, { 0 }, 0, 0 };
    begun_ms = measured_ms = clock_mono_ms();
    due_ms = begun_ms + every_ms[style];
    measured_bytes = 0;
    pthread_mutex_unlock(&lock);
    log_before_line(style == DRAWN ? make_way : NULL);
}

/* Seconds that are left; -1: unknown. */
static int64_t
eta_s(const struct progress *p)
{
    const struct progress_counts *n = &p->counts;

    if (n->bytes_total <= n->bytes_done || p->rate < 1)
        return -1;
    double left = (double)(n->bytes_total - n->bytes_done) / p->rate;
    return left < ETA_MAX_S ? (int64_t)left + 1 : -1;
}

/* Appends to the line; what does not fit is cut by snprintf. */
static void PRINTF(4, 5)
add(char *line, size_t *len, size_t size, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = *len < size ? vsnprintf(line + *len, size - *len, fmt, ap) : 0;
    va_end(ap);
    *len += n > 0 ? (size_t)n : 0;
}

const char *
progress_line(const struct progress *p, unsigned width)
{
    static _Thread_local char line[256];
    const struct progress_counts *n = &p->counts;
    size_t len = 0, size = sizeof line;
    int64_t left = eta_s(p);

    add(line, &len, size, "%s%s%s  %s", p->doing, p->source ? " " : "",
        p->source ? p->source : "", text_of_size(n->bytes_done));
    if (n->bytes_total > 0) {
        uint64_t done = n->bytes_done < n->bytes_total ? n->bytes_done : n->bytes_total;
        add(line, &len, size, " of %s  %.0f%%", text_of_size(n->bytes_total),
            100.0 * (double)done / (double)n->bytes_total);
    }
    if (p->rate >= 1)
        add(line, &len, size, "  %s/s", text_of_size((uint64_t)p->rate));
    if (left >= 0)
        add(line, &len, size, "  ETA %s", text_of_duration(left * 1000));
    if (n->files_done > 0)
        add(line, &len, size, "  %llu files", (unsigned long long)n->files_done);
    add(line, &len, size, "  %s", text_of_duration(p->elapsed_ms / 1000 * 1000));
    if (width > 1 && width <= sizeof line)
        line[width - 1] = 0; /* the last column stays free, or the line would wrap */
    return line;
}

json_t *
progress_json(const struct progress *p)
{
    json_t *o = json_object();
    int64_t left = eta_s(p);

    json_put_text(o, "type", "progress");
    json_put_text(o, "what", p->what);
    if (p->source)
        json_put_text(o, "source", p->source);
    json_put_int(o, "bytes_done", (int64_t)p->counts.bytes_done);
    if (p->counts.bytes_total > 0)
        json_put_int(o, "bytes_total", (int64_t)p->counts.bytes_total);
    json_put_int(o, "bytes_per_second", (int64_t)p->rate);
    if (left >= 0)
        json_put_int(o, "eta_seconds", left);
    json_put_int(o, "files_done", (int64_t)p->counts.files_done);
    json_put_int(o, "elapsed_seconds", p->elapsed_ms / 1000);
    return o;
}

static void
measure(int64_t now_ms)
{
    int64_t past = now_ms - measured_ms;
    double weight = past < RATE_OVER_MS ? (double)past / RATE_OVER_MS : 1;

    run.elapsed_ms = now_ms - begun_ms;
    if (past <= 0)
        return;
    double fresh = (double)(run.counts.bytes_done - measured_bytes) * 1e3 / (double)past;
    run.rate = run.rate > 0 ? run.rate + (fresh - run.rate) * weight : fresh;
    measured_bytes = run.counts.bytes_done;
    measured_ms = now_ms;
}

/* A program waits for each object: none stays in a buffer. */
static void
print_object(void)
{
    json_t *o = progress_json(&run);

    json_print(o);
    json_decref(o);
    fflush(stdout);
}

static void
show(int64_t now_ms)
{
    measure(now_ms);
    due_ms = now_ms + every_ms[style];
    if (style == OBJECTS) {
        print_object();
    } else if (style == LINES) {
        fprintf(stderr, "drtool: %s\n", progress_line(&run, 0));
    } else {
        fprintf(stderr, "\r%s\033[K", progress_line(&run, terminal_width()));
        fflush(stderr);
        drawn = true;
    }
}

static void
raise_to(uint64_t *count, uint64_t to)
{
    if (*count < to)
        *count = to;
}

void
progress_update(const struct progress_counts *counts)
{
    if (__atomic_load_n(&style, __ATOMIC_RELAXED) == HIDDEN)
        return;
    pthread_mutex_lock(&lock);
    int64_t now = clock_mono_ms();
    raise_to(&run.counts.bytes_done, counts->bytes_done);
    raise_to(&run.counts.files_done, counts->files_done);
    run.counts.bytes_total = counts->bytes_total;
    if (style != HIDDEN && now >= due_ms)
        show(now);
    pthread_mutex_unlock(&lock);
}

void
progress_end(void)
{
    pthread_mutex_lock(&lock);
    if (style == LINES || style == OBJECTS)
        show(clock_mono_ms());
    clear();
    style = HIDDEN;
    pthread_mutex_unlock(&lock);
    log_before_line(NULL);
}

void
progress_restore(void *arg, const struct restore_progress *p)
{
    uint64_t done = atomic_load(&p->bytes), total = p->bytes_total;

    (void)arg;
    progress_update(&(struct progress_counts){ done < total ? done : total, total,
                                               atomic_load(&p->entries) });
}

void
progress_sync(void *arg, const struct sync_progress *p)
{
    (void)arg;
    progress_update(&(struct progress_counts){ p->bytes, p->bytes_total, p->objects });
}
