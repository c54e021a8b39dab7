/* Accepting: for a function that is called with each connection, and for tasks that wait for the
 * next one. The sockets of a listener take turns, so that a busy one does not starve the others,
 * and what fails for ever rests. */
#include "async/task/task.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/listener/listener.h"
#include "net/conn/conn.h"
#include "net/conn/turns.h"

#include <errno.h>
#include <unistd.h>

enum {
    MAX_AT_ONCE = 64, /* connections accepted in one turn, so that the others are not starved */
    MAX_BACKLOG = 64 * 1024, /* no queue is longer; more come faster than they are accepted */
    MANY_FAILURES = 16,      /* in a row: that is not about single connections any more */
};

static void complain(struct tepal_listener *listener, int error)
{
    if (!listener->complained)
        tepal_logf(TEPAL_LOG_WARNING, "accepting pauses: %s", tepal_code_text(error));
    listener->complained = true;
}

static bool is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM ||
           error == -ENOSPC;
}

bool listener_is_shortage(struct tepal_listener *listener, int error)
{
    if (is_shortage(error))
        complain(listener, error);
    return is_shortage(error);
}

/* Whether an attempt may be made. */
static bool may_accept(const struct listener_socket *s)
{
    return (s->io.state & IO_READ) && s->rest_until <= s->listener->loop->now;
}

/* Most errors are about one connection, which is gone. But a socket on which nothing else happens
 * (somebody has shut it down, a filter refuses all) is tried more and more seldom. */
static int failed(struct listener_socket *s, int error)
{
    struct tepal_listener *listener = s->listener;
    if (error == -EINTR)
        return -EAGAIN;
    if (error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM)
        return error;
    if (++s->n_failed < MANY_FAILURES)
        return -EAGAIN;
    complain(listener, error);
    s->n_failed = MANY_FAILURES;
    s->rest_until = listener->loop->now + LISTENER_REST_MS;
    return error;
}

/* Accepts one connection. Returns its descriptor; -EAGAIN when there is none, or it was gone; or an
 * error that is not about one connection. */
static int accept_one(struct listener_socket *s, struct addr *peer)
{
    peer->len = sizeof(peer->storage);
    int fd = fd_keep(accept4(s->io.fd, &peer->sa, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd < 0 && errno != EAGAIN)
        return failed(s, -errno);
    s->n_failed = 0;
    if (fd < 0) {
        /* Nobody waits any more: the shortage is over. One accept() that goes well is not its end,
         * and would mean a line of the log for each. */
        s->listener->complained = false;
        s->io.state &= ~(uint32_t)IO_READ;
        return -EAGAIN;
    }
    if (peer->len < sizeof(sa_family_t))
        peer->sa.sa_family = AF_UNIX;
    socket_set_conn_options(fd, peer->sa.sa_family);
    /* The others are first the next time. */
    s->listener->next = (int)(s - s->listener->sockets + 1) % s->listener->n_sockets;
    return fd;
}

/* --- For a function --------------------------------------------------------------------------- */

/* Sees to it that all sockets are looked at again, at the time at. */
static void come_back(struct tepal_listener *listener, int64_t at)
{
    if (!timer_is_set(&listener->again) || at < listener->again.at)
        timer_set(&listener->loop->timers, &listener->again, at);
}

static void rest(struct tepal_listener *listener)
{
    listener->rest_until = listener->loop->now + LISTENER_REST_MS;
    come_back(listener, listener->rest_until);
}

/* Accepts up to max connections. */
static void accept_up_to(struct listener_socket *s, int max)
{
    struct tepal_listener *listener = s->listener;
    struct addr peer;
    for (int i = 0; i < max && may_accept(s); i++) {
        if (listener->paused || listener->rest_until > listener->loop->now)
            return;
        if (listener->has_room && !listener->has_room(listener)) {
            rest(listener);
            return;
        }
        int fd = accept_one(s, &peer);
        if (fd >= 0)
            listener->on_accept(listener, fd, &peer);
        else if (is_shortage(fd) && listener->on_shortage && listener->on_shortage(listener, fd))
            continue;
        else if (listener_is_shortage(listener, fd))
            rest(listener);
    }
}

static void accept_some(struct listener_socket *s)
{
    struct tepal_listener *listener = s->listener;
    accept_up_to(s, MAX_AT_ONCE);
    if (listener->paused)
        return;
    if (listener->rest_until > listener->loop->now)
        come_back(listener, listener->rest_until);
    else if (s->rest_until > listener->loop->now)
        come_back(listener, s->rest_until);
    else if (s->io.state & IO_READ) /* there may be more: come back in the next turn */
        come_back(listener, listener->loop->now + 1);
}

void listener_accept_all(struct tepal_listener *listener)
{
    listener->rest_until = 0;
    for (int i = 0; i < listener->n_sockets; i++) {
        struct listener_socket *s = &listener->sockets[i];
        s->io.state |= IO_READ; /* whatever the poller has told so far */
        accept_up_to(s, MAX_BACKLOG);
    }
}

void listener_on_ready(struct io *io)
{
    struct listener_socket *s = CONTAINER_OF(io, struct listener_socket, io);
    if (s->listener->on_accept)
        accept_some(s);
    else if (io->reader)
        task_wake(io->reader, 0);
}

void listener_on_again(struct timer *timer)
{
    struct tepal_listener *listener = CONTAINER_OF(timer, struct tepal_listener, again);
    int first = listener->next;
    for (int i = 0; i < listener->n_sockets; i++)
        accept_some(&listener->sockets[(first + i) % listener->n_sockets]);
}

void listener_pause(struct tepal_listener *listener)
{
    listener->paused = true;
}

void listener_resume(struct tepal_listener *listener)
{
    if (!listener->paused && listener->rest_until <= listener->loop->now)
        return;
    listener->paused = false;
    listener->rest_until = 0;
    come_back(listener, listener->loop->now + 1);
}

/* --- For tasks -------------------------------------------------------------------------------- */

/* When the first of the sockets that may have a connection has rested: INT64_MAX when none has. */
static int64_t next_attempt(const struct tepal_listener *listener)
{
    int64_t at = TEPAL_NEVER;
    for (int i = 0; i < listener->n_sockets; i++) {
        const struct listener_socket *s = &listener->sockets[i];
        if ((s->io.state & IO_READ) && s->rest_until < at)
            at = s->rest_until;
    }
    return at;
}

static void set_reader(struct tepal_listener *listener, struct tepal_task *task)
{
    for (int i = 0; i < listener->n_sockets; i++)
        listener->sockets[i].io.reader = task;
}

/* Waits until any of the listener's sockets may have a connection. */
static int wait_for_any(struct tepal_listener *listener)
{
    struct loop *loop = listener->loop;
    struct tepal_task *task = loop->current;
    int64_t until = next_attempt(listener);
    if (listener->sockets[0].io.reader)
        return -EBUSY;
    task_takes_place(loop, task);
    set_reader(listener, task);
    int rc = until <= loop->now
                 ? task_may_wait(loop, task)
                 : task_wait_fd(loop, "a connection on", listener->sockets[0].io.fd, until);
    if (rc == -ETIMEDOUT) /* of the socket's rest, or of the task */
        rc = task_check(loop, task);
    set_reader(listener, NULL);
    if (listener->closed)
        return rc < 0 ? rc : -ECANCELED;
    return io_waited(&listener->sockets[0].io, IO_READER_INTERRUPTED, rc);
}

/* Tries all sockets in turn. Returns a descriptor or a negative errno. */
static int accept_any(struct tepal_listener *listener, struct addr *peer)
{
    int fd = -EAGAIN, first = listener->next;
    for (int i = 0; i < listener->n_sockets && fd == -EAGAIN; i++) {
        struct listener_socket *s = &listener->sockets[(first + i) % listener->n_sockets];
        if (may_accept(s))
            fd = accept_one(s, peer);
    }
    return fd;
}

int tepal_listener_open_conn(tepal_listener *listener, tepal_conn **conn)
{
    struct addr peer;
    int rc, fd = -EAGAIN;
    task_need("tepal_listener_open_conn");
    listener_need(listener, "tepal_listener_open_conn");
    need_place("tepal_listener_open_conn", conn);
    do {
        rc = wait_for_any(listener);
        if (rc == 0)
            fd = accept_any(listener, &peer);
    } while (rc == 0 && fd == -EAGAIN);
    if (UNLIKELY(listener->closed))
        listener_free(listener);
    if (rc < 0 || fd < 0)
        return rc < 0 ? rc : fd;
    rc = conn_new_socket(conn, loop_current, fd, peer.sa.sa_family);
    if (rc < 0)
        close(fd);
    return rc;
}
