/* A response of one piece, made on the stack: nothing here needs memory. */
#include "web/exchange/short_answer.h"

#include "http/status.h"
#include "web/server/access_log.h"
#include "web/exchange/connection.h"

#include <errno.h>
#include <stdio.h>

/* A client that is told to come again need not come at once. */
static const char retry_after[] = "Retry-After: 1\r\n";

void short_answer(struct connection *connection, int status)
{
    char text[512];
    size_t len;
    const char *common = server_common_fields(connection->server, &len);
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
        access_log_write_bare(connection->server->access_log, connection, status,
                              sent == n ? sent : -EPIPE);
}
