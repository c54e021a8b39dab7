/* Select: a task that waits in the queues of several channels. The first that serves it wakes it,
 * and a woken task is passed over by all the others. */
#include "async/sync/channel.h"
#include "async/sync/waiters.h"
#include "base/log.h"
#include "base/room.h"

#include <errno.h>
#include <limits.h>

static void check_cases(const tepal_select_case *cases, size_t n)
{
    if (n > INT_MAX)
        misuse("tepal_select", "more cases than an index can tell");
    if (!cases && n > 0)
        misuse("tepal_select", "the cases are NULL");
    for (size_t i = 0; i < n; i++)
        if (!cases[i].send == !cases[i].receive)
            misuse("tepal_select", "a case has one of send and receive");
}

static bool can_happen(const tepal_select_case *c)
{
    if (!c->channel)
        return false;
    return c->send ? channel_can_send(c->channel) : channel_can_receive(c->channel);
}

/* A number below n; good enough to be fair. */
static unsigned random_below(struct loop *loop, unsigned n)
{
    loop->random = loop->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((loop->random >> 32) * n >> 32);
}

/* One of the cases that can happen now, each as likely as the others; -1 when none can. */
static int pick(struct loop *loop, const tepal_select_case *cases, int n)
{
    int picked = -1;
    unsigned n_possible = 0;
    for (int i = 0; i < n; i++)
        if (can_happen(&cases[i]) && random_below(loop, ++n_possible) == 0)
            picked = i;
    return picked;
}

static void happen(tepal_select_case *c)
{
    c->result = c->send ? tepal_channel_try_send(c->channel, c->send)
                        : tepal_channel_try_receive(c->channel, c->receive);
}

static struct tepal_waiters *queue_of(const tepal_select_case *c)
{
    return c->send ? &c->channel->senders : &c->channel->receivers;
}

/* Waits in all queues at once. Returns the index of the case that has happened, or an error. */
static int wait_for_one(struct loop *loop, tepal_select_case *cases, int n, int64_t until)
{
    for (int i = 0; i < n; i++) {
        tepal_select_case *c = &cases[i];
        c->waiter = (struct tepal_waiter){
            .task = loop->current,
            .item = c->send ? (void *)(uintptr_t)c->send : c->receive,
            .index = i,
        };
        if (c->channel)
            waiters_append(queue_of(c), &c->waiter);
    }
    int rc = task_wait(loop, "one of several channels", until);
    for (int i = 0; i < n; i++)
        if (cases[i].waiter.queued)
            waiters_remove(queue_of(&cases[i]), &cases[i].waiter);
    if (rc >= 0)
        cases[rc].result = cases[rc].waiter.closed ? -EPIPE : 0;
    return rc;
}

static int check_room(const tepal_select_case *cases, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = room_check("tepal_select", cases[i].later, sizeof(cases[i].later));
    return rc;
}

int tepal_select(tepal_select_case *cases, size_t n, int64_t timeout_ms)
{
    struct tepal_task *task = task_need("tepal_select");
    struct loop *loop = loop_current;
    check_cases(cases, n);
    int rc = task_may_give_way(loop, task);
    if (rc == 0)
        rc = check_room(cases, n);
    if (rc < 0)
        return rc;
    int picked = pick(loop, cases, (int)n);
    if (picked >= 0) {
        happen(&cases[picked]);
        return picked;
    }
    if (timeout_ms <= 0)
        return -EAGAIN;
    int64_t until = TEPAL_NEVER;
    if (timeout_ms != TEPAL_NEVER)
        until = loop_time_after((loop_clock_us(loop) + 999) / 1000, timeout_ms);
    return wait_for_one(loop, cases, (int)n, until);
}
