/* The load of the echo servers: connections that each send a message, wait until the whole of it
 * has come back, and send the next. Prints what it counted as one line of JSON. It ends with status
 * 1 when an answer is wrong or late, or a connection ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 4096, MAX_SIZE = 64 * 1024, MAX_EVENTS = 1024, SILENCE_MS = 5000 };

struct load {
    int port, connections, size, seconds;
};

static char message[MAX_SIZE], answer[MAX_SIZE];
static size_t received[MAX_CONNECTIONS];
static int fds[MAX_CONNECTIONS];

static void die(const char *what)
{
    fprintf(stderr, "echo-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void fail(const char *what)
{
    fprintf(stderr, "echo-load: %s\n", what);
    exit(1);
}

static double seconds_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int connect_to(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_message(int fd, const struct load *load)
{
    /* One message is out on each connection: it fits into every socket buffer. */
    if (send(fd, message, (size_t)load->size, MSG_NOSIGNAL) != load->size)
        die("send");
}

/* Takes what has come; 1 when that was the end of a message, and the next one has been sent. */
static int receive(int i, const struct load *load)
{
    size_t left = (size_t)load->size - received[i];
    ssize_t n = recv(fds[i], answer, left, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0)
        die("recv");
    if (n == 0)
        fail("the server has closed a connection");
    if (memcmp(answer, message + received[i], (size_t)n) != 0)
        fail("an answer is not what was sent");
    received[i] += (size_t)n;
    if (received[i] < (size_t)load->size)
        return 0;
    received[i] = 0;
    send_message(fds[i], load);
    return 1;
}

static void run(const struct load *load)
{
    static struct epoll_event events[MAX_EVENTS];
    int ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0)
        die("epoll_create1");
    for (int i = 0; i < load->connections; i++) {
        fds[i] = connect_to(load->port);
        struct epoll_event ev = { .events = EPOLLIN, .data.u32 = (uint32_t)i };
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev) < 0)
            die("epoll_ctl");
    }
    double begin = seconds_now(CLOCK_MONOTONIC), cpu = seconds_now(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < load->connections; i++)
        send_message(fds[i], load);
    double end = begin;
    uint64_t messages = 0;
    for (; end - begin < load->seconds; end = seconds_now(CLOCK_MONOTONIC)) {
        int n = epoll_wait(ep, events, MAX_EVENTS, SILENCE_MS);
        if (n == 0)
            fail("no answer for five seconds");
        for (int i = 0; i < n; i++)
            messages += (uint64_t)receive((int)events[i].data.u32, load);
    }
    printf("{\"messages\": %llu, \"duration_s\": %.6f, \"cpu_s\": %.6f}\n",
           (unsigned long long)messages, end - begin, seconds_now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

int main(int argc, char **argv)
{
    struct load load = { .connections = 64, .size = 1024, .seconds = 2 };
    for (int i = 1; i + 1 < argc; i += 2) {
        int value = atoi(argv[i + 1]);
        if (strcmp(argv[i], "--port") == 0)
            load.port = value;
        else if (strcmp(argv[i], "--connections") == 0)
            load.connections = value;
        else if (strcmp(argv[i], "--size") == 0)
            load.size = value;
        else if (strcmp(argv[i], "--seconds") == 0)
            load.seconds = value;
        else
            argc = 0;
    }
    if (argc % 2 == 0 || load.port <= 0 || load.port > 65535 || load.connections < 1 ||
        load.connections > MAX_CONNECTIONS || load.size < 1 || load.size > MAX_SIZE ||
        load.seconds < 1) {
        fprintf(stderr, "usage: echo-load --port N [--connections 64] [--size 1024] "
                        "[--seconds 2]\n");
        return 2;
    }
    for (int i = 0; i < load.size; i++)
        message[i] = (char)(i * 7 + i / 256);
    run(&load);
    return 0;
}
