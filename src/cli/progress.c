#include "cli/progress.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_EVERY_MS 200
#define RATE_OVER_MS 5000 /* older bytes count less and less */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool active, drawn;
static int64_t begun_ms, drawn_ms;
static uint64_t drawn_bytes;
static double rate; /* bytes a second */

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

/* The log is about to write. Its line gets a moment for itself: drawing is not
 * due again before DRAW_EVERY_MS. */
static void
make_way(void)
{
    pthread_mutex_lock(&lock);
    clear();
    drawn_ms = clock_mono_ms();
    pthread_mutex_unlock(&lock);
}

void
progress_begin(bool allowed)
{
    pthread_mutex_lock(&lock);
    active = allowed && isatty(2);
    begun_ms = drawn_ms = clock_mono_ms();
    drawn_bytes = 0;
    rate = 0;
    pthread_mutex_unlock(&lock);
    log_before_line(active ? make_way : NULL);
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
progress_line(const struct progress *p, int64_t elapsed_ms, double bytes_per_s,
              unsigned width)
{
    static _Thread_local char line[256];
    size_t len = 0, size = sizeof line;

    line[0] = 0;
    add(line, &len, size, "%s  %s", p->what, text_of_size(p->bytes_done));
    if (p->bytes_total > 0) {
        uint64_t done = p->bytes_done < p->bytes_total ? p->bytes_done : p->bytes_total;
        add(line, &len, size, " of %s  %.0f%%", text_of_size(p->bytes_total),
            100.0 * (double)done / (double)p->bytes_total);
    }
    if (bytes_per_s >= 1)
        add(line, &len, size, "  %s/s", text_of_size((uint64_t)bytes_per_s));
    if (p->bytes_total > p->bytes_done && bytes_per_s >= 1) {
        double left_s = (double)(p->bytes_total - p->bytes_done) / bytes_per_s;
        if (left_s < 1e7)
            add(line, &len, size, "  ETA %s",
                text_of_duration((int64_t)(left_s + 1) * 1000));
    }
    if (p->files_done > 0)
        add(line, &len, size, "  %llu files", (unsigned long long)p->files_done);
    add(line, &len, size, "  %s", text_of_duration(elapsed_ms / 1000 * 1000));
    if (width > 1 && width <= sizeof line)
        line[width - 1] = 0; /* the last column stays free, or the line would wrap */
    return line;
}

void
progress_update(const struct progress *p)
{
    if (!__atomic_load_n(&active, __ATOMIC_RELAXED))
        return;
    pthread_mutex_lock(&lock);
    int64_t now = clock_mono_ms(), past = now - drawn_ms;
    if (active && past >= DRAW_EVERY_MS) {
        uint64_t more = p->bytes_done > drawn_bytes ? p->bytes_done - drawn_bytes : 0;
        double fresh = (double)more * 1e3 / (double)past;
        double weight = past < RATE_OVER_MS ? (double)past / RATE_OVER_MS : 1;
        rate = rate > 0 ? rate + (fresh - rate) * weight : fresh;
        drawn_bytes = p->bytes_done;
        drawn_ms = now;
        fprintf(stderr, "\r%s\033[K",
                progress_line(p, now - begun_ms, rate, terminal_width()));
        fflush(stderr);
        drawn = true;
    }
    pthread_mutex_unlock(&lock);
}

void
progress_end(void)
{
    pthread_mutex_lock(&lock);
    clear();
    active = false;
    pthread_mutex_unlock(&lock);
    log_before_line(NULL);
}
