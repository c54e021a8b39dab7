/* Ends of socket pairs that are closed as TCP would. */
#include "web/testing/peer.h"

#include "base/fd.h"
#include "base/mem.h"
#include "web/server/server.h"
#include "net/addr.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int testpeer_open(struct server *server, const struct addr *remote)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    int rc = fd_keep_both(pair);
    if (rc < 0)
        return rc;
    struct addr loopback;
    (void)addr_from_ip(&loopback, "127.0.0.1", 0); /* which is an address */
    server_attach(server, pair[1], remote ? remote : &loopback);
    return pair[0];
}

void testpeer_close(struct closed_peer **closed, int fd)
{
    int unread = 0;
    struct closed_peer *peer = mem_alloc(sizeof(*peer));
    if (!peer || (ioctl(fd, FIONREAD, &unread) == 0 && unread > 0)) {
        mem_free(peer);
        close(fd);
        return;
    }
    shutdown(fd, SHUT_WR);
    *peer = (struct closed_peer){ .fd = fd, .next = *closed };
    *closed = peer;
}

bool testpeer_answer(struct closed_peer **closed)
{
    bool any = false;
    for (struct closed_peer *peer; (peer = *closed);) {
        char octet;
        if (recv(peer->fd, &octet, 1, MSG_PEEK) < 0 && errno == EAGAIN) {
            closed = &peer->next;
            continue;
        }
        close(peer->fd);
        *closed = peer->next;
        mem_free(peer);
        any = true;
    }
    return any;
}

void testpeer_clear(struct closed_peer **closed)
{
    while (*closed) {
        struct closed_peer *peer = *closed;
        *closed = peer->next;
        close(peer->fd);
        mem_free(peer);
    }
}
