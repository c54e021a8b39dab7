/* The watchdog. Its thread looks at the clock, and sends the loop's thread a signal when a task has
 * held the loop for too long. The handler, which runs in the midst of that task, notes the task's
 * name and back-trace; the watchdog's thread then does what a handler must not: it writes. */
#include "async/debug/watchdog.h"

#include "async/loop/loop.h"
#include "async/task/task.h"
#include "async/thread/thread.h"
#include "async/debug/trace.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { NAME_SIZE = 128, LOOKS = 4 /* at the clock, in the time that is allowed */ };

/* Who may write the sample: the handler between ASKED and TAKEN, the thread otherwise. */
enum progress { IDLE, ASKED, TAKEN };

struct watchdog {
    pthread_t thread, watched;
    int signal;
    int bell; /* an eventfd: something is taken, or the end has come */
    int64_t slow_us;
    _Atomic(uint64_t) run;      /* the number of the run that is under way; 0: none */
    _Atomic(int64_t) run_since; /* us */
    uint64_t n_runs;            /* the watched thread's own */
    atomic_bool closing;
    atomic_int progress; /* enum progress */
    uint64_t asked_run;  /* the sample: of this run */
    int64_t held_us;     /* 0: it was over */
    char name[NAME_SIZE];
    struct trace trace;
};

static int64_t clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void ring(struct watchdog *w)
{
    uint64_t one = 1;
    if (write(w->bell, &one, sizeof(one)) < 0)
        return; /* it rings already */
}

/* --- In the watched thread -------------------------------------------------------------------- */

void watchdog_begin(struct watchdog *w, int64_t now_us)
{
    if (!w)
        return;
    atomic_store(&w->run_since, now_us);
    atomic_store(&w->run, ++w->n_runs);
}

void watchdog_end(struct watchdog *w)
{
    if (!w)
        return;
    atomic_store(&w->run, 0);
    while (atomic_load(&w->progress) == TAKEN) /* what is said of its end must come later */
        usleep(100);
}

static void take(struct watchdog *w)
{
    const struct tepal_task *task = loop_current->current;
    w->held_us = 0;
    if (!task || atomic_load(&w->run) != w->asked_run)
        return;
    w->held_us = clock_us() - atomic_load(&w->run_since);
    size_t len = strnlen(task->name, NAME_SIZE - 1);
    memcpy(w->name, task->name, len);
    w->name[len] = '\0';
    trace_interrupted(&w->trace);
}

static void on_sample(int signal)
{
    (void)signal;
    int before = errno;
    struct watchdog *w = watchdog_current();
    if (w && atomic_load(&w->progress) == ASKED) {
        take(w);
        atomic_store(&w->progress, TAKEN);
        ring(w);
    }
    errno = before;
}

/* Those who watch by each signal, and what was there before the first of them. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static size_t n_watching[NSIG];
static struct sigaction handlers_before[NSIG];

static bool is_plain_handler(const struct sigaction *action, void (*handler)(int))
{
    return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == handler;
}

/* The signal is ours when the program leaves it at what is the default, or ignores it. */
static int install(int signal)
{
    struct sigaction now, action = { .sa_handler = on_sample, .sa_flags = SA_RESTART | SA_ONSTACK };
    sigemptyset(&action.sa_mask);
    if (sigaction(signal, NULL, &now) < 0)
        return -errno;
    if (is_plain_handler(&now, on_sample)) /* of another loop, or one that was left */
        return 0;
    if (!is_plain_handler(&now, SIG_DFL) && !is_plain_handler(&now, SIG_IGN))
        return -EBUSY;
    handlers_before[signal] = now;
    return sigaction(signal, &action, NULL) == 0 ? 0 : -errno;
}

static int begin_watching(int signal)
{
    pthread_mutex_lock(&mutex);
    int rc = install(signal);
    if (rc == 0)
        n_watching[signal]++;
    pthread_mutex_unlock(&mutex);
    return rc;
}

/* Puts back what was there. Where a last signal still waits until the program unblocks it, the
 * handler stays for that. */
static void end_watching(int signal)
{
    struct sigaction now;
    sigset_t pending;
    pthread_mutex_lock(&mutex);
    if (--n_watching[signal] == 0 && sigpending(&pending) == 0 && !sigismember(&pending, signal) &&
        sigaction(signal, NULL, &now) == 0 && is_plain_handler(&now, on_sample))
        sigaction(signal, &handlers_before[signal], NULL);
    pthread_mutex_unlock(&mutex);
}

/* --- In the watchdog's thread ----------------------------------------------------------------- */

static void report(const struct watchdog *w)
{
    tepal_logf(TEPAL_LOG_WARNING,
               "task \"%s\" has held the loop for %lld ms, and still does, at:", w->name,
               (long long)(w->held_us / 1000));
    for (size_t i = 0; i < w->trace.n; i++) {
        char text[512];
        trace_describe(w->trace.at[i], text, sizeof(text));
        tepal_logf(TEPAL_LOG_WARNING, "  #%zu %s", i, text);
    }
}

/* Asks for a sample when a run has taken limit_us. Returns whether it did. */
static bool look(struct watchdog *w, uint64_t run, int64_t limit_us)
{
    int64_t since = atomic_load(&w->run_since);
    if (run == 0 || run != atomic_load(&w->run) || clock_us() - since < limit_us)
        return false;
    w->asked_run = run;
    atomic_store(&w->progress, ASKED);
    pthread_kill(w->watched, w->signal);
    return true;
}

static void *thread_main(void *arg)
{
    struct watchdog *w = arg;
    uint64_t seen = 0, rings;
    int64_t limit_us = 0;
    int64_t pause_ms = w->slow_us / 1000 / LOOKS + 1;
    struct pollfd bell = { .fd = w->bell, .events = POLLIN };
    while (!atomic_load(&w->closing)) {
        if (poll(&bell, 1, pause_ms < INT_MAX ? (int)pause_ms : INT_MAX) > 0 &&
            read(w->bell, &rings, sizeof(rings)) < 0)
            continue;
        int progress = atomic_load(&w->progress);
        if (progress == TAKEN) {
            if (w->held_us > 0)
                report(w);
            atomic_store(&w->progress, IDLE);
        }
        uint64_t run = atomic_load(&w->run);
        if (run != seen)
            limit_us = w->slow_us;
        seen = run;
        if (progress != ASKED && look(w, run, limit_us))
            limit_us = limit_us < INT64_MAX / 10 ? limit_us * 10 : INT64_MAX; /* and no sooner */
    }
    return NULL;
}

/* --- Its life --------------------------------------------------------------------------------- */

int watchdog_open(struct watchdog **watchdog, int64_t slow_us, int signal)
{
    int rc = begin_watching(signal);
    if (rc < 0)
        return rc;
    struct watchdog *w = mem_zalloc(sizeof(*w));
    if (!w) {
        end_watching(signal);
        return -ENOMEM;
    }
    trace_prepare();
    w->watched = pthread_self();
    w->signal = signal;
    w->slow_us = slow_us;
    w->bell = fd_keep(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    rc = w->bell < 0 ? -errno : thread_start(&w->thread, thread_main, w);
    if (rc < 0) {
        if (w->bell >= 0)
            close(w->bell);
        end_watching(signal);
        mem_free(w);
        return rc;
    }
    *watchdog = w;
    return 0;
}

void watchdog_close(struct watchdog *w)
{
    if (!w)
        return;
    atomic_store(&w->closing, true);
    ring(w);
    pthread_join(w->thread, NULL);
    end_watching(w->signal);
    close(w->bell);
    mem_free(w);
}
