#include "base/cancel.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static atomic_bool requested;

static void *
watch(void *arg)
{
    sigset_t set;
    int sig;

    (void)arg;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    while (sigwait(&set, &sig) == 0) {
        if (atomic_exchange(&requested, true))
            _exit(130);
    }
    return NULL;
}

void
cancel_watch_signals(void)
{
    sigset_t set;
    pthread_t thread;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (pthread_create(&thread, NULL, watch, NULL) == 0)
        pthread_detach(thread);
}

void
cancel_request(void)
{
    atomic_store(&requested, true);
}

bool
cancel_requested(void)
{
    return atomic_load_explicit(&requested, memory_order_relaxed);
}

int
cancel_check(struct err *e)
{
    return cancel_requested() ? err_set(e, ERR_CANCELLED, 0, "stopped by a signal") : 0;
}
