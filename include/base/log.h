/*
 * log: what happens on the way, on stderr, for a person.
 *
 * Errors are not logged, they are returned. A warning tells something that
 * the person should know although the run goes on; info is -v, debug -vv.
 * Any thread may log.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_WARN, LOG_NOTE, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level); /* default: LOG_NOTE */
enum log_level log_level(void);

void log_warn(const char *fmt, ...) PRINTF(1, 2);
void log_note(const char *fmt, ...) PRINTF(1, 2);
void log_info(const char *fmt, ...) PRINTF(1, 2);
void log_debug(const char *fmt, ...) PRINTF(1, 2);

/* Called before each line, to clear a progress display. */
void log_before_line(void (*fn)(void));

#endif
