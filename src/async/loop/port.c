/* The list of the tasks that other threads want to wake, behind a mutex, and the wake-up that says
 * that it is not empty. */
#include "async/loop/port.h"

#include "async/task/task.h"
#include "async/loop/wakeup.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>

struct port {
    struct loop_part part;
    struct loop *loop;
    struct wakeup wakeup;
    struct list known;
    pthread_mutex_t mutex;
    struct list woken; /* under the mutex */
};

static void on_rung(struct io *io)
{
    struct wakeup *wakeup = CONTAINER_OF(io, struct wakeup, io);
    struct port *port = CONTAINER_OF(wakeup, struct port, wakeup);
    struct list woken;
    list_init(&woken);
    pthread_mutex_lock(&port->mutex);
    list_move_all(&woken, &port->woken);
    pthread_mutex_unlock(&port->mutex);
    while (!list_is_empty(&woken))
        task_wake(CONTAINER_OF(list_take_first(&woken), struct port_wait, node)->task, 0);
}

/* Who is still known was abandoned, and its stack stays as it is; but nobody may find it there. */
static void close_port(struct loop_part *part)
{
    struct port *port = CONTAINER_OF(part, struct port, part);
    while (!list_is_empty(&port->known)) {
        struct port_wait *wait =
            CONTAINER_OF(list_take_first(&port->known), struct port_wait, known);
        wait->leave(wait);
    }
    wakeup_close(&port->wakeup);
    pthread_mutex_destroy(&port->mutex);
    mem_free(port);
}

int port_of(struct loop *loop, struct port **found)
{
    struct loop_part *part = loop_find_part(loop, close_port);
    if (part) {
        *found = CONTAINER_OF(part, struct port, part);
        return 0;
    }
    struct port *port = mem_zalloc(sizeof(*port));
    if (!port)
        return -ENOMEM;
    int rc = wakeup_open(&port->wakeup, loop, on_rung);
    if (rc < 0) {
        mem_free(port);
        return rc;
    }
    port->loop = loop;
    list_init(&port->known);
    list_init(&port->woken);
    pthread_mutex_init(&port->mutex, NULL);
    port->part.close = close_port;
    list_init(&port->part.node);
    loop_add_part(loop, &port->part);
    *found = port;
    return 0;
}

void port_wake(struct port_wait *wait)
{
    struct port *port = wait->port;
    pthread_mutex_lock(&port->mutex);
    bool first = list_is_empty(&port->woken);
    list_append(&port->woken, &wait->node);
    if (first)
        wakeup_ring(&port->wakeup, "tepal_queue");
    pthread_mutex_unlock(&port->mutex);
}

void port_begin(struct port *port, struct port_wait *wait)
{
    wait->port = port;
    wait->task = port->loop->current;
    list_init(&wait->node);
    list_init(&wait->known);
}

int port_wait(struct port_wait *wait, const char *what, int64_t until)
{
    list_append(&wait->port->known, &wait->known);
    wait->port->loop->n_outside++;
    int rc = task_wait(wait->port->loop, what, until);
    wait->port->loop->n_outside--;
    list_remove(&wait->known);
    return rc;
}

void port_done(struct port_wait *wait)
{
    pthread_mutex_lock(&wait->port->mutex);
    list_remove(&wait->node);
    pthread_mutex_unlock(&wait->port->mutex);
}
