/*
 * The libevent peer: its own HTTP server (evhttp) on one event base in one thread. Locks are off,
 * as nothing is shared; the listener is made by hand because evhttp's own takes a backlog of 128,
 * too short for 512 connections that arrive at once.
 */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void add_headers(struct evhttp_request *req, const char *type)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Server", "libevent");
}

static void get_plaintext(struct evhttp_request *req, void *arg)
{
    (void)arg;
    add_headers(req, "text/plain; charset=utf-8");
    evbuffer_add_reference(evhttp_request_get_output_buffer(req), "Hello, World!", 13, NULL, NULL);
    evhttp_send_reply(req, 200, "OK", NULL);
}

static void get_json(struct evhttp_request *req, void *arg)
{
    (void)arg;
    json_t *value = json_pack("{s:s}", "message", "Hello, World!");
    char *text = json_dumps(value, JSON_COMPACT);
    json_decref(value);
    if (!text) {
        evhttp_send_error(req, 500, NULL);
        return;
    }
    add_headers(req, "application/json; charset=utf-8");
    evbuffer_add(evhttp_request_get_output_buffer(req), text, strlen(text));
    free(text);
    evhttp_send_reply(req, 200, "OK", NULL);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("libevent %s\n", event_get_version());
        return 0;
    }
    int port = argc == 3 && strcmp(argv[1], "--port") == 0 ? atoi(argv[2]) : 0;
    if (port <= 0 || port > 65535) {
        fprintf(stderr, "usage: peer-evhttp --port N | --version\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);

    struct event_config *config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    struct evhttp *http = evhttp_new(base);
    evhttp_set_timeout(http, 3600); /* long, not absent: arming it is part of the cost */
    evhttp_set_cb(http, "/plaintext", get_plaintext, NULL);
    evhttp_set_cb(http, "/json", get_json, NULL);

    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct evconnlistener *listener = evconnlistener_new_bind(
        base, NULL, NULL, LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 4096,
        (struct sockaddr *)&addr, (int)sizeof addr);
    if (!listener || !evhttp_bind_listener(http, listener)) {
        perror("peer-evhttp: listen");
        return 1;
    }
    int on = 1;
    setsockopt(evconnlistener_get_fd(listener), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    event_base_dispatch(base);
    return 0;
}
