/* Debug mode. It stands around each run of a task, and at the end of the loop. */
#include "async/debug/debug.h"

#include "async/task/group.h"
#include "async/debug/inspect.h"
#include "async/debug/trace.h"
#include "async/debug/watchdog.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEFAULT_SLOW_MS = 50 };

static int64_t clock_us(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Of the calling thread. */
struct watchdog *watchdog_current(void)
{
    return loop_current && loop_current->debug ? loop_current->debug->watchdog : NULL;
}

/* --- Switching it on -------------------------------------------------------------------------- */

static void unwatch(struct debug *debug)
{
    struct watchdog *watchdog = debug->watchdog;
    debug->watchdog = NULL; /* first: a last signal may be on its way */
    watchdog_close(watchdog);
}

static void watch(struct debug *debug, const tepal_debug_options *options)
{
    unwatch(debug);
    if (options->no_live_report || debug->slow_us == TEPAL_NEVER)
        return;
    int rc =
        watchdog_open(&debug->watchdog, debug->slow_us, options->signal ? options->signal : SIGURG);
    if (rc < 0)
        tepal_logf(TEPAL_LOG_WARNING, "debug mode reports slow tasks only at their end: %s",
                   rc == -EBUSY ? "the program handles the signal itself" : tepal_code_text(rc));
}

int tepal_debug(const tepal_debug_options *options)
{
    static const tepal_debug_options defaults;
    struct loop *loop = loop_need("tepal_debug");
    options = options ? options : &defaults;
    int rc = room_check("tepal_debug", options->later, sizeof(options->later));
    if (rc < 0)
        return rc;
    struct debug *debug = loop->debug;
    if (!debug) {
        debug = mem_zalloc(sizeof(*debug));
        if (!debug)
            return -ENOMEM;
        census_init(&debug->census, 0);
        loop->debug = debug;
        for (struct list *node = loop->tasks.next; node != &loop->tasks; node = node->next)
            CONTAINER_OF(node, struct tepal_task, in_loop)->via_loop = true;
    }
    int64_t slow_ms = options->slow_ms > 0 ? options->slow_ms : DEFAULT_SLOW_MS;
    debug->slow_us = slow_ms < TEPAL_NEVER / 1000 ? slow_ms * 1000 : TEPAL_NEVER;
    debug->census.max_names = options->max_names ? options->max_names : CENSUS_MAX_NAMES;
    watch(debug, options);
    return 0;
}

void debug_open(struct loop *loop)
{
    (void)loop;
    const char *wanted = getenv("TEPAL_DEBUG");
    if (wanted && *wanted && strcmp(wanted, "0") != 0 && tepal_debug(NULL) < 0)
        tepal_log(TEPAL_LOG_WARNING, "no memory for debug mode");
}

/* --- A run of a task -------------------------------------------------------------------------- */

static void report(const struct tepal_task *task, int64_t held_us, int64_t computed_us)
{
    char name[512];
    inspect_name(task, name, sizeof(name));
    tepal_logf(TEPAL_LOG_WARNING, "task %s held the loop for %lld ms, %lld of them computing", name,
               (long long)(held_us / 1000), (long long)(computed_us / 1000));
}

void debug_run(struct loop *loop, struct tepal_task *task)
{
    if (!task->begun)
        stack_refresh(task->stack, task->ctx.sp);
    int64_t computed = clock_us(CLOCK_THREAD_CPUTIME_ID), since = clock_us(CLOCK_MONOTONIC);
    watchdog_begin(loop->debug->watchdog, since);
    ctx_switch(&loop->ctx, &task->ctx);
    loop->current = NULL;
    struct debug *debug = loop->debug;
    watchdog_end(debug->watchdog);
    int64_t held = clock_us(CLOCK_MONOTONIC) - since;
    if (held >= debug->slow_us)
        report(task, held, clock_us(CLOCK_THREAD_CPUTIME_ID) - computed);
    if (!task->fn) /* it has ended */
        census_add_task(&debug->census, task);
}

/* --- The end of the loop ---------------------------------------------------------------------- */

static void report_group(const tepal_group *group)
{
    char place[256];
    if (group->made_at == 0) /* debug mode was off then */
        return;
    trace_describe(group->made_at, place, sizeof(place));
    tepal_logf(TEPAL_LOG_WARNING, "a group that task \"%s\" made at %s was not closed",
               group->made_by, place);
}

static void report_groups(const struct loop *loop)
{
    enum { MOST = 10 };
    size_t n = 0;
    for (const struct list *node = loop->groups.next; node != &loop->groups; node = node->next)
        if (n++ < MOST)
            report_group(CONTAINER_OF(node, struct tepal_group, node));
    if (n > 0)
        tepal_logf(TEPAL_LOG_WARNING, "%zu group%s not closed when the loop ended", n,
                   n == 1 ? " was" : "s were");
}

/* What is still registered with the poller now belongs to somebody who did not close it. */
static void report_descriptors(const struct loop *loop)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", loop->poller.fd);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    int fd;
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "tfd: %d", &fd) == 1)
            tepal_logf(TEPAL_LOG_WARNING,
                       "what waits on fd %d was not closed when the loop ended (a connection or a "
                       "listener)",
                       fd);
    fclose(f);
}

void debug_close(struct loop *loop)
{
    struct debug *debug = loop->debug;
    if (!debug)
        return;
    unwatch(debug);
    report_groups(loop);
    report_descriptors(loop);
    census_tell(&debug->census, NULL, NULL);
    census_clear(&debug->census);
    mem_free(debug);
    loop->debug = NULL;
}
