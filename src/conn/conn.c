/* The life of a connection: opening and closing. */
#include "conn/conn.h"

int conn_open(struct http_conn *conn, int fd, const struct conn_limits *limits)
{
    *conn = (struct http_conn){ .limits = limits };
    return stream_open_socket(&conn->stream, loop_current, fd);
}

void conn_close(struct http_conn *conn)
{
    stream_close(&conn->stream);
    conn_release_input(conn);
    block_give(&loop_current->buffers, conn->out);
    conn->out = NULL;
    conn->out_len = 0;
}
