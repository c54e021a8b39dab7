/* The buffers, when they are written, and what is said of lines that were lost. How a write is done
 * without waiting is outlet.c's. */
#include "base/sink.h"

#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Lines are collected until there are so many octets, or for so many milliseconds. */
enum { BATCH = 24 * 1024, BATCH_MS = 5 };

/* Between two attempts while there is no room, or an error: from so many ms to so many. */
enum { FIRST_PAUSE_MS = 1, LONGEST_PAUSE_MS = 100 };

struct sink {
    struct outlet outlet;
    struct list node;
    int number; /* of the descriptor, as the program knows it */
    char *data; /* whole lines from start to end, of the first of which torn octets are out */
    size_t start, end, size, torn;
    int error;          /* of the last attempt; 0: all went out */
    int64_t pause_ms;   /* after an attempt that failed */
    int64_t written_ms; /* when the last attempt was made */
    bool gave_up;       /* its reader has been waited for at the end, for long enough */
    uint64_t lost;      /* lines, since the last that was said of them */
    int lost_error;     /* why */
    char first[32 * 1024];
};

bool sink_waiting;

/* One lock for all: there is seldom more than one sink, and it is held for a copy, or one write. It
 * is taken before fork(), so that the child does not find it taken by a thread that it has not. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list sinks = { .next = &sinks, .prev = &sinks };
static struct sink standard[2]; /* for 1 and 2 */
static size_t max_waiting = SINK_MAX_DEFAULT;

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- Life ------------------------------------------------------------------------------------- */

static void empty(struct sink *sink)
{
    if (sink->data != sink->first)
        mem_free(sink->data);
    sink->data = sink->first;
    sink->size = sizeof(sink->first);
    sink->start = sink->end = sink->torn = 0;
}

static void init(struct sink *sink, int number, int fd)
{
    sink->number = number;
    outlet_init(&sink->outlet, fd);
    sink->data = sink->first;
    empty(sink);
    list_append(&sinks, &sink->node);
}

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

/* What waits is the parent's to write. */
static void in_child(void)
{
    for (struct list *node = sinks.next; node != &sinks; node = node->next) {
        struct sink *sink = CONTAINER_OF(node, struct sink, node);
        outlet_clear(&sink->outlet);
        empty(sink);
        sink->lost = 0;
    }
    sink_waiting = false;
    pthread_mutex_unlock(&lock);
}

static void begin(void)
{
    init(&standard[0], STDOUT_FILENO, STDOUT_FILENO);
    init(&standard[1], STDERR_FILENO, STDERR_FILENO);
    pthread_atfork(before_fork, after_fork, in_child);
}

static void begin_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, begin);
}

struct sink *sink_of_errors(void)
{
    begin_once();
    return &standard[1];
}

int sink_open(struct sink **out, int fd)
{
    begin_once();
    if (fd == STDOUT_FILENO || fd == STDERR_FILENO) {
        *out = &standard[fd - STDOUT_FILENO];
        return 0;
    }
    struct sink *sink = mem_alloc(sizeof(*sink));
    if (!sink)
        return -ENOMEM;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, FD_FIRST);
    if (own < 0 && errno != EBADF) {
        int rc = -errno;
        mem_free(sink);
        return rc;
    }
    memset(sink, 0, offsetof(struct sink, first));
    pthread_mutex_lock(&lock);
    init(sink, fd, own);
    pthread_mutex_unlock(&lock);
    *out = sink;
    return 0;
}

void sink_set_max(size_t octets)
{
    pthread_mutex_lock(&lock);
    max_waiting = octets == 0               ? SINK_MAX_DEFAULT
                  : octets < SINK_MAX_LEAST ? SINK_MAX_LEAST
                                            : octets;
    pthread_mutex_unlock(&lock);
}

/* --- Writing ---------------------------------------------------------------------------------- */

static size_t waiting(const struct sink *sink)
{
    return sink->end - sink->start;
}

/* n octets more are out. */
static void advance(struct sink *sink, size_t n)
{
    const char *from = sink->data + sink->start, *out = from + sink->torn + n;
    const char *last = memrchr(from + sink->torn, '\n', n);
    if (last) {
        sink->start += (size_t)(last + 1 - from);
        from = last + 1;
    }
    sink->torn = (size_t)(out - from);
}

/* Writes until all is out, or no more can be. Fit for a signal handler. */
static ssize_t drain(struct sink *sink)
{
    ssize_t rc = outlet_begin(&sink->outlet, sink->torn > 0);
    if (!sink->outlet.same)
        sink->torn = 0; /* the whole line again, to where it has not been begun */
    while (rc >= 0 && waiting(sink) > 0) {
        rc = outlet_write(&sink->outlet, sink->data + sink->start + sink->torn,
                          waiting(sink) - sink->torn, sink->torn > 0);
        if (rc > 0)
            advance(sink, (size_t)rc);
    }
    outlet_end(&sink->outlet, rc, sink->torn > 0);
    return rc;
}

static void attempt(struct sink *sink)
{
    int state;
    size_t before = waiting(sink) - sink->torn;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* not with the lock */
    ssize_t rc = drain(sink);
    pthread_setcancelstate(state, NULL);
    sink->written_ms = now_ms();
    sink->error = rc < 0 ? (int)rc : 0;
    if (sink->error)
        sink->lost_error = sink->error;
    bool moved = rc >= 0 || waiting(sink) - sink->torn < before;
    if (waiting(sink) == 0)
        empty(sink);
    if (moved)
        sink->gave_up = false;
    if (moved)
        sink->pause_ms = FIRST_PAUSE_MS;
    else if (sink->pause_ms < LONGEST_PAUSE_MS)
        sink->pause_ms++;
}

static int64_t due_ms(const struct sink *sink)
{
    return sink->written_ms + (sink->error ? sink->pause_ms : BATCH_MS);
}

/* Each sink that has lines, if it is time. Returns when it is again, INT64_MAX for never. */
static int64_t attempt_all(bool at_once)
{
    int64_t now = now_ms(), next = INT64_MAX;
    for (struct list *node = sinks.next; node != &sinks; node = node->next) {
        struct sink *sink = CONTAINER_OF(node, struct sink, node);
        if (waiting(sink) > 0 && (at_once || due_ms(sink) <= now))
            attempt(sink);
        if (waiting(sink) > 0 && due_ms(sink) < next)
            next = due_ms(sink);
    }
    __atomic_store_n(&sink_waiting, next < INT64_MAX, __ATOMIC_RELAXED);
    return next;
}

/* --- What was lost ---------------------------------------------------------------------------- */

/* Of a sink of which it can be told, since there is room again: how many lines. */
static uint64_t take_lost(struct sink *sink)
{
    size_t most = sink->size < max_waiting ? sink->size : max_waiting;
    uint64_t n = waiting(sink) <= most / 2 ? sink->lost : 0;
    sink->lost -= n;
    return n;
}

static void say_lost(int number, uint64_t lost, int why)
{
    tepal_logf(TEPAL_LOG_WARNING, "%llu line%s of the log on descriptor %d %s lost: %s",
               (unsigned long long)lost, lost == 1 ? "" : "s", number, lost == 1 ? "was" : "were",
               why == -EAGAIN ? "its reader was too slow" : tepal_code_text(why));
}

static void tell(void)
{
    for (struct list *node = sinks.next; node != &sinks; node = node->next) {
        struct sink *sink = CONTAINER_OF(node, struct sink, node);
        uint64_t lost = take_lost(sink);
        if (lost > 0) {
            int number = sink->number, why = sink->lost_error;
            pthread_mutex_unlock(&lock);
            say_lost(number, lost, why);
            pthread_mutex_lock(&lock);
            node = &sinks; /* from the beginning: they may be others now */
        }
    }
}

/* --- Lines ------------------------------------------------------------------------------------ */

static bool make_room(struct sink *sink, size_t len)
{
    if (sink->size - sink->end >= len)
        return true;
    size_t kept = waiting(sink), size = 2 * sink->size;
    if (sink->start > 0) {
        memmove(sink->data, sink->data + sink->start, kept);
        sink->start = 0;
        sink->end = kept;
        if (sink->size - kept >= len)
            return true;
    }
    if (size > max_waiting)
        size = max_waiting;
    if (size < kept + len)
        return false;
    char *data = mem_resize(sink->data == sink->first ? NULL : sink->data, size);
    if (!data)
        return false;
    if (sink->data == sink->first)
        memcpy(data, sink->first, kept);
    sink->data = data;
    sink->size = size;
    return true;
}

static void put(struct sink *sink, const char *line, size_t len)
{
    /* What is lost is lost in one piece, and told where it would have been. */
    if (sink->lost > 0 || waiting(sink) + len > max_waiting || !make_room(sink, len)) {
        sink->lost++;
        return;
    }
    memcpy(sink->data + sink->end, line, len);
    sink->end += len;
}

void sink_put(struct sink *sink, const char *line, size_t len)
{
    pthread_mutex_lock(&lock);
    put(sink, line, len);
    if (UNLIKELY(waiting(sink) >= BATCH) && (!sink->error || due_ms(sink) <= now_ms())) {
        attempt(sink);
        tell();
    }
    __atomic_store_n(&sink_waiting, true, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lock);
}

void sink_write(struct sink *sink, const char *line, size_t len)
{
    pthread_mutex_lock(&lock);
    put(sink, line, len);
    if (!sink->error || due_ms(sink) <= now_ms())
        attempt(sink);
    tell();
    if (waiting(sink) > 0)
        __atomic_store_n(&sink_waiting, true, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lock);
}

int64_t sink_flush(bool at_once)
{
    pthread_mutex_lock(&lock);
    int64_t next = attempt_all(at_once), now = now_ms();
    tell();
    pthread_mutex_unlock(&lock);
    return next == INT64_MAX ? -1 : next > now ? next - now : 0;
}

/* --- The end ---------------------------------------------------------------------------------- */

/* A descriptor that has no room at the moment, -1 when there is none; give_up: no more is waited
 * for any of them. */
static int full_descriptor(bool give_up)
{
    int fd = -1;
    pthread_mutex_lock(&lock);
    for (struct list *node = sinks.next; node != &sinks; node = node->next) {
        struct sink *sink = CONTAINER_OF(node, struct sink, node);
        if (waiting(sink) == 0 || sink->error != -EAGAIN || sink->gave_up)
            continue;
        fd = sink->outlet.fd;
        sink->gave_up = give_up;
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

void sink_flush_within(int64_t ms)
{
    enum { LOOK_MS = 10 };
    int64_t until = now_ms() + ms;
    while (sink_is_waiting() && sink_flush(true) >= 0) {
        int64_t left = until - now_ms();
        struct pollfd out = { .fd = full_descriptor(left <= 0), .events = POLLOUT };
        if (out.fd < 0 || left <= 0)
            return;
        poll(&out, 1, left < LOOK_MS ? (int)left : LOOK_MS);
        usleep(100); /* there may be some room, but not enough */
    }
}

/* Also when the library is unloaded. */
static void __attribute__((destructor)) end(void)
{
    sink_flush_within(SINK_END_MS);
}

void sink_close(struct sink *sink)
{
    if (!sink || sink == &standard[0] || sink == &standard[1])
        return;
    pthread_mutex_lock(&lock);
    if (waiting(sink) > 0)
        attempt(sink);
    for (const char *p = sink->data + sink->start, *end = sink->data + sink->end; p < end; p++)
        sink->lost += *p == '\n';
    uint64_t lost = sink->lost;
    list_remove(&sink->node);
    pthread_mutex_unlock(&lock);
    if (lost > 0)
        say_lost(sink->number, lost, sink->lost_error);
    outlet_clear(&sink->outlet);
    if (sink->outlet.fd >= 0)
        close(sink->outlet.fd);
    empty(sink);
    mem_free(sink);
}

void sink_last_words(const char *text, size_t len)
{
    enum { PATIENCE_MS = 100 };
    struct outlet outlet;
    if (pthread_mutex_trylock(&lock) == 0) {
        for (struct list *node = sinks.next; node != &sinks; node = node->next) {
            struct sink *sink = CONTAINER_OF(node, struct sink, node);
            if (waiting(sink) > 0)
                drain(sink);
        }
        pthread_mutex_unlock(&lock);
    }
    struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (len == 0 || poll(&out, 1, PATIENCE_MS) <= 0)
        return;
    outlet_init(&outlet, STDERR_FILENO);
    ssize_t rc = outlet_begin(&outlet, false);
    if (rc == 0)
        rc = outlet_write(&outlet, text, len, false);
    outlet_end(&outlet, rc, false);
}
