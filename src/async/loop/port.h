/* Where other threads wake tasks of a loop that wait for them: see queue.c. */
#ifndef TEPAL_ASYNC_LOOP_PORT_H
#define TEPAL_ASYNC_LOOP_PORT_H

#include "base/list.h"

#include <stdint.h>

struct loop;
struct port;
struct tepal_task;

/* A task that waits; on its stack. */
struct port_wait {
    struct list node;  /* in the port's list of those who are to be woken, under its mutex */
    struct list known; /* in that of all who wait, which is the loop's */
    struct port *port;
    struct tepal_task *task;
    void (*leave)(struct port_wait *wait); /* called at the end of the loop, when the task will not
                                              go on: takes it from whoever would wake it */
};

/* The port of a loop, which is made at first use. Returns 0 or a negative errno. */
int port_of(struct loop *loop, struct port **port);

/* From any thread: wakes the task, soon. The wait must stay until port_done(). */
void port_wake(struct port_wait *wait);

/* In the task: gets ready to wait; waits, as task_wait() does; and has waited. */
void port_begin(struct port *port, struct port_wait *wait);
int port_wait(struct port_wait *wait, const char *what, int64_t until);
void port_done(struct port_wait *wait);

#endif
