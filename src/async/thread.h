/* Threads of tepal's own, and which signals they and their children get. */
#ifndef TEPAL_ASYNC_THREAD_H
#define TEPAL_ASYNC_THREAD_H

#include <pthread.h>
#include <signal.h>

/* Starts a thread. Signals stay with the program's own threads, but for those that tell of a fault
 * in this very thread, which a handler of the program's or a sanitizer wants to see, and for that of
 * profilers. Returns 0 or a negative errno. */
int thread_start(pthread_t *thread, void *(*fn)(void *), void *arg);

/* To be called in such a thread: what it starts by fork() begins with this mask, which must outlive
 * the thread. A program that has all signals blocked takes no SIGTERM. */
void thread_set_child_mask(const sigset_t *mask);

#endif
