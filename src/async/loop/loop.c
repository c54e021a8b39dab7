/* The turn of the loop, and its life. What happens in a turn is decided by the parts it owns. */
#include "async/loop/loop.h"

#include "async/loop/call.h"
#include "async/debug/debug.h"
#include "async/loop/fork.h"
#include "async/debug/inspect.h"
#include "async/loop/microtimer.h"
#include "async/thread/offload.h"
#include "async/stack/overflow.h"
#include "async/signal/signal_source.h"
#include "async/task/task.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sink.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

/* How many idle buffers and first chunks stay warm in any case. */
enum { KEEP_BLOCKS = 32 };

/* What was idle for as long as that has no memory after twice that time: the next wave may follow.
 * Some at once, so that the tasks need not wait for it. */
enum { COOL_AFTER_MS = 500, COOL_AT_ONCE = 64, COOL_PAUSE_MS = 1 };

_Thread_local struct loop *loop_current;

static int64_t clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + (int64_t)((uint64_t)ts.tv_nsec / 1000);
}

void loop_look_at_clock(struct loop *loop)
{
    if (loop->fake_time)
        return;
    loop->now_us = clock_us();
    loop->now = (int64_t)((uint64_t)loop->now_us / 1000); /* unsigned is quicker */
}

int64_t loop_clock_us(const struct loop *loop)
{
    return loop && loop->fake_time ? loop->now * 1000 + loop->fake_us : clock_us();
}

int64_t tepal_now_us(void)
{
    return loop_clock_us(loop_current);
}

int64_t tepal_now_ms(void)
{
    return tepal_now_us() / 1000;
}

void tepal_clock_fake(void)
{
    struct loop *loop = loop_need("tepal_clock_fake");
    if (loop->guest)
        misuse("tepal_clock_fake", "the time of a loop of tepal_loop_open() is that of its host");
    if (loop->fake_time)
        return;
    /* Time goes on from what a call may have told already. */
    loop->now = clock_us() / 1000 + 1;
    loop->fake_time = true;
    timer_cancel(&loop->cooling);
    /* What is due already fires at the end of the turn, not here. */
    if (timers_next(&loop->timers) > loop->now)
        timers_fire(&loop->timers, loop->now);
}

struct loop *loop_need(const char *call)
{
    if (UNLIKELY(!loop_current || loop_current->forked))
        misuse(call, loop_current ? "a child of fork() has no loop" : "this thread runs no loop");
    return loop_current;
}

/* The turn that it has caused ends with another look at the logs. */
static void on_logs(struct timer *timer)
{
    (void)timer;
}

/* What is logged is written at the end of the turn, or with what follows in a moment. */
static NO_INLINE void write_logs(struct loop *loop)
{
    int64_t ms = sink_flush(loop->fake_time);
    if (ms >= 0 && !loop->fake_time &&
        (!timer_is_set(&loop->logs) || loop->logs.at > loop->now + ms))
        timer_set(&loop->timers, &loop->logs, loop->now + ms);
}

/* Lets the memory of what is idle go back to the system, once it has been idle for a while. */
static void cool_later(struct loop *loop)
{
    if (!timer_is_set(&loop->cooling) && !loop->fake_time)
        timer_set(&loop->timers, &loop->cooling, loop->now + COOL_AFTER_MS);
}

static void begin_cooling_period(struct loop *loop)
{
    stack_pool_begin_period(&loop->stacks);
    idle_begin_period(&loop->buffers.idle);
    idle_begin_period(&loop->chunks.idle);
    if (loop_is_warm(loop))
        cool_later(loop);
}

static void on_cooling(struct timer *timer)
{
    struct loop *loop = CONTAINER_OF(timer, struct loop, cooling);
    bool more = stack_pool_cool(&loop->stacks, COOL_AT_ONCE);
    more |= block_pool_cool(&loop->buffers, COOL_AT_ONCE);
    more |= block_pool_cool(&loop->chunks, COOL_AT_ONCE);
    if (more)
        timer_set(&loop->timers, timer, loop->now + COOL_PAUSE_MS);
    else
        begin_cooling_period(loop);
}

int loop_open(struct loop *loop, size_t stack_size)
{
    if (loop_current && !loop_current->forked)
        return -EBUSY;
    memset(loop, 0, sizeof(*loop));
    int rc = fd_fill_standard();
    if (rc == 0)
        rc = poller_init(&loop->poller);
    if (rc < 0)
        return rc;
    ctx_init_thread(&loop->ctx);
    list_init(&loop->leaving);
    list_init(&loop->ready);
    list_init(&loop->tasks);
    list_init(&loop->groups);
    list_init(&loop->parts);
    list_init(&loop->pools);
    loop->end_until = TEPAL_NEVER;
    loop_look_at_clock(loop);
    loop->polled = loop->due = loop->now;
    timers_init(&loop->timers, loop->now);
    timer_init(&loop->logs, on_logs);
    timer_init(&loop->cooling, on_cooling);
    stack_pool_init(&loop->stacks, stack_size);
    block_pool_init(&loop->buffers, LOOP_BUFFER_SIZE, KEEP_BLOCKS);
    block_pool_init(&loop->chunks, LOOP_CHUNK_SIZE, KEEP_BLOCKS);
    overflow_watch();
    fork_watch();
    loop_current = loop;
    debug_open(loop);
    return 0;
}

void loop_close(struct loop *loop)
{
    if (loop->n_tasks > 0)
        misuse("loop_close", "tasks are left");
    while (!list_is_empty(&loop->parts)) {
        struct loop_part *part = CONTAINER_OF(loop->parts.next, struct loop_part, node);
        list_remove(&part->node);
        part->close(part);
    }
    offload_close_all(loop, loop->leave_threads ? 0 : loop->end_until);
    microtimers_close(loop->microtimers);
    calls_close(loop->calls);
    dump_signal_close(loop);
    signal_source_close(loop);
    debug_close(loop);
    overflow_unwatch();
    stack_pool_clear(&loop->stacks, false);
    block_pool_clear(&loop->buffers);
    block_pool_clear(&loop->chunks);
    poller_clear(&loop->poller);
    ctx_end_thread(&loop->ctx);
    sink_flush(true);
    loop_current = NULL;
}

void loop_add_part(struct loop *loop, struct loop_part *part)
{
    list_prepend(&loop->parts, &part->node);
}

struct loop_part *loop_find_part(const struct loop *loop, void (*close)(struct loop_part *part))
{
    for (struct list *node = loop->parts.next; node != &loop->parts; node = node->next) {
        struct loop_part *part = CONTAINER_OF(node, struct loop_part, node);
        if (part->close == close)
            return part;
    }
    return NULL;
}

/* Runs as many of the ready tasks, or all there are. Returns whether there were as many. */
static bool run_ready(struct loop *loop, size_t n)
{
    loop->n_to_run = n;
    while (loop->n_to_run > 0 && !list_is_empty(&loop->ready)) {
        loop->n_to_run--;
        task_run(loop, CONTAINER_OF(list_take_first(&loop->ready), struct tepal_task, ready));
    }
    bool full = loop->n_to_run == 0;
    loop->n_to_run = 0;
    return full;
}

/* After a stall the tasks have more time before the timers are looked at, to read what has come
 * meanwhile: a tenth of that by which the timers are late. */
static int64_t catch_up_us(const struct loop *loop)
{
    enum { LONGEST_MS = 10 * 1000 };
    int64_t late_ms = loop->now - timers_next(&loop->timers);
    return late_ms <= 0 ? 0 : (late_ms < LONGEST_MS ? late_ms : LONGEST_MS) * 1000 / 10;
}

/* Runs the ready tasks, and those that they make ready, until there are none or the turn has
 * lasted: I/O and timers are not to wait for long, but two tasks that wake one another are not to
 * pay for a system call each time. Even to look at the clock costs as much as some switches, so
 * that is done the less often the quicker the tasks are. */
static NO_INLINE void run_for_a_while(struct loop *loop)
{
    enum { TURN_US = 100, QUICK_US = 10, FIRST = 16, MOST = 512 };
    int64_t end_us = loop->now_us + TURN_US + catch_up_us(loop);
    size_t n = FIRST;
    loop->turn_over = false;
    while (run_ready(loop, n) && !loop->turn_over) {
        int64_t before_us = loop->now_us;
        loop_look_at_clock(loop);
        if (loop->now_us >= end_us)
            return;
        if (n < MOST && loop->now_us - before_us < QUICK_US)
            n *= 2;
    }
    loop_look_at_clock(loop);
}

/* What happens to a descriptor happens at a time that is known: a wait may have taken long. */
static bool poll_until(struct loop *loop, int timeout_ms)
{
    if (loop->n_full == 0)
        loop->polled = loop->now;
    int n = poller_wait(&loop->poller, timeout_ms);
    bool more = poller_is_full(&loop->poller) && loop->n_full < poller_max_batches(&loop->poller);
    loop->n_full = more ? loop->n_full + 1 : 0;
    if (timeout_ms != 0)
        loop_look_at_clock(loop);
    if (n > 0)
        poller_dispatch(&loop->poller);
    return n > 0;
}

/* Time is judged by when the poller was asked, and when all that it told has been worked off: the
 * process may have been stopped, or a task may have held the loop, for longer than somebody's time,
 * and what came meanwhile came in time. */
static void let_time_pass(struct loop *loop)
{
    if (UNLIKELY(loop->n_full > 0))
        return;
    loop->due = loop->polled;
    timers_advance(&loop->timers, loop->due);
}

static int in_poller_time(int64_t ms)
{
    return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : (int)ms;
}

static int timeout_of(struct loop *loop, bool wait)
{
    if (!wait || !list_is_empty(&loop->ready) || loop->n_full > 0)
        return 0;
    int64_t next = timers_next(&loop->timers);
    return next == INT64_MAX ? -1 : in_poller_time(next - loop->now);
}

static void fire_all(struct loop *loop)
{
    timers_fire(&loop->timers, loop->now);
    microtimers_advance(loop->microtimers, loop_clock_us(loop));
}

/* What is due fires here, so that the time of a timer that was cancelled is none. */
int64_t loop_next_us(struct loop *loop)
{
    fire_all(loop);
    int64_t ms = timers_next(&loop->timers), us = microtimers_next(loop->microtimers);
    return ms <= us / 1000 ? ms * 1000 : us;
}

void loop_move_fake_clock(struct loop *loop, int64_t to_us)
{
    loop->now = to_us / 1000;
    loop->fake_us = to_us % 1000;
    fire_all(loop);
}

/* With a fake clock the next timer is due as soon as nothing else is under way. */
static bool poll_fake(struct loop *loop, bool wait)
{
    if (poll_until(loop, 0))
        return true;
    if (!wait || !list_is_empty(&loop->ready))
        return false;
    if (offload_is_busy(loop))
        return poll_until(loop, -1);
    int64_t next = loop_next_us(loop), now = loop_clock_us(loop);
    if (next == INT64_MAX)
        return poll_until(loop, -1);
    if (loop->n_outside > 0 && poll_until(loop, in_poller_time((next - now + 999) / 1000)))
        return true;
    loop_move_fake_clock(loop, next);
    return true;
}

/* One round of the tasks in each turn, so that tests know what to expect. */
static NO_INLINE bool turn_fake(struct loop *loop, bool wait, bool done)
{
    done |= !list_is_empty(&loop->ready);
    run_ready(loop, list_length(&loop->ready));
    done |= poll_fake(loop, wait && !done);
    fire_all(loop);
    return done;
}

static bool turn_real(struct loop *loop, bool wait, bool done)
{
    done |= !list_is_empty(&loop->ready);
    if (done) {
        if (wait) {
            run_for_a_while(loop);
        } else {
            run_ready(loop, list_length(&loop->ready));
            loop_look_at_clock(loop);
        }
        let_time_pass(loop);
        /* Then the next turn waits; to ask the poller now would mostly be for nothing. */
        if (wait && list_is_empty(&loop->ready) && !loop->calls_due)
            return true;
    }
    done |= poll_until(loop, timeout_of(loop, wait && !done));
    loop_look_at_clock(loop);
    if (list_is_empty(&loop->ready)) /* else after those that have been woken */
        let_time_pass(loop);
    return done;
}

bool loop_turn(struct loop *loop, bool wait)
{
    bool done = UNLIKELY(loop->calls_due) && calls_run(loop);
    done = UNLIKELY(loop->fake_time) ? turn_fake(loop, wait, done) : turn_real(loop, wait, done);
    if (UNLIKELY(sink_is_waiting()))
        write_logs(loop);
    if (UNLIKELY(loop_is_warm(loop)))
        cool_later(loop);
    return done;
}

struct root {
    tepal_task_fn *fn;
    void *arg;
    int result;
    bool ended;
};

static int run_root(void *arg)
{
    struct root *root = arg;
    root->result = root->fn(root->arg);
    root->ended = true;
    return root->result;
}

static void abandon_tasks(struct loop *loop)
{
    tepal_logf(TEPAL_LOG_ERROR, "%zu task%s did not end in time, and %s left as they are",
               loop->n_tasks, loop->n_tasks == 1 ? "" : "s", loop->n_tasks == 1 ? "is" : "are");
    while (!list_is_empty(&loop->tasks))
        task_abandon(loop, CONTAINER_OF(loop->tasks.next, struct tepal_task, in_loop));
}

/* Somebody who looks at the terminal wants to know why the program does not end. */
static void on_long_end(struct timer *timer)
{
    (void)timer;
    struct loop *loop = loop_current;
    char name[512];
    if (list_is_empty(&loop->tasks))
        return;
    inspect_name(CONTAINER_OF(loop->tasks.next, struct tepal_task, in_loop), name, sizeof(name));
    tepal_logf(TEPAL_LOG_WARNING, "at the end %zu task%s still waited for; the first is %s",
               loop->n_tasks, loop->n_tasks == 1 ? " is" : "s are", name);
}

static void end_tasks(struct loop *loop)
{
    enum { LONG_MS = 5000 };
    struct timer timer;
    loop->ending = loop->stacks.ending = true;
    timer_init(&timer, on_long_end);
    int64_t long_after = loop_time_in(loop, LONG_MS);
    timer_set(&loop->timers, &timer, loop->end_until < long_after ? loop->end_until : long_after);
    /* Each turn again: what is cancelled may still start something. */
    for (; loop->n_tasks > 0; loop_turn(loop, true)) {
        group_cancel_all(loop);
        if (loop->end_until <= loop->now)
            abandon_tasks(loop);
        else if (!timer_is_set(&timer) && loop->end_until != TEPAL_NEVER)
            timer_set(&loop->timers, &timer, loop->end_until);
    }
    timer_cancel(&timer);
}

void loop_finish(struct loop *loop)
{
    end_tasks(loop);
    calls_end(loop);
    end_tasks(loop); /* that the last calls have started */
    group_report_all(loop);
}

int loop_run(struct loop *loop, int (*fn)(void *), void *arg)
{
    struct root root = { .fn = fn, .arg = arg };
    struct tepal_task *task = task_new(loop, run_root, &root, "main", 0);
    if (!task)
        return -ENOMEM;
    task_start(loop, task);
    while (!root.ended)
        loop_turn(loop, true);
    loop_finish(loop);
    return root.result;
}

int tepal_main(tepal_task_fn *fn, const void *arg)
{
    if (!fn)
        misuse("tepal_main", "the function is NULL");
    struct loop *loop = mem_alloc(sizeof(*loop));
    int rc = loop ? loop_open(loop, 0) : -ENOMEM;
    if (rc == 0) {
        rc = loop_run(loop, fn, (void *)arg);
        loop_close(loop);
    }
    mem_free(loop);
    return rc;
}
