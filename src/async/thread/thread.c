/* The masks of threads: see thread.h. */
#include "async/thread/thread.h"

/* Of the function that the thread runs; NULL: it runs none. */
static _Thread_local const sigset_t *programs_mask;

static void remove_faults(sigset_t *mask)
{
    static const int faults[] = {
        SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(mask, faults[i]);
}

static void set_own_mask(sigset_t *before)
{
    sigset_t mask;
    sigfillset(&mask);
    remove_faults(&mask);
    pthread_sigmask(SIG_SETMASK, &mask, before);
}

int thread_start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    sigset_t before;
    set_own_mask(&before);
    int rc = pthread_create(thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

/* What is forked has the program's mask, whatever the thread has. */
static void in_child(void)
{
    if (programs_mask)
        pthread_sigmask(SIG_SETMASK, programs_mask, NULL);
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, in_child); /* without memory they have the thread's mask */
}

void thread_enter_program(const sigset_t *mask)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sigset_t while_inside = *mask;
    remove_faults(&while_inside);
    sigaddset(&while_inside, SIGPIPE);
    sigaddset(&while_inside, SIGXFSZ);
    pthread_once(&once, watch_forks);
    programs_mask = mask;
    pthread_sigmask(SIG_SETMASK, &while_inside, NULL);
}

void thread_leave_program(void)
{
    set_own_mask(NULL);
    programs_mask = NULL;
}
