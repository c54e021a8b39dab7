/* A loop that does not run by itself: it is a guest of another one, which waits for both. The host
 * asks it before each wait until when it may sleep, and gives it a turn after each. */
#include "async/loop/call.h"
#include "async/task/group.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sink.h"

#include <errno.h>

struct guest {
    struct loop loop;
    tepal_group tasks; /* of tepal_loop_spawn() */
};

static struct guest *guest_of(const char *call, const tepal_loop *handle)
{
    if (!handle)
        misuse(call, "the loop is NULL");
    struct loop *loop = calls_loop(handle);
    if (!loop->guest)
        misuse(call, "the loop is not one of tepal_loop_open()");
    if (loop != loop_current)
        misuse(call, "the loop is another thread's; see tepal_loop_call()");
    return CONTAINER_OF(loop, struct guest, loop);
}

static struct loop *need_guest(const char *call, const tepal_loop *handle)
{
    struct loop *loop = &guest_of(call, handle)->loop;
    if (loop->forked)
        misuse(call, "a child of fork() has no loop; it may close it, and open one of its own");
    return loop;
}

static void need_outside(const char *call, const struct loop *loop)
{
    if (loop->current || loop->in_call)
        misuse(call, "called by what this loop runs itself");
}

int tepal_loop_open(tepal_loop **handle)
{
    need_place("tepal_loop_open", handle);
    *handle = NULL;
    struct guest *guest = mem_alloc(sizeof(*guest));
    int rc = guest ? loop_open(&guest->loop, 0) : -ENOMEM;
    if (rc < 0) {
        mem_free(guest);
        return rc;
    }
    rc = calls_open(&guest->loop);
    if (rc < 0) {
        loop_close(&guest->loop);
        mem_free(guest);
        return rc;
    }
    guest->loop.guest = true;
    group_init(&guest->tasks, &guest->loop);
    guest->tasks.reports_at_once = true;
    guest->tasks.belongs_to = "the group belongs to the loop";
    *handle = guest->loop.calls;
    return 0;
}

int tepal_loop_spawn(tepal_loop *handle, tepal_task_fn *fn, const void *arg,
                     const tepal_spawn_options *options)
{
    struct guest *guest = guest_of("tepal_loop_spawn", handle);
    struct loop *loop = need_guest("tepal_loop_spawn", handle);
    struct tepal_task *task, *by = loop->current;
    loop->current = NULL; /* of whom it inherits nothing, as it may outlive it */
    int rc = group_spawn(&guest->tasks, fn, (void *)(uintptr_t)arg, options, &task);
    loop->current = by;
    return rc;
}

int tepal_loop_fd(const tepal_loop *handle)
{
    return need_guest("tepal_loop_fd", handle)->poller.fd;
}

static bool has_work(const struct loop *loop)
{
    return !list_is_empty(&loop->ready) || loop->calls_due || loop->n_full > 0;
}

int64_t tepal_loop_next_ms(const tepal_loop *handle)
{
    const struct loop *loop = need_guest("tepal_loop_next_ms", handle);
    if (has_work(loop) || (sink_is_waiting() && !timer_is_set(&loop->logs)))
        return 0;
    int64_t next = timers_next(&loop->timers);
    if (next == INT64_MAX)
        return TEPAL_NEVER;
    int64_t us = next * 1000 - loop_clock_us(loop);
    return us <= 0 ? 0 : (us + 999) / 1000;
}

size_t tepal_loop_turn(tepal_loop *handle)
{
    enum { TURN_US = 100 };
    struct loop *loop = need_guest("tepal_loop_turn", handle);
    need_outside("tepal_loop_turn", loop);
    loop_look_at_clock(loop); /* the host has waited */
    int64_t end_us = loop->now_us + TURN_US;
    loop_turn(loop, false); /* which asks what has happened, and then is what comes of it */
    for (bool first = true; has_work(loop) && (first || loop->now_us < end_us); first = false)
        loop_turn(loop, false);
    return loop->n_tasks;
}

void tepal_loop_close(tepal_loop *handle)
{
    if (!handle)
        return;
    struct guest *guest = guest_of("tepal_loop_close", handle);
    if (guest->loop.forked) {
        loop_current = NULL;
        return;
    }
    need_outside("tepal_loop_close", &guest->loop);
    loop_finish(&guest->loop);
    group_finish(&guest->tasks, false, TEPAL_NEVER);
    loop_close(&guest->loop);
    mem_free(guest);
}
