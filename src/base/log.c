#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static enum log_level threshold = LOG_NOTE;
static void (*before_line)(void);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void
log_set_level(enum log_level level)
{
    threshold = level;
}

enum log_level
log_level(void)
{
    return threshold;
}

void
log_before_line(void (*fn)(void))
{
    before_line = fn;
}

static void
line(enum log_level level, const char *prefix, const char *fmt, va_list ap)
{
    if (level > threshold)
        return;
    pthread_mutex_lock(&lock);
    if (before_line)
        before_line();
    fputs(prefix, stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    pthread_mutex_unlock(&lock);
}

#define LOGGER(name, level, prefix)                                            \
    void name(const char *fmt, ...)                                            \
    {                                                                          \
        va_list ap;                                                            \
        va_start(ap, fmt);                                                     \
        line(level, prefix, fmt, ap);                                          \
        va_end(ap);                                                            \
    }

LOGGER(log_warn, LOG_WARN, "drtool: warning: ")
LOGGER(log_note, LOG_NOTE, "drtool: ")
LOGGER(log_info, LOG_INFO, "drtool: ")
LOGGER(log_debug, LOG_DEBUG, "drtool: debug: ")
