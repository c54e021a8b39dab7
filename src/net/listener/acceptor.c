/* tepal_listener_serve(): a task for each connection of a listener.
 *
 * One task accepts, so that a signal can end the accepting without a cancellation of the serving
 * task; that one only waits, and sees to the end.
 */
#include "async/signal/ending.h"
#include "async/task/group.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"
#include "net/listener/listener.h"
#include "net/listener/place.h"

#include <tepal/tls.h>

#include <errno.h>
#include <string.h>

enum { DEFAULT_MAX_CONNECTIONS = 10000, DEFAULT_HANDSHAKE_MS = 10 * 1000 };

struct acceptor {
    tepal_listener *listener; /* NULL: it was interrupted or closed, and perhaps is no more */
    tepal_conn_fn *fn;
    void *arg;
    tepal_listener_serve_options options;
    tepal_group *accepting;    /* the task that accepts */
    tepal_group *connections;  /* a task for each */
    struct ending ending;      /* the signals, if they end it */
    struct tepal_task *waiter; /* the task that accepts, while there are too many connections */
    size_t n_connections;
    int error; /* that ended the accepting */
};

struct served {
    struct acceptor *acceptor;
    tepal_conn *conn;
};

/* The TLS handshake, where there is one. What fails in it is the client's affair. */
static int secure(const struct acceptor *a, tepal_conn *conn)
{
    if (!a->options.tls)
        return 0;
    int64_t before = tepal_deadline_in_ms(a->options.handshake_timeout_ms);
    int rc = tepal_conn_start_tls(conn, a->options.tls, NULL);
    tepal_deadline_restore(before);
    return rc;
}

static int serve_connection(void *arg)
{
    struct served served = *(struct served *)arg;
    struct acceptor *a = served.acceptor;
    mem_free(arg);
    if (secure(a, served.conn) == 0)
        a->fn(served.conn, a->arg);
    tepal_conn_close(served.conn);
    a->n_connections--;
    if (a->waiter)
        task_wake(a->waiter, 0);
    return 0;
}

/* Starts the task of a connection, or ends the connection. */
static int start(struct acceptor *a, tepal_conn *conn)
{
    struct served *served = mem_alloc(sizeof(*served));
    tepal_spawn_options options = { .name = a->options.name, .stack_size = a->options.stack_size };
    int rc = -ENOMEM;
    if (served) {
        *served = (struct served){ .acceptor = a, .conn = conn };
        rc = tepal_spawn(a->connections, serve_connection, served, &options);
    }
    if (rc < 0) {
        mem_free(served);
        tepal_conn_abort(conn);
        return rc;
    }
    a->n_connections++;
    return 0;
}

static int accept_next(struct acceptor *a, tepal_listener *listener)
{
    tepal_conn *conn;
    if (!a->listener)
        return -ECANCELED;
    while (a->n_connections >= a->options.max_connections) {
        a->waiter = loop_current->current;
        int rc = task_wait(loop_current, "a connection to end", TEPAL_NEVER);
        a->waiter = NULL;
        if (rc < 0)
            return rc;
    }
    int rc = tepal_listener_open_conn(listener, &conn);
    return rc < 0 ? rc : start(a, conn);
}

static int accept_all(void *arg)
{
    struct acceptor *a = arg;
    tepal_listener *listener = a->listener;
    int rc;
    do {
        rc = accept_next(a, listener);
        if (listener_is_shortage(listener, rc))
            rc = tepal_sleep_ms(LISTENER_REST_MS);
        /* Everything else is about one connection that is gone already. */
    } while (rc != -ECANCELED && rc != -EBUSY);
    a->error = rc;
    tepal_group_cancel(a->accepting);
    return 0;
}

static void on_wish_to_end(void *arg, int number)
{
    struct acceptor *a = arg;
    tepal_logf(TEPAL_LOG_INFO, "ending gracefully (%s)", sigabbrev_np(number));
    tepal_group_cancel(a->accepting);
}

/* Another task has interrupted or closed the listener. */
static void stop_accepting(struct tepal_listener *listener)
{
    struct acceptor *a = listener->arg;
    listener->stop = NULL;
    a->listener = NULL;
    tepal_group_cancel(a->accepting);
}

static int begin(struct acceptor *a)
{
    a->accepting = tepal_group_new();
    a->connections = tepal_group_new();
    if (!a->accepting || !a->connections)
        return -ENOMEM;
    a->listener->arg = a;
    a->listener->stop = stop_accepting;
    int rc = a->options.stop_on_signal ? ending_open(&a->ending, on_wish_to_end, a, false) : 0;
    if (rc < 0)
        return rc;
    return tepal_spawn(a->accepting, accept_all, a, &(tepal_spawn_options){ .name = "acceptor" });
}

/* The end has to be done properly, whatever has ended the serving. Only a further cancellation ends
 * the patience with the connections. What does not even end when it is cancelled, such as a thread
 * that is stuck, is left as it is after some time. */
static void end(struct acceptor *a, struct tepal_task *task)
{
    int64_t until = TEPAL_NEVER, patience = a->options.shutdown_timeout_ms;
    bool cancelled = task_set_aside_cancel(task);
    if (a->listener)
        a->listener->stop = NULL;
    tepal_group_close(a->accepting);
    if (a->n_connections > 0 && patience > 0) {
        tepal_logf(TEPAL_LOG_INFO, "waiting for %zu connection%s, at most %lld ms",
                   a->n_connections, a->n_connections == 1 ? "" : "s", (long long)patience);
        (void)tepal_deadline_in_ms(patience);
        (void)tepal_group_wait(a->connections);
    }
    if (patience != TEPAL_NEVER)
        until = loop_time_in(loop_current, ending_grace_ms(patience));
    group_close_until(a->connections, until);
    ending_close(&a->ending);
    task_restore_cancel(task, cancelled);
}

static void set_options(tepal_listener_serve_options *out,
                        const tepal_listener_serve_options *options)
{
    *out = options ? *options : (tepal_listener_serve_options){ 0 };
    if (out->max_connections == 0)
        out->max_connections = DEFAULT_MAX_CONNECTIONS;
    if (out->handshake_timeout_ms == 0)
        out->handshake_timeout_ms = DEFAULT_HANDSHAKE_MS;
    if (!out->name)
        out->name = "connection";
}

int tepal_listener_serve(tepal_listener *listener, tepal_conn_fn *fn, const void *arg,
                         const tepal_listener_serve_options *options)
{
    struct tepal_task *task = task_need("tepal_listener_serve");
    int rc = task_check(loop_current, task);
    if (rc < 0)
        return rc;
    listener_need(listener, "tepal_listener_serve");
    if (!fn)
        misuse("tepal_listener_serve", "the function is NULL");
    if (listener->stop)
        return -EBUSY;
    struct acceptor a = { .listener = listener, .fn = fn, .arg = (void *)arg };
    set_options(&a.options, options);
    rc = room_check("tepal_listener_serve", a.options.later, sizeof(a.options.later));
    if (rc < 0)
        return rc;
    rc = a.options.tls ? tepal_tls_error(a.options.tls) : 0;
    if (rc < 0)
        return rc;
    /* The tasks must not inherit the deadline: they are to have their time to end after it. */
    int64_t deadline = task->deadline;
    task->deadline = TEPAL_NEVER;
    rc = begin(&a);
    task->deadline = deadline;
    if (rc == 0) {
        int waited = tepal_group_wait(a.accepting);
        rc = waited < 0 ? waited : a.error == -ECANCELED ? 0 : a.error;
    }
    task->deadline = TEPAL_NEVER;
    end(&a, task);
    task->deadline = deadline;
    return rc;
}

int tepal_listener_open_and_serve(const tepal_listener_options *where, tepal_conn_fn *fn,
                                  const void *arg, const tepal_listener_serve_options *options)
{
    int rc = task_check(loop_current, task_need("tepal_listener_open_and_serve"));
    if (rc < 0)
        return rc;
    char text[300];
    tepal_listener *listener = NULL;
    rc = tepal_listener_open(&listener, where);
    if (rc < 0) {
        place_complain(where, rc);
        return rc;
    }
    place_write(text, sizeof(text), where, tepal_listener_port(listener));
    tepal_logf(TEPAL_LOG_INFO, "listening on %s", text);
    rc = tepal_listener_serve(listener, fn, arg, options);
    tepal_listener_close(listener);
    return rc;
}
