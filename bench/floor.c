/*
 * floor: the cheapest way one thread can answer HTTP-looking requests over epoll.
 *
 * It parses nothing. It counts blank lines, because a head ends with one, and answers each with the
 * same bytes, rendered before the first connection. What it costs is what the kernel charges for
 * moving a request in and a response out; no server built on epoll, read and write can be cheaper.
 * It is the unit the other servers' figures are divided by, and it is not a web server: it knows
 * neither bodies nor methods nor timeouts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* The same fields and the same length as tepal's own answer; the date need not be right to cost
 * the same, as tepal renders its own once a second. */
#define RESPONSE                                  \
    "HTTP/1.1 200 OK\r\n"                         \
    "Date: Sun, 01 Nov 2026 00:00:00 GMT\r\n"     \
    "Server: tepal\r\n"                           \
    "Content-Type: text/plain; charset=utf-8\r\n" \
    "Content-Length: 13\r\n"                      \
    "\r\n"                                        \
    "Hello, World!"

enum {
    RESPONSE_LEN = sizeof RESPONSE - 1,
    COPIES = 512, /* responses side by side, so that a pipelined batch is one write */
    MAX_EVENTS = 1024,
    MAX_FDS = 1 << 17
};

static char input[64 * 1024];
static char responses[COPIES * RESPONSE_LEN];

/* How many bytes of "\r\n\r\n" a connection's previous read ended with: a head may arrive split
 * anywhere. Indexed by descriptor, so that a connection costs one byte and no lookup. */
static unsigned char matched[MAX_FDS];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Counts the heads that end in these n bytes. */
static unsigned count_heads(int fd, const char *p, size_t n)
{
    static const char blank[] = "\r\n\r\n";
    const char *end = p + n;
    unsigned count = 0;
    unsigned m = matched[fd];

    while (m > 0 && p < end) { /* finish what the previous read began */
        if (*p == blank[m]) {
            p++;
            if (++m == 4) {
                count++;
                m = 0;
            }
        } else {
            m = 0; /* *p may be the '\r' that begins the next: look again */
        }
    }
    while (p < end && (p = memchr(p, '\r', (size_t)(end - p))) != NULL) {
        size_t left = (size_t)(end - p);
        if (left < 4) {
            m = 0;
            while (m < left && p[m] == blank[m])
                m++;
            if (m == left)
                break;
            m = 0;
            p++;
        } else if (memcmp(p, blank, 4) == 0) {
            count++;
            p += 4;
        } else {
            p++;
        }
    }
    matched[fd] = (unsigned char)m;
    return count;
}

/* Sends count responses; false when the connection is dead. */
static int answer(int fd, unsigned count)
{
    while (count > 0) {
        unsigned now = count < COPIES ? count : COPIES;
        size_t len = (size_t)now * RESPONSE_LEN, sent = 0;
        while (sent < len) {
            ssize_t n = send(fd, responses + sent, len - sent, MSG_NOSIGNAL);
            if (n > 0) {
                sent += (size_t)n;
            } else if (errno == EAGAIN) {
                /* Never on the measured path (a batch is smaller than any socket buffer); waiting
                 * here stalls the others but keeps the loop free of output queues. */
                poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 1000);
            } else if (errno != EINTR) {
                return 0;
            }
        }
        count -= now;
    }
    return 1;
}

static void serve(int fd, uint32_t events)
{
    for (;;) {
        ssize_t n = recv(fd, input, sizeof input, 0);
        if (n <= 0) {
            if (n < 0 && errno == EAGAIN)
                return;
            if (n < 0 && errno == EINTR)
                continue;
            close(fd);
            return;
        }
        unsigned count = count_heads(fd, input, (size_t)n);
        if (count > 0 && !answer(fd, count)) {
            close(fd);
            return;
        }
        /* A short read emptied the socket, and what comes later makes a new edge: asking again
         * would only buy an EAGAIN. Unless the peer has closed: that edge has been already. */
        if ((size_t)n < sizeof input && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
            return;
    }
}

static void accept_all(int ep, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
                return;
            die("accept4");
        }
        if (fd >= MAX_FDS) {
            close(fd);
            continue;
        }
        matched[fd] = 0;
        /* Registered once, for both the data and the end of it; never changed afterwards. */
        struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd };
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
            die("epoll_ctl");
    }
}

static int listen_on(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        die("bind");
    if (listen(fd, 4096) < 0)
        die("listen");
    return fd;
}

int main(int argc, char **argv)
{
    int port = argc == 3 && strcmp(argv[1], "--port") == 0 ? atoi(argv[2]) : 0;
    if (port <= 0 || port > 65535) {
        fprintf(stderr, "usage: floor --port N\n");
        return 2;
    }
    for (size_t i = 0; i < COPIES; i++)
        memcpy(responses + i * RESPONSE_LEN, RESPONSE, RESPONSE_LEN);

    int listener = listen_on(port);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = { .events = EPOLLIN, .data.fd = listener };
    if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) < 0)
        die("epoll");

    static struct epoll_event events[MAX_EVENTS];
    for (;;) {
        int n = epoll_wait(ep, events, MAX_EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_all(ep, listener);
            else
                serve(events[i].data.fd, events[i].events);
        }
    }
}
