/* Waiting for the peer of a connection. */
#include "async/task.h"
#include "conn/conn.h"

#include <errno.h>

static bool has_ended(const struct http_conn *conn)
{
    return conn->work && conn->work->peer_ended;
}

bool conn_was_interrupted(int rc)
{
    return rc == -ECANCELED || rc == -EBUSY ||
           (rc == -ETIMEDOUT && task_deadline_passed(loop_current, loop_current->current));
}

int conn_wait(struct http_conn *conn, uint32_t state, int64_t until)
{
    struct tepal_task *task = loop_current->current;
    bool told = task->cancel_told;
    int rc;
    /* That the peer has ended its side may become known while this waits. */
    do {
        bool aside = has_ended(conn) && task_set_aside_cancel(task);
        rc = state == IO_READ ? stream_wait_read(&conn->stream, until)
                              : stream_wait_write(&conn->stream, until);
        task_restore_cancel(task, aside);
    } while (UNLIKELY(rc == -ECANCELED) && has_ended(conn));
    if (rc != -ECANCELED)
        task->cancel_told = told;
    return rc;
}

int conn_may_wait(struct http_conn *conn)
{
    struct loop *loop = loop_current;
    struct tepal_task *task = loop->current;
    bool aside = has_ended(conn) && task_set_aside_cancel(task);
    int rc = task_may_wait(loop, task);
    task_restore_cancel(task, aside);
    return rc;
}

int conn_check(struct http_conn *conn)
{
    struct tepal_task *task = loop_current->current;
    bool aside = has_ended(conn) && task_set_aside_cancel(task);
    int rc = task_check(loop_current, task);
    task_restore_cancel(task, aside);
    return rc;
}

int64_t conn_time_left(int64_t timeout_ms, uint64_t min_rate, uint64_t octets, int64_t waited_ms)
{
    if (timeout_ms == TEPAL_NEVER || min_rate == 0)
        return timeout_ms;
    /* So large a transfer may take as long as it likes. */
    if (octets / min_rate > INT64_MAX / 4000)
        return timeout_ms;
    int64_t earned_ms = (int64_t)(octets / min_rate * 1000 + octets % min_rate * 1000 / min_rate),
            left_ms = loop_time_after(timeout_ms, earned_ms) - waited_ms;
    return left_ms < 0 ? 0 : left_ms < timeout_ms ? left_ms : timeout_ms;
}
