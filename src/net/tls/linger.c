/* What is left to do for an encrypted connection after its close.
 *
 * The system answers a close(2) with a reset when octets have come that nobody has read, and drops
 * what it has not sent yet. With TLS these may be tickets or the peer's farewell, of which the
 * program knows nothing. So the socket lives on for a while, without the connection: what is still
 * to be said is sent, this side is ended, and what comes is dropped until the peer ends, too. The
 * time for that, the octets and the number of such sockets have their limits. */
#include "async/loop/loop.h"
#include "base/mem.h"
#include "net/tls/tls.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 10 * 1000, /* with a peer that takes nothing and sends nothing */
    MAX_LINGER_MS = 60 * 1000,
    MAX_DROPPED = 256 * 1024, /* octets */
    MAX_LINGERING = 1000,     /* in a loop; the oldest one goes */
    AT_THE_END_MS = 1000,     /* for all of a loop that ends */
};

struct lingering {
    struct list node;
    struct io io;
    struct timer timer;
    struct lingerers *all;
    int64_t until;
    struct buf rest; /* that is still to be sent; n_sent octets of it have been */
    size_t n_sent;
    size_t n_dropped, n_dropped_before; /* before: when the timer was set */
    int n_queued_before;                /* octets that the peer's system had not got */
    bool ended;                         /* our side */
};

struct lingerers {
    struct loop_part part;
    struct loop *loop;
    struct list all; /* the oldest first */
    size_t n;
};

/* --- One socket ------------------------------------------------------------------------------- */

/* Sends what is left, and the end behind it. False when nothing can be sent any more. */
static bool linger_send(struct lingering *l)
{
    while (l->n_sent < l->rest.len) {
        ssize_t n = send(l->io.fd, l->rest.data + l->n_sent, l->rest.len - l->n_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        l->n_sent += (size_t)n;
    }
    if (l->ended)
        return true;
    l->ended = true;
    return shutdown(l->io.fd, SHUT_WR) == 0;
}

/* Drops what has come. False when nothing more can come, or too much has. */
static bool linger_drop(struct lingering *l)
{
    char octets[2048];
    while (l->n_dropped < MAX_DROPPED) {
        ssize_t n = recv(l->io.fd, octets, sizeof(octets), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0)
            return false;
        l->n_dropped += (size_t)n;
    }
    return false;
}

/* Returns whether there is something left to wait for. */
static bool linger_on(struct lingering *l)
{
    l->io.state = 0;
    if (!linger_send(l))
        return false;
    /* Once the peer has ended its side, nothing can come that makes the close a reset. */
    bool more = linger_drop(l);
    return more || (!l->ended && l->n_dropped < MAX_DROPPED);
}

static void linger_end(struct lingering *l)
{
    if (l->all) {
        poller_remove(&l->all->loop->poller, &l->io);
        timer_cancel(&l->timer);
        list_remove(&l->node);
        l->all->n--;
    }
    close(l->io.fd);
    buf_clear(&l->rest);
}

static void linger_forget(struct lingering *l)
{
    linger_end(l);
    mem_free(l);
}

static void on_linger_event(struct io *io)
{
    struct lingering *l = CONTAINER_OF(io, struct lingering, io);
    if (!linger_on(l))
        linger_forget(l);
}

/* How many octets the system of the peer has not got yet. */
static int n_queued(const struct lingering *l)
{
    int n = 0;
    return ioctl(l->io.fd, SIOCOUTQ, &n) == 0 ? n : 0;
}

static void linger_wait(struct lingering *l)
{
    int64_t now = l->all->loop->now, at = loop_time_after(now, PATIENCE_MS);
    l->n_queued_before = n_queued(l);
    l->n_dropped_before = l->n_dropped;
    timer_set(&l->all->loop->timers, &l->timer, at < l->until ? at : l->until);
}

static void on_linger_timer(struct timer *timer)
{
    struct lingering *l = CONTAINER_OF(timer, struct lingering, timer);
    bool moves = n_queued(l) < l->n_queued_before || l->n_dropped > l->n_dropped_before;
    if (moves && l->all->loop->now < l->until)
        linger_wait(l);
    else
        linger_forget(l);
}

/* --- All of a loop ---------------------------------------------------------------------------- */

static int64_t linger_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The loop ends, and perhaps the program: what the peer's system has not got yet would be lost if
 * anything came now. That is waited for, but not the peer itself. */
static void linger_last(struct lingering *l, int64_t until)
{
    while (linger_on(l) && (!l->ended || n_queued(l) > 0)) {
        int64_t left = until - linger_clock_ms();
        struct pollfd fd = { .fd = l->io.fd, .events = l->ended ? POLLIN : POLLIN | POLLOUT };
        if (left <= 0)
            return;
        /* Nothing reports that the queue has become empty. */
        (void)poll(&fd, 1, left < 5 ? (int)left : 5);
    }
}

static void close_lingerers(struct loop_part *part)
{
    struct lingerers *all = CONTAINER_OF(part, struct lingerers, part);
    int64_t until = linger_clock_ms() + AT_THE_END_MS;
    while (!list_is_empty(&all->all)) {
        struct lingering *l = CONTAINER_OF(all->all.next, struct lingering, node);
        linger_last(l, until);
        linger_forget(l);
    }
    mem_free(all);
}

static struct lingerers *find_lingerers(struct loop *loop)
{
    struct loop_part *part = loop_find_part(loop, close_lingerers);
    if (part)
        return CONTAINER_OF(part, struct lingerers, part);
    struct lingerers *all = mem_zalloc(sizeof(*all));
    if (!all)
        return NULL;
    all->part.close = close_lingerers;
    all->loop = loop;
    list_init(&all->all);
    loop_add_part(loop, &all->part);
    return all;
}

/* Lets the socket live on by itself. False when that is not possible. */
static bool linger_keep(const struct lingering *l)
{
    struct lingerers *all = find_lingerers(loop_current);
    struct lingering *kept = all ? mem_alloc(sizeof(*kept)) : NULL;
    if (!kept)
        return false;
    *kept = *l;
    kept->io.fn = on_linger_event;
    if (poller_add(&all->loop->poller, &kept->io) < 0) {
        mem_free(kept);
        return false;
    }
    if (all->n == MAX_LINGERING)
        linger_forget(CONTAINER_OF(all->all.next, struct lingering, node));
    list_init(&kept->node);
    list_append(&all->all, &kept->node);
    all->n++;
    kept->all = all;
    kept->until = loop_time_after(all->loop->now, MAX_LINGER_MS);
    timer_init(&kept->timer, on_linger_timer);
    linger_wait(kept);
    return true;
}

void tls_linger(int fd, struct buf *rest, size_t n_sent)
{
    struct lingering l = { .io.fd = fd, .rest = *rest, .n_sent = n_sent };
    buf_init(rest, TLS_MAX_UNSENT);
    if (!linger_on(&l) || !linger_keep(&l))
        linger_end(&l);
}
