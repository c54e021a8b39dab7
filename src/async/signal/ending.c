/* The wish to end: one receiver, and what makes a second wish end the process. */
#include "async/signal/ending.h"

#include "async/task/task.h"

/* So long after the first signal a second one may come that was sent together with it. */
enum { TWIN_WAIT_MS = 100 };

static void on_wish(struct signal_receiver *receiver, int number, unsigned n)
{
    (void)n;
    struct ending *ending = CONTAINER_OF(receiver, struct ending, receiver);
    void (*fn)(void *arg, int number) = ending->fn;
    if (!fn || (number == SIGHUP && signal_has_others(ending->loop, receiver, number)))
        return;
    ending->fn = NULL;
    ending->wished_at = loop_clock_us(ending->loop) / 1000;
    fn(ending->arg, number);
}

static bool has_default(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
           now.sa_handler == SIG_DFL;
}

int ending_open(struct ending *ending, void (*fn)(void *arg, int number), void *arg, bool hangup)
{
    struct loop *loop = loop_current;
    *ending = (struct ending){ .receiver.fn = on_wish, .loop = loop, .fn = fn, .arg = arg };
    signal_ending_begin();
    int rc = signal_receiver_add(loop, &ending->receiver, SIGTERM);
    if (rc == 0)
        rc = signal_receiver_add(loop, &ending->receiver, SIGINT);
    if (rc == 0 && hangup && has_default(SIGHUP))
        rc = signal_receiver_add(loop, &ending->receiver, SIGHUP);
    if (rc < 0) {
        signal_receiver_close(loop, &ending->receiver);
        signal_ending_end();
        ending->loop = NULL;
    }
    return rc;
}

void ending_close(struct ending *ending)
{
    struct loop *loop = ending->loop;
    if (!loop)
        return;
    int64_t until = ending->wished_at + TWIN_WAIT_MS;
    if (!ending->fn && loop_clock_us(loop) / 1000 < until)
        task_wait_shielded_until(loop, "a twin of the signal", until);
    signal_receiver_close(loop, &ending->receiver);
    signal_ending_end();
    ending->loop = NULL;
}

int64_t ending_grace_ms(int64_t patience_ms)
{
    enum { LEAST_MS = 1000, MOST_MS = 10000 };
    int64_t ms = patience_ms == 0 ? MOST_MS : patience_ms / 10;
    return ms < LEAST_MS ? LEAST_MS : ms > MOST_MS ? MOST_MS : ms;
}
