/* Connecting: names to addresses, and one address after the other until one answers. */
#include "async/task.h"
#include "base/mem.h"
#include "net/addr.h"
#include "net/stream.h"

#include <errno.h>
#include <unistd.h>

enum { MAX_ADDRESSES = 16 };

struct lookup {
    const char *host;
    uint16_t port;
    struct addr addrs[MAX_ADDRESSES];
};

static int look_up(void *arg)
{
    struct lookup *lookup = arg;
    return addr_lookup(lookup->addrs, MAX_ADDRESSES, lookup->host, lookup->port);
}

/* The result of a connect() that was under way. */
static int finish(struct tepal_conn *stream)
{
    int error = 0;
    socklen_t size = sizeof(error);
    stream->io.state &= ~(uint32_t)IO_WRITE;
    int rc = stream_wait_write(stream, TEPAL_NEVER);
    if (rc < 0)
        return rc;
    return getsockopt(stream->io.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -errno : -error;
}

static int connect_to(struct tepal_conn *stream, const struct addr *addr)
{
    int fd = socket_new(addr->sa.sa_family);
    if (fd < 0)
        return fd;
    socket_set_stream_options(fd, addr->sa.sa_family);
    int rc = connect(fd, &addr->sa, addr->len) < 0 ? -errno : 0;
    if (rc == 0 || rc == -EINPROGRESS) {
        int added = stream_open_socket(stream, loop_current, fd);
        if (added == 0 && rc == -EINPROGRESS)
            added = finish(stream);
        if (added == 0)
            return 0;
        if (stream->io.fd >= 0)
            poller_remove(&loop_current->poller, &stream->io);
        rc = added;
    }
    close(fd);
    return rc;
}

int tepal_connect(tepal_conn **stream, const char *host, uint16_t port)
{
    struct tepal_task *task = task_need("tepal_connect");
    int rc = task_check(loop_current, task);
    if (rc < 0)
        return rc;
    struct lookup *lookup = mem_alloc(sizeof(*lookup));
    tepal_conn *s = mem_zalloc(sizeof(*s));
    int n = -ENOMEM;
    if (lookup && s) {
        lookup->host = host;
        lookup->port = port;
        n = addr_from_ip(&lookup->addrs[0], host, port) == 0 ? 1 : tepal_offload(look_up, lookup);
    }
    rc = n;
    for (int i = 0; i < n; i++) {
        rc = connect_to(s, &lookup->addrs[i]);
        /* -ETIMEDOUT may also be the kernel's, about this one address. */
        if (rc == 0 || task_check(loop_current, task) < 0)
            break;
    }
    mem_free(lookup);
    if (rc < 0) {
        mem_free(s);
        return rc;
    }
    *stream = s;
    return 0;
}

int tepal_connect_unix(tepal_conn **stream, const char *path)
{
    int rc = task_check(loop_current, task_need("tepal_connect_unix"));
    if (rc < 0)
        return rc;
    struct addr addr;
    rc = addr_from_path(&addr, path);
    if (rc < 0)
        return rc;
    tepal_conn *s = mem_zalloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    rc = connect_to(s, &addr);
    if (rc < 0) {
        mem_free(s);
        return rc;
    }
    s->ops = &stream_unix_ops;
    *stream = s;
    return 0;
}
