/*
 * The libmicrohttpd peer: its epoll mode in one thread. The plain-text response is made once and
 * queued again and again, which is the cheapest use the library allows; JSON is serialised per
 * request.
 *
 * The thread is ours (MHD_USE_EPOLL with MHD_run), not the library's
 * (MHD_USE_EPOLL_INTERNAL_THREAD): version 0.9.75, Debian 12's, waits for more events when exactly
 * 128 are ready, before it serves those, so that its internal thread stalls from 128 busy
 * connections on. MHD_run never waits. With 64 connections the two cost the same.
 */
#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct MHD_Response *plaintext, *not_found;

static enum MHD_Result queue_json(struct MHD_Connection *conn)
{
    json_t *value = json_pack("{s:s}", "message", "Hello, World!");
    char *text = json_dumps(value, JSON_COMPACT);
    json_decref(value);
    if (!text)
        return MHD_NO;
    struct MHD_Response *res =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(res, "Content-Type", "application/json; charset=utf-8");
    enum MHD_Result rc = MHD_queue_response(conn, 200, res);
    MHD_destroy_response(res);
    return rc;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *conn, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    static int seen;

    (void)arg, (void)method, (void)version, (void)upload, (void)upload_size;
    if (!*state) { /* the library calls twice: after the head, and when it may answer */
        *state = &seen;
        return MHD_YES;
    }
    if (strcmp(url, "/plaintext") == 0)
        return MHD_queue_response(conn, 200, plaintext);
    if (strcmp(url, "/json") == 0)
        return queue_json(conn);
    return MHD_queue_response(conn, 404, not_found);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("libmicrohttpd %s\n", MHD_get_version());
        return 0;
    }
    int port = argc == 3 && strcmp(argv[1], "--port") == 0 ? atoi(argv[2]) : 0;
    if (port <= 0 || port > 65535) {
        fprintf(stderr, "usage: peer-microhttpd --port N | --version\n");
        return 2;
    }

    static char body[] = "Hello, World!", missing[] = "not found\n";
    plaintext = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(plaintext, "Content-Type", "text/plain; charset=utf-8");
    MHD_add_response_header(plaintext, "Server", "libmicrohttpd");
    not_found = MHD_create_response_from_buffer(strlen(missing), missing, MHD_RESPMEM_PERSISTENT);

    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    /* The timeout is long, not absent: its bookkeeping is part of what a server costs. */
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_TURBO, (uint16_t)port, NULL, NULL, handle, NULL,
        MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&addr, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096u, MHD_OPTION_CONNECTION_LIMIT, 20000u,
        MHD_OPTION_CONNECTION_TIMEOUT, 3600u, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "peer-microhttpd: cannot listen on port %d\n", port);
        return 1;
    }

    int ep = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    for (;;) {
        MHD_UNSIGNED_LONG_LONG wait;
        int ms = -1;
        if (MHD_get_timeout(daemon, &wait) == MHD_YES)
            ms = wait < 60000 ? (int)wait : 60000;
        if (ms != 0)
            poll(&(struct pollfd){ .fd = ep, .events = POLLIN }, 1, ms);
        MHD_run(daemon);
    }
}
