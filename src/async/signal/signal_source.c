/* What the process has of the signals that are received: the handler, the counts, the descriptor
 * that it rings, and what was there before; and what each loop has: its receivers, and what it has
 * seen of the counts. The handler touches nothing but atomics, and makes system calls only. */
#include "async/signal/signal_source.h"

#include "async/loop/loop.h"
#include "base/crash.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* A second wish to end is one of its own when it comes so long after the first. */
enum { TWIN_MS = 150 };

/* Of a loop. All registered loops watch the one descriptor of the process. */
struct signal_source {
    struct io io;
    struct loop *loop;
    struct list receivers;
    unsigned seen[NSIG];
    unsigned n_wanting[NSIG];
    sigset_t unblocked; /* by us, in the loop's thread */
};

/* Of the process, under the mutex. */
static struct {
    pthread_mutex_t mutex;
    unsigned n_sources;
    unsigned n_wanting[NSIG];
    struct sigaction before[NSIG];
} process = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* What the handler knows. */
static atomic_uint counts[NSIG], n_handling, n_endings;
static atomic_int ring_fd = -1, owner;
static atomic_llong wish_ms; /* when the first wish to end came; 0: none has */

/* --- The handler ------------------------------------------------------------------------------ */

static long long clock_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The log may be what holds the loop: this waits for nobody for long. */
static _Noreturn void end_at_once(int number)
{
    struct crash_line line;
    crash_begin(&line, "warning");
    crash_add(&line, number == SIGINT ? "ending at once (INT)" : "ending at once (TERM)");
    crash_write(&line);
    _exit(1);
}

static void count_wish(int number)
{
    long long now = clock_ms(), none = 0;
    if (!atomic_compare_exchange_strong(&wish_ms, &none, now) && now - none >= TWIN_MS)
        end_at_once(number);
}

static void ring(void)
{
    uint64_t one = 1;
    int fd = atomic_load(&ring_fd);
    if (fd >= 0)
        (void)!write(fd, &one, sizeof(one));
}

static void handle_signal(int number)
{
    int error = errno;
    if (atomic_load(&owner) != getpid()) {
        /* A child, before it has put the program's handlers back. */
        signal(number, SIG_DFL);
        raise(number);
        errno = error;
        return;
    }
    atomic_fetch_add(&n_handling, 1);
    atomic_fetch_add(&counts[number], 1);
    if ((number == SIGINT || number == SIGTERM) && atomic_load(&n_endings) > 0)
        count_wish(number);
    ring();
    atomic_fetch_sub(&n_handling, 1);
    errno = error;
}

/* --- What the process has --------------------------------------------------------------------- */

static void close_ring(void)
{
    int fd = atomic_exchange(&ring_fd, -1);
    while (atomic_load(&n_handling) > 0) /* in another thread, which may be about to write */
        continue;
    close(fd);
}

/* One loop more looks at the counts. Returns 0 or a negative errno. */
static int enter(void)
{
    int rc = 0;
    pthread_mutex_lock(&process.mutex);
    if (process.n_sources == 0) {
        int fd = fd_keep(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
        if (fd < 0)
            rc = -errno;
        atomic_store(&ring_fd, fd);
        atomic_store(&owner, getpid());
    }
    process.n_sources += rc == 0;
    pthread_mutex_unlock(&process.mutex);
    return rc;
}

static void leave_process(void)
{
    pthread_mutex_lock(&process.mutex);
    if (--process.n_sources == 0)
        close_ring();
    pthread_mutex_unlock(&process.mutex);
}

/* Only where the present handler is still ours: it may be the program's own by now. */
static void put_back(int number)
{
    struct sigaction now;
    if (sigaction(number, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler == handle_signal)
        sigaction(number, &process.before[number], NULL);
}

static void want(int number)
{
    struct sigaction action = { .sa_handler = handle_signal, .sa_flags = SA_RESTART | SA_ONSTACK };
    sigfillset(&action.sa_mask);
    pthread_mutex_lock(&process.mutex);
    if (process.n_wanting[number]++ == 0)
        sigaction(number, &action, &process.before[number]);
    pthread_mutex_unlock(&process.mutex);
}

static void want_no_more(int number)
{
    pthread_mutex_lock(&process.mutex);
    if (--process.n_wanting[number] == 0)
        put_back(number);
    pthread_mutex_unlock(&process.mutex);
}

bool signal_can_be_received(int number)
{
    sigset_t set;
    sigemptyset(&set);
    return sigaddset(&set, number) == 0 && number != SIGKILL && number != SIGSTOP &&
           number != SIGSEGV && number != SIGBUS && number != SIGFPE && number != SIGILL;
}

/* --- What a loop has -------------------------------------------------------------------------- */

static void tell(struct signal_source *source, int number, unsigned n)
{
    for (struct list *node = source->receivers.next; node != &source->receivers;) {
        struct signal_receiver *receiver = CONTAINER_OF(node, struct signal_receiver, node);
        node = node->next;
        if (sigismember(&receiver->signals, number) == 1)
            receiver->fn(receiver, number, n);
    }
}

static void look_at_counts(struct signal_source *source)
{
    for (int number = 1; number < NSIG; number++) {
        if (source->n_wanting[number] == 0)
            continue;
        unsigned count = atomic_load(&counts[number]), n = count - source->seen[number];
        source->seen[number] = count;
        if (n > 0)
            tell(source, number, n);
    }
}

void signal_source_look(struct loop *loop)
{
    look_at_counts(loop->signal_source);
}

static void on_ring(struct io *io)
{
    look_at_counts(CONTAINER_OF(io, struct signal_source, io));
}

/* Makes the loop's source if there is none. */
static int open_source(struct loop *loop)
{
    if (loop->signal_source)
        return 0;
    struct signal_source *source = mem_zalloc(sizeof(*source));
    int rc = source ? enter() : -ENOMEM;
    if (rc < 0) {
        mem_free(source);
        return rc;
    }
    source->loop = loop;
    source->io = (struct io){ .fd = atomic_load(&ring_fd), .fn = on_ring };
    list_init(&source->receivers);
    sigemptyset(&source->unblocked);
    rc = poller_add(&loop->poller, &source->io);
    if (rc < 0) {
        leave_process();
        mem_free(source);
        return rc;
    }
    loop->signal_source = source;
    return 0;
}

/* A signal that the program has blocked in this thread would never reach the handler. */
static void unblock(struct signal_source *source, int number)
{
    sigset_t one, before;
    sigemptyset(&one);
    sigaddset(&one, number);
    pthread_sigmask(SIG_UNBLOCK, &one, &before);
    if (sigismember(&before, number) == 1)
        sigaddset(&source->unblocked, number);
}

static void block_again(struct signal_source *source, int number)
{
    sigset_t one;
    if (sigismember(&source->unblocked, number) == 0)
        return;
    sigemptyset(&one);
    sigaddset(&one, number);
    sigdelset(&source->unblocked, number);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
}

int signal_receiver_add(struct loop *loop, struct signal_receiver *receiver, int number)
{
    int rc = open_source(loop);
    if (rc < 0)
        return rc;
    struct signal_source *source = loop->signal_source;
    if (!receiver->is_open) {
        sigemptyset(&receiver->signals);
        list_init(&receiver->node);
        list_append(&source->receivers, &receiver->node);
        receiver->is_open = true;
    }
    if (sigismember(&receiver->signals, number) == 1)
        return 0;
    sigaddset(&receiver->signals, number);
    if (source->n_wanting[number]++ == 0) {
        source->seen[number] = atomic_load(&counts[number]);
        want(number);
        unblock(source, number);
    }
    return 0;
}

void signal_receiver_close(struct loop *loop, struct signal_receiver *receiver)
{
    struct signal_source *source = loop->signal_source;
    if (!receiver->is_open)
        return;
    look_at_counts(source);
    list_remove(&receiver->node);
    receiver->is_open = false;
    for (int number = 1; number < NSIG; number++) {
        if (sigismember(&receiver->signals, number) != 1 || --source->n_wanting[number] > 0)
            continue;
        block_again(source, number);
        want_no_more(number);
        if (atomic_load(&counts[number]) != source->seen[number]) /* at the last moment */
            kill(getpid(), number);
    }
}

bool signal_has_others(const struct loop *loop, const struct signal_receiver *receiver, int number)
{
    unsigned n = loop->signal_source ? loop->signal_source->n_wanting[number] : 0;
    bool counted = receiver->is_open && sigismember(&receiver->signals, number) == 1;
    return n > (counted ? 1u : 0u);
}

void signal_source_close(struct loop *loop)
{
    struct signal_source *source = loop->signal_source;
    if (!source)
        return;
    size_t n_left = list_length(&source->receivers);
    if (n_left > 0 && loop->debug)
        tepal_logf(TEPAL_LOG_WARNING, "%zu receiver%s of signals %s not closed when the loop ended",
                   n_left, n_left == 1 ? "" : "s", n_left == 1 ? "was" : "were");
    while (!list_is_empty(&source->receivers))
        signal_receiver_close(loop,
                              CONTAINER_OF(source->receivers.next, struct signal_receiver, node));
    poller_remove(&loop->poller, &source->io);
    leave_process();
    mem_free(source);
    loop->signal_source = NULL;
}

void signal_source_forked(struct loop *loop)
{
    if (atomic_load(&owner) == 0)
        return;
    if (loop && loop->signal_source)
        pthread_sigmask(SIG_BLOCK, &loop->signal_source->unblocked, NULL);
    for (int number = 1; number < NSIG; number++)
        if (process.n_wanting[number] > 0)
            put_back(number);
    int fd = atomic_exchange(&ring_fd, -1);
    if (fd >= 0)
        close(fd);
    memset(&process, 0, sizeof(process));
    pthread_mutex_init(&process.mutex, NULL);
    atomic_store(&n_handling, 0);
    atomic_store(&n_endings, 0);
    atomic_store(&wish_ms, 0);
    atomic_store(&owner, 0);
}

/* --- The wish to end -------------------------------------------------------------------------- */

void signal_ending_begin(void)
{
    if (atomic_fetch_add(&n_endings, 1) == 0)
        atomic_store(&wish_ms, 0);
}

void signal_ending_end(void)
{
    atomic_fetch_sub(&n_endings, 1);
}
