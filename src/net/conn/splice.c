/* Pipes between sockets, and the few of them that a loop keeps. */
#include "net/conn/splice.h"

#include "async/loop/loop.h"
#include "base/fd.h"
#include "base/mem.h"
#include "net/conn/sigpipe.h"

#include <fcntl.h>
#include <unistd.h>

enum {
    MAX_KEPT = 16,        /* empty pipes, for a loop */
    AT_ONCE = 256 * 1024, /* octets; more than a pipe takes */
};

struct pipe_pool {
    struct loop_part part;
    struct list kept;
    size_t n_kept;
};

bool splice_knows(const struct tepal_conn *conn)
{
    return conn->ops == &conn_socket_ops || conn->ops == &conn_unix_ops;
}

static void splice_close(struct splice *pipe)
{
    close(pipe->ends[0]);
    close(pipe->ends[1]);
    mem_free(pipe);
}

static void close_pipe_pool(struct loop_part *part)
{
    struct pipe_pool *pool = CONTAINER_OF(part, struct pipe_pool, part);
    while (!list_is_empty(&pool->kept))
        splice_close(CONTAINER_OF(list_take_first(&pool->kept), struct splice, node));
    mem_free(pool);
}

static struct pipe_pool *find_pipe_pool(void)
{
    struct loop_part *part = loop_find_part(loop_current, close_pipe_pool);
    if (part)
        return CONTAINER_OF(part, struct pipe_pool, part);
    struct pipe_pool *pool = mem_zalloc(sizeof(*pool));
    if (!pool)
        return NULL;
    pool->part.close = close_pipe_pool;
    list_init(&pool->kept);
    loop_add_part(loop_current, &pool->part);
    return pool;
}

static struct splice *splice_new(void)
{
    struct splice *pipe = mem_zalloc(sizeof(*pipe));
    if (!pipe)
        return NULL;
    if (pipe2(pipe->ends, O_CLOEXEC | O_NONBLOCK) < 0 || fd_keep_both(pipe->ends) < 0) {
        mem_free(pipe);
        return NULL;
    }
    list_init(&pipe->node);
    return pipe;
}

struct splice *splice_take(void)
{
    struct pipe_pool *pool = find_pipe_pool();
    if (!pool || pool->n_kept == 0)
        return pool ? splice_new() : NULL;
    pool->n_kept--;
    return CONTAINER_OF(list_take_first(&pool->kept), struct splice, node);
}

void splice_give(struct splice *pipe)
{
    struct pipe_pool *pool = find_pipe_pool();
    if (!pool || pool->n_kept == MAX_KEPT || pipe->len > 0) {
        splice_close(pipe);
        return;
    }
    list_append(&pool->kept, &pipe->node);
    pool->n_kept++;
}

/* --- Moving ----------------------------------------------------------------------------------- */

static ssize_t splice_move(int from, int to, size_t len)
{
    return splice(from, NULL, to, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

ssize_t splice_in(struct splice *pipe, struct tepal_conn *from)
{
    ssize_t n = splice_move(from->io.fd, pipe->ends[1], AT_ONCE);
    if (n < 0)
        return conn_failed(&from->io, IO_READ);
    pipe->len += (size_t)n;
    return n;
}

ssize_t splice_out(struct splice *pipe, struct tepal_conn *to)
{
    struct sigpipe sigpipe;
    sigpipe_block(&sigpipe);
    /* No more than there is: the system would take it for a promise of more, and hold it back. */
    ssize_t n = conn_wrote(&to->io, splice_move(pipe->ends[0], to->io.fd, pipe->len));
    sigpipe_unblock(&sigpipe, n == -EPIPE);
    if (n > 0)
        pipe->len -= (size_t)n;
    return n;
}

bool splice_empty(struct splice *pipe, char *to)
{
    while (pipe->len > 0) {
        ssize_t n = read(pipe->ends[0], to, pipe->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        to += n;
        pipe->len -= (size_t)n;
    }
    return true;
}
