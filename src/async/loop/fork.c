/* A child process has a copy of the loop, but the poller and the clients are the parent's: if both
 * went on, each would take what is meant for the other. So in the child no task runs, and its copy
 * of the poller knows no descriptor: nothing that it closes is taken from the parent. */
#include "async/loop/fork.h"

#include "async/signal/signal_source.h"
#include "async/task/task.h"
#include "base/log.h"

#include <pthread.h>
#include <unistd.h>

static void in_child(void)
{
    struct loop *loop = loop_current;
    signal_source_forked(loop);
    /* A loop that stands still, that of a test, may be used by the child in its place. That of
     * a program that has a loop of its own is the parent's. */
    if (!loop || loop->forked || (!loop->current && !loop->in_call && !loop->guest))
        return;
    loop->forked = true;
    if (loop->current)
        loop->current->in_child = true;
    loop->current = NULL; /* so no call takes it for that of a task */
    poller_abandon(&loop->poller);
}

static void install_handler(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

void fork_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_handler);
}

void fork_child_returned(void)
{
    misuse("fork", "the child has returned into the loop of its parent; it may exec, or _exit()");
}
