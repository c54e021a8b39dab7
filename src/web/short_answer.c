/* A response of one piece, made on the stack: nothing here needs memory. */
#include "web/short_answer.h"

#include "http/status.h"
#include "web/connection.h"

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
    struct tepal_conn *stream = &connection->http.stream;
    struct iovec piece = { .iov_base = text, .iov_len = (size_t)n };
    (void)!stream->ops->writev(stream, &piece, 1); /* the close follows anyway */
}
