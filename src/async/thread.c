/* The masks of threads: see thread.h. */
#include "async/thread.h"

static _Thread_local const sigset_t *child_mask;

static void fill_but_faults(sigset_t *mask)
{
    static const int never[] = {
        SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF
    };
    sigfillset(mask);
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        sigdelset(mask, never[i]);
}

int thread_start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    sigset_t mask, before;
    fill_but_faults(&mask);
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    int rc = pthread_create(thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

static void in_child(void)
{
    if (child_mask)
        pthread_sigmask(SIG_SETMASK, child_mask, NULL);
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, in_child); /* no memory: they have the thread's mask */
}

void thread_set_child_mask(const sigset_t *mask)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    child_mask = mask;
}
