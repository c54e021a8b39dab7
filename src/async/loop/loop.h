/* The event loop of a thread: its ready tasks, timers, poller, stacks, buffers and clock.
 *
 * One loop, one thread, no locks. Everything above reaches it by loop_current, which is NULL in a
 * thread that runs none.
 */
#ifndef TEPAL_ASYNC_LOOP_LOOP_H
#define TEPAL_ASYNC_LOOP_LOOP_H

#include "async/stack/ctx.h"
#include "async/loop/poll.h"
#include "async/stack/stack.h"
#include "async/loop/timer.h"
#include "base/block.h"
#include "base/list.h"
#include "base/platform.h"

#include <tepal/loop.h>
#include <tepal/thread.h>

#include <stdbool.h>
#include <stdint.h>

struct tepal_task;
struct debug;
struct dump_signal;
struct microtimers;
struct signal_source;

/* Something that a higher layer keeps with the loop: made at first use, closed with the loop. Its
 * function tells what it is. */
struct loop_part {
    struct list node;
    void (*close)(struct loop_part *part); /* frees it; no task is left then */
};

/* Something that the running task has begun, and that is finished when it leaves: when it waits,
 * gives way or ends. fn may not suspend. */
struct leaving {
    struct list node; /* in the loop's list */
    void (*fn)(struct leaving *leaving);
};

/* The size of an I/O buffer, and of the first chunk of a request's arena. */
enum { LOOP_BUFFER_SIZE = 16 * 1024, LOOP_CHUNK_SIZE = 8 * 1024 };

struct loop {
    struct ctx ctx;             /* of the loop itself, while a task runs */
    struct tepal_task *current; /* the task that runs; NULL while the loop itself does */
    struct list ready;          /* tasks that run in this turn or the next, in order */
    struct list leaving;        /* what is to be done when the running task leaves */
    size_t n_to_run;            /* how many more of them before the loop looks at the clock */
    bool turn_over;             /* then it ends the turn, however short that was */
    struct timers timers;
    struct poller poller;
    int64_t now_us;   /* as of the end of the last turn */
    int64_t now;      /* ms, as of when the loop last came back from waiting, or later */
    int64_t polled;   /* when the poller was asked last, or first of a series; see n_full */
    int64_t due;      /* timers and deadlines up to then are over: what had come by then is read */
    size_t n_full;    /* so often in a row the poller had more to tell than it could */
    bool fake_time;   /* now moves only when nothing else can happen */
    int64_t fake_us;  /* then it is so many microseconds later than now */
    size_t n_outside; /* waits for something outside of the process that takes its time: a fake
                           clock goes no faster than the real one meanwhile */
    size_t n_tasks;   /* that have not ended */
    bool ending;      /* the first task has: the others are to, too */
    bool guest;       /* of another loop, that of the program: see guest.c */
    bool forked;      /* this is a copy in a child of fork(): nothing runs in it */
    bool leave_threads; /* tasks were abandoned: the calls they wait for are not waited for */
    int64_t end_until;  /* when those that have not by then are abandoned; TEPAL_NEVER: never */
    struct list tasks;  /* the same */
    struct list groups; /* of tasks, that have not been closed */
    struct stack_pool stacks;
    struct timer logs;    /* set while lines of a log wait to be written */
    struct timer cooling; /* set while more is idle than the pools are to keep warm */
    struct block_pool buffers, chunks;
    tepal_pool *pool;                /* of threads; made at first use */
    struct microtimers *microtimers; /* the same */
    tepal_loop *calls;               /* the same */
    bool calls_due;                  /* there may be some to run */
    bool in_call;                    /* one of them runs */
    struct list pools;               /* that one, and those of the program */
    struct list parts;
    uint64_t random;                     /* of select, for being fair */
    struct debug *debug;                 /* NULL: it is off; see debug.h */
    struct dump_signal *dump_signal;     /* made at first use; see inspect.h */
    struct signal_source *signal_source; /* the same */
};

extern _Thread_local struct loop *loop_current __attribute__((tls_model("initial-exec")));

/* Makes loop the current thread's. stack_size: of its tasks, 0 is the default. Returns 0, -EBUSY
 * when the thread has one already, or another negative errno. */
int loop_open(struct loop *loop, size_t stack_size);

/* Ends the loop. No task may be left. */
void loop_close(struct loop *loop);

/* Runs one turn: the ready tasks, the timers that are due, and what the poller reports. Waits for
 * the latter if nothing is ready, but not with wait false. Returns false when nothing was done. */
bool loop_turn(struct loop *loop, bool wait);

/* Whether this is a child of fork(), in which no task runs any more. What it has inherited it
 * may close: nobody waits for it there, and nothing of it may reach others, as it is the
 * parent's, too. */
static inline bool loop_is_forked(void)
{
    return loop_current && loop_current->forked;
}

/* Has the function called once when the running task leaves. leaving is zeroed before the first
 * use, and stays until then. */
static inline void loop_at_leaving(struct loop *loop, struct leaving *leaving)
{
    if (!leaving->node.next || !list_is_linked(&leaving->node))
        list_append(&loop->leaving, &leaving->node);
}

/* Lets this turn end as soon as the running task waits: something has to be done before the next
 * one runs. */
static inline void loop_end_turn(struct loop *loop)
{
    loop->n_to_run = 0;
    loop->turn_over = true;
}

/* Runs fn(arg) as a task, and the loop until no task is left. Returns the result of fn, or
 * -ENOMEM. */
int loop_run(struct loop *loop, int (*fn)(void *), void *arg);

/* Cancels and joins all tasks that are left, and runs the calls that are. At the time end_until of
 * the loop, if it has one, what still runs is abandoned. */
void loop_finish(struct loop *loop);

/* Adds a part, which is closed by loop_close(): the latest first. */
void loop_add_part(struct loop *loop, struct loop_part *part);

/* The part that this function closes, or NULL. There are few: it is a walk along the list. */
struct loop_part *loop_find_part(const struct loop *loop, void (*close)(struct loop_part *part));

/* Whether more is idle than the pools keep warm in any case. */
static inline bool loop_is_warm(const struct loop *loop)
{
    return stack_pool_is_warm(&loop->stacks) || block_pool_is_warm(&loop->buffers) ||
           block_pool_is_warm(&loop->chunks);
}

/* The loop of the calling thread; misuse, named call, when there is none. */
struct loop *loop_need(const char *call);

/* Looks at the clock, after something that may have taken its time. */
void loop_look_at_clock(struct loop *loop);

/* The clock in microseconds: the loop's, when its time is fake. */
int64_t loop_clock_us(const struct loop *loop);

/* Whether a time is over. After a stall it is not before what had come by then could be read. */
static inline bool loop_is_past(const struct loop *loop, int64_t at)
{
    return at <= loop->now && (loop->fake_time || at <= loop->due);
}
/* A time that is not after the first timer's, in microseconds; INT64_MAX when none is set. */
int64_t loop_next_us(struct loop *loop);

/* Moves a fake clock to that time, and fires what is due by then. */
void loop_move_fake_clock(struct loop *loop, int64_t to_us);

/* The time ms milliseconds after the time from, or TEPAL_NEVER. */
static inline int64_t loop_time_after(int64_t from, int64_t ms)
{
    return ms < TEPAL_NEVER - from ? from + ms : TEPAL_NEVER;
}

/* The time ms milliseconds after this very moment, not after the beginning of the turn, and never
 * too early; or TEPAL_NEVER. */
static inline int64_t loop_time_in(const struct loop *loop, int64_t ms)
{
    return ms == TEPAL_NEVER ? ms : loop_time_after((loop_clock_us(loop) + 999) / 1000, ms);
}

#endif
