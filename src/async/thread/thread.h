/* Threads of tepal's own, and which signals they get. */
#ifndef TEPAL_ASYNC_THREAD_THREAD_H
#define TEPAL_ASYNC_THREAD_THREAD_H

#include <pthread.h>
#include <signal.h>

/* Starts a thread. Signals stay with the program's own threads, but for those that tell of a fault
 * in this very thread, which a handler of the program's or a sanitizer wants to see, and for that
 * of profilers. Returns 0 or a negative errno. */
int thread_start(pthread_t *thread, void *(*fn)(void *), void *arg);

/* In such a thread, around a function of the program's: it has this mask, as has what it starts,
 * for a process that begins with all signals blocked takes no SIGTERM. But what tells of a fault is
 * never blocked, and SIGPIPE and SIGXFSZ are: there they are errors of calls, EPIPE and EFBIG. What
 * is started by fork() has exactly the mask. */
void thread_enter_program(const sigset_t *mask);
void thread_leave_program(void);

#endif
