/* The dump of all tasks, by call and by signal. It reads what the tasks have noted when they began
 * to wait, and unwinds their stacks where they lie: no task runs for it. */
#include "async/debug/inspect.h"

#include "async/signal/signal_source.h"
#include "async/task/task.h"
#include "async/debug/trace.h"
#include "base/log.h"
#include "base/mem.h"

#include <tepal/inspect.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_LEN = 1024, KNOWN_TRACES = 32 };

/* A back-trace that was said already. */
struct known {
    uint64_t hash;
    size_t number; /* of its task */
};

struct dump {
    tepal_line_fn *fn;
    void *arg;
    struct loop *loop;
    int64_t now;   /* ms */
    size_t number; /* of the present task */
    struct trace trace;
    struct known known[KNOWN_TRACES]; /* the last ones, in a ring */
    size_t n_known;
    char line[LINE_MAX_LEN]; /* that is being put together */
    size_t len;
};

/* --- Lines ------------------------------------------------------------------------------------ */

static void TEPAL_PRINTF(2, 3) add(struct dump *dump, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = sizeof(dump->line) - dump->len;
    int n = vsnprintf(dump->line + dump->len, room, format, args);
    va_end(args);
    if (n > 0)
        dump->len += (size_t)n < room ? (size_t)n : room - 1;
}

static void end_line(struct dump *dump)
{
    char text[LINE_MAX_LEN];
    log_escape(text, sizeof(text), dump->line, dump->len);
    dump->len = 0;
    dump->line[0] = '\0';
    dump->fn(text, dump->arg);
}

static void line_to_log(const char *line, void *arg)
{
    (void)arg;
    tepal_log(TEPAL_LOG_WARNING, line);
}

/* --- Tasks ------------------------------------------------------------------------------------ */

void inspect_name(const struct tepal_task *task, char *text, size_t size)
{
    int n = snprintf(text, size, "\"%s\"", task->name);
    if (!task->describe || !task->describe_arg || n < 0 || (size_t)n + 4 >= size)
        return;
    char *at = text + n;
    size_t room = size - (size_t)n - 1; /* for the bracket at the end */
    memcpy(at, " (", 3);
    task->describe(task->describe_arg, at + 2, room - 2);
    if (at[2])
        strcat(at, ")");
    else
        *at = '\0';
}

static void add_wait(struct dump *dump, const struct tepal_task *task)
{
    add(dump, "%s for %lld ms (%s", task->interruptible ? "waiting" : "shielded",
        (long long)(dump->now - task->waits_since), task->waits_for);
    if (task->waits_fd >= 0)
        add(dump, " fd %d", task->waits_fd);
    add(dump, ")");
    if (timer_is_set(&task->timer) && task->timer.at != task->deadline)
        add(dump, ", for %lld ms more at most", (long long)(task->timer.at - dump->now));
}

static void add_state(struct dump *dump, const struct tepal_task *task)
{
    if (task == dump->loop->current)
        add(dump, "running");
    else if (!task->begun)
        add(dump, "not begun");
    else if (task->waiting)
        add_wait(dump, task);
    else if (timer_is_set(&task->timer))
        add(dump, "made to pause, for it goes on though its calls are refused");
    else
        add(dump, "ready to run");
    if (task->deadline != TEPAL_NEVER)
        add(dump, ", deadline in %lld ms", (long long)(task->deadline - dump->now));
    if (task->cancelled)
        add(dump, ", cancelled");
}

/* The number of a task whose back-trace was the same, or 0. A thousand clients may wait at one
 * place. */
static size_t same_as(struct dump *dump)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < dump->trace.n; i++)
        hash = (hash ^ dump->trace.at[i]) * 0x100000001b3u;
    for (size_t i = 0; i < KNOWN_TRACES; i++)
        if (dump->known[i].number > 0 && dump->known[i].hash == hash)
            return dump->known[i].number;
    dump->known[dump->n_known++ % KNOWN_TRACES] =
        (struct known){ .hash = hash, .number = dump->number };
    return 0;
}

static void dump_trace(struct dump *dump)
{
    size_t same = dump->trace.n > 1 ? same_as(dump) : 0;
    if (same > 0) {
        add(dump, "  back-trace as that of task %zu", same);
        end_line(dump);
        return;
    }
    for (size_t i = 0; i < dump->trace.n; i++) {
        char text[LINE_MAX_LEN / 2];
        trace_describe(dump->trace.at[i], text, sizeof(text));
        add(dump, "  #%zu %s", i, text);
        end_line(dump);
    }
    if (dump->trace.cut) {
        add(dump, "  ... and more");
        end_line(dump);
    }
}

static NO_INLINE void dump_task(struct dump *dump, const struct tepal_task *task)
{
    char name[LINE_MAX_LEN / 2];
    const struct stack *stack = task->stack;
    inspect_name(task, name, sizeof(name));
    add(dump, "task %zu %s: ", ++dump->number, name);
    add_state(dump, task);
    add(dump, ", %zu of %zu octets of stack", stack_used(stack), (size_t)(stack->top - stack->low));
    end_line(dump);
    if (!task->begun)
        return;
    if (task == dump->loop->current)
        trace_here(&dump->trace, (uintptr_t)dump_task);
    else
        trace_left(&dump->trace, &task->ctx, stack->low);
    dump_trace(dump);
}

void tepal_dump_tasks(tepal_line_fn *fn, const void *arg)
{
    struct loop *loop = loop_need("tepal_dump_tasks");
    struct dump dump = {
        .fn = fn ? fn : line_to_log,
        .arg = (void *)arg,
        .loop = loop,
        .now = loop_clock_us(loop) / 1000,
    };
    add(&dump, "%zu task%s", loop->n_tasks, loop->n_tasks == 1 ? "" : "s");
    end_line(&dump);
    for (struct list *node = loop->tasks.next; node != &loop->tasks; node = node->next)
        dump_task(&dump, CONTAINER_OF(node, struct tepal_task, in_loop));
}

/* --- By signal -------------------------------------------------------------------------------- */

struct dump_signal {
    struct signal_receiver receiver;
};

static void on_dump_signal(struct signal_receiver *receiver, int number, unsigned n)
{
    (void)receiver;
    (void)number;
    (void)n;
    tepal_dump_tasks(NULL, NULL);
}

static int dump_signal_open(struct loop *loop)
{
    if (loop->dump_signal)
        return 0;
    struct dump_signal *d = mem_zalloc(sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->receiver.fn = on_dump_signal;
    loop->dump_signal = d;
    return 0;
}

int tepal_dump_on_signal(int signal)
{
    struct loop *loop = loop_need("tepal_dump_on_signal");
    if (!signal_can_be_received(signal))
        misuse("tepal_dump_on_signal", "not a signal that can be received");
    int rc = dump_signal_open(loop);
    return rc < 0 ? rc : signal_receiver_add(loop, &loop->dump_signal->receiver, signal);
}

void dump_signal_close(struct loop *loop)
{
    struct dump_signal *d = loop->dump_signal;
    if (!d)
        return;
    signal_receiver_close(loop, &d->receiver);
    mem_free(d);
    loop->dump_signal = NULL;
}
