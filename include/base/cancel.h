/*
 * cancel: SIGINT, SIGTERM and SIGHUP as a question that long loops ask.
 *
 * One thread takes the signals; handlers do no work. A second signal ends
 * the process at once, which is safe at any moment by design.
 */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include "base/err.h"

#include <stdbool.h>

void cancel_watch_signals(void); /* call before the first thread starts */
void cancel_request(void);
bool cancel_requested(void);
MUST_USE int cancel_check(struct err *e); /* ERR_CANCELLED when requested */

#endif
