/* Writing where there is no MSG_NOSIGNAL: a peer that is gone would end the program by SIGPIPE. The
 * signal is blocked for the moment of the write, and taken back if the write has caused it. */
#ifndef TEPAL_NET_CONN_SIGPIPE_H
#define TEPAL_NET_CONN_SIGPIPE_H

#include "base/platform.h"

#include <signal.h>
#include <stdbool.h>
#include <time.h>

struct sigpipe {
    sigset_t pipe, before;
};

static inline void sigpipe_block(struct sigpipe *s)
{
    sigemptyset(&s->pipe);
    sigaddset(&s->pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &s->pipe, &s->before);
}

/* caused: the write has failed by EPIPE. */
static inline void sigpipe_unblock(struct sigpipe *s, bool caused)
{
    if (caused)
        sigtimedwait(&s->pipe, NULL, &(struct timespec){ 0 });
    pthread_sigmask(SIG_SETMASK, &s->before, NULL);
}

#endif
