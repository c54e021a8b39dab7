/* A response of one piece, made on the stack: nothing here needs memory. */
#include "web/exchange/short_answer.h"

#include "http/status.h"
#include "web/server/access_log.h"
#include "web/exchange/connection.h"
#include "web/exchange/partial_head.h"

#include <errno.h>
#include <stdio.h>

/* A client that is told to come again need not come at once. */
static const char retry_after[] = "Retry-After: 1\r\n";

/* Tells the access log, with what has come of a head. */
static void log_answer(const struct connection *c, int status, ssize_t sent)
{
    struct h1_head head;
    const struct server *server = c->server;
    struct bare_answer answer = { .peer = &c->peer, .status = status, .sent = sent };
    if (c->in_head && c->deadline != TEPAL_NEVER) {
        int64_t began = c->deadline - server->options.limits.head_timeout_ms;
        answer.elapsed_us = server->loop->now > began ? (server->loop->now - began) * 1000 : 0;
    }
    tepal_bytes octets;
    if (partial_head_look(c->partial, &head, &octets)) {
        answer.message = &head.message;
        if (head.stage == H1_START_LINE)
            answer.unread = octets;
    }
    access_log_write_bare(server->access_log, &answer);
}

void short_answer(struct connection *connection, int status)
{
    char text[512];
    size_t len;
    const char *common = h1_ways_common_fields(connection->server->h1, &len);
    int n =
        snprintf(text, sizeof(text),
                 "HTTP/1.1 %d %s\r\n%.*s%sContent-Length: 0\r\nConnection: close\r\n\r\n", status,
                 http_status_reason(status), (int)len, common, status == 503 ? retry_after : "");
    if (n >= (int)sizeof(text)) /* a Server field of some length */
        n = snprintf(text, sizeof(text),
                     "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status,
                     http_status_reason(status));
    struct tepal_conn *conn = &connection->http.conn;
    ssize_t sent = conn_try_write(conn, text, (size_t)n); /* the close follows anyway */
    if (connection->server->access_log)
        log_answer(connection, status, sent == n ? sent : -EPIPE);
}
