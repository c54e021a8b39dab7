/* Waiting for the peer of a connection. */
#include "async/task/task.h"
#include "conn/h1_conn.h"

#include <errno.h>

static bool has_ended(const struct h1_conn *http)
{
    return http->work && http->work->peer_ended && !http->work->cut;
}

int h1_conn_wait(struct h1_conn *http, uint32_t state, int64_t until)
{
    struct tepal_task *task = loop_current->current;
    bool told = task->cancel_told;
    int rc;
    /* That the peer has ended its side may become known while this waits. */
    do {
        bool aside = has_ended(http) && task_set_aside_cancel(task);
        rc = state == IO_READ ? conn_wait_read(&http->conn, until)
                              : conn_wait_write(&http->conn, until);
        task_restore_cancel(task, aside);
    } while (UNLIKELY(rc == -ECANCELED) && has_ended(http));
    if (rc != -ECANCELED)
        task->cancel_told = told;
    return rc;
}

int h1_conn_may_wait(struct h1_conn *http)
{
    struct loop *loop = loop_current;
    struct tepal_task *task = loop->current;
    bool aside = has_ended(http) && task_set_aside_cancel(task);
    int rc = task_may_wait(loop, task);
    task_restore_cancel(task, aside);
    return rc;
}

int h1_conn_give_way(struct h1_conn *http)
{
    struct tepal_task *task = loop_current->current;
    bool aside = has_ended(http) && task_set_aside_cancel(task);
    int rc = tepal_sleep_ms(0);
    task_restore_cancel(task, aside);
    return rc;
}

int h1_conn_check(struct h1_conn *http)
{
    struct tepal_task *task = loop_current->current;
    bool aside = has_ended(http) && task_set_aside_cancel(task);
    int rc = task_check(loop_current, task);
    task_restore_cancel(task, aside);
    return rc;
}

int64_t h1_conn_time_left(int64_t timeout_ms, uint64_t min_rate, uint64_t octets, int64_t waited_ms)
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
