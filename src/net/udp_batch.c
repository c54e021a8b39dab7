/* Many datagrams in one call of the system. What the system needs to know of each lies in a block
 * of the loop's while the call lasts. */
#include "async/task/task.h"
#include "base/room.h"
#include "net/udp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { MANY = 64 };

struct batch {
    struct mmsghdr messages[MANY];
    struct iovec pieces[MANY];
    struct addr addrs[MANY];
};

_Static_assert(sizeof(struct batch) <= LOOP_BUFFER_SIZE, "a batch fits a block");

/* Returns 0 or -EINVAL. */
static int check_rooms(const tepal_datagram *datagrams, size_t n, const char *call)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = room_check(call, datagrams[i].later, sizeof(datagrams[i].later));
    return rc;
}

static struct batch *batch_take(const struct tepal_udp *udp)
{
    return (struct batch *)block_take(&udp->loop->buffers);
}

static void batch_give(struct batch *batch)
{
    block_give(&loop_current->buffers, (char *)batch);
}

/* Describes one of n octets at data. Its address has this length, and is to be set. */
static void batch_set(struct batch *batch, size_t i, struct iovec piece, socklen_t addr_len)
{
    batch->pieces[i] = piece;
    batch->messages[i] = (struct mmsghdr){
        .msg_hdr = { .msg_iov = &batch->pieces[i],
                     .msg_iovlen = 1,
                     .msg_name = addr_len > 0 ? &batch->addrs[i].sa : NULL,
                     .msg_namelen = addr_len },
    };
}

/* --- Receiving -------------------------------------------------------------------------------- */

/* Waits until some have come, and receives them. Returns how many, or an error. */
static ssize_t receive_batch(struct tepal_udp *udp, struct batch *batch,
                             const tepal_datagram *datagrams, size_t n)
{
    bool again;
    ssize_t got;
    do {
        int rc = udp_wait_ready(udp, IO_READ);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < n; i++) {
            memset(&batch->addrs[i], 0, sizeof(batch->addrs[i]));
            batch_set(batch, i, (struct iovec){ datagrams[i].data, datagrams[i].size },
                      sizeof(batch->addrs[i].storage));
        }
        got = recvmmsg(udp->io.fd, batch->messages, (unsigned)n, MSG_CMSG_CLOEXEC, NULL);
        got = udp_attempted(udp, IO_READ, got, &again);
    } while (again);
    return got;
}

/* Fills in those that have come, but for those that are not from the peer. Returns how many. */
static size_t keep_received(struct tepal_udp *udp, struct batch *batch, tepal_datagram *datagrams,
                            size_t n)
{
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        const struct mmsghdr *message = &batch->messages[i];
        tepal_datagram kept = datagrams[i];
        if (udp_is_foreign(udp, &batch->addrs[i]))
            continue;
        kept.addr = udp_source(udp, &batch->addrs[i]);
        kept.len = message->msg_len;
        kept.truncated = message->msg_hdr.msg_flags & MSG_TRUNC;
        kept.error = 0;
        datagrams[i] = datagrams[n_kept];
        datagrams[n_kept++] = kept;
    }
    return n_kept;
}

static ssize_t receive_all(struct tepal_udp *udp, tepal_datagram *datagrams, size_t n)
{
    struct batch *batch = batch_take(udp);
    ssize_t got, kept = 0;
    if (!batch)
        return -ENOMEM;
    do {
        got = receive_batch(udp, batch, datagrams, n);
        if (got > 0)
            kept = (ssize_t)keep_received(udp, batch, datagrams, (size_t)got);
    } while (got >= 0 && kept == 0);
    batch_give(batch);
    return got < 0 ? got : kept;
}

ssize_t tepal_udp_receive_all(tepal_udp *udp, tepal_datagram *datagrams, size_t n)
{
    task_need("tepal_udp_receive_all");
    udp_need(udp, "tepal_udp_receive_all");
    need_place("tepal_udp_receive_all", datagrams);
    if (n == 0)
        return -EINVAL;
    if (n > MANY)
        n = MANY;
    int rc = check_rooms(datagrams, n, "tepal_udp_receive_all");
    return rc < 0 ? rc : udp_left(udp, receive_all(udp, datagrams, n));
}

/* --- Sending ---------------------------------------------------------------------------------- */

/* Describes the first of n datagrams, up to one that has no address for this socket. Returns how
 * many. */
static size_t describe_batch(struct tepal_udp *udp, struct batch *batch,
                             const tepal_datagram *datagrams, size_t n)
{
    size_t i = 0;
    for (; i < n && i < MANY; i++) {
        const tepal_datagram *d = &datagrams[i];
        struct addr *addr = &batch->addrs[i];
        addr->len = 0;
        if (d->addr.family != 0 && udp_fit(udp, &d->addr, addr) < 0)
            break;
        batch_set(batch, i, (struct iovec){ d->data, d->len }, addr->len);
    }
    return i;
}

/* Sends some of n datagrams: returns how many of them that was; or how it went with the first one,
 * an error. *again: nothing has happened yet. */
static ssize_t send_batch(struct tepal_udp *udp, struct batch *batch,
                          const tepal_datagram *datagrams, size_t n, bool *again)
{
    size_t fitting = describe_batch(udp, batch, datagrams, n);
    *again = false;
    if (fitting == 0)
        return -EAFNOSUPPORT;
    int sent = sendmmsg(udp->io.fd, batch->messages, (unsigned)fitting, MSG_NOSIGNAL);
    return udp_attempted(udp, IO_WRITE, sent, again);
}

/* How far a call that sends many has got. */
struct progress {
    size_t n_tried, n_sent;
};

/* Sends all that can be sent, and sets the error of each that was tried. Returns 0, or what ended
 * it before all were. */
static int send_each(struct tepal_udp *udp, tepal_datagram *datagrams, size_t n,
                     struct progress *progress)
{
    struct batch *batch = batch_take(udp);
    int rc = batch ? 0 : -ENOMEM;
    while (rc == 0 && progress->n_tried < n) {
        tepal_datagram *rest = datagrams + progress->n_tried;
        bool again = true;
        ssize_t sent = 0;
        rc = udp_wait_ready(udp, IO_WRITE);
        if (rc == 0)
            sent = send_batch(udp, batch, rest, n - progress->n_tried, &again);
        if (again)
            continue;
        size_t tried = sent < 0 ? 1 : (size_t)sent;
        for (size_t i = 0; i < tried; i++)
            rest[i].error = sent < 0 ? (int)sent : 0;
        progress->n_tried += tried;
        progress->n_sent += sent < 0 ? 0 : tried;
    }
    batch_give(batch);
    return rc;
}

ssize_t tepal_udp_send_all(tepal_udp *udp, tepal_datagram *datagrams, size_t n)
{
    struct progress progress = { 0 };
    task_need("tepal_udp_send_all");
    udp_need(udp, "tepal_udp_send_all");
    need_place("tepal_udp_send_all", datagrams);
    int rc = check_rooms(datagrams, n, "tepal_udp_send_all");
    if (rc < 0)
        return rc;
    rc = udp_begin_sending(udp);
    if (rc == 0) {
        rc = send_each(udp, datagrams, n, &progress);
        (void)udp_end_sending(udp, rc);
    }
    for (size_t i = progress.n_tried; i < n; i++)
        datagrams[i].error = rc;
    return rc < 0 ? rc : (ssize_t)progress.n_sent;
}
