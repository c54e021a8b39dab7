/* The life of a connection: opening and closing. */
#include "conn/h1_conn.h"

int h1_conn_open(struct h1_conn *http, int fd, const struct h1_conn_limits *limits)
{
    *http = (struct h1_conn){ .limits = limits };
    return conn_open_socket(&http->conn, loop_current, fd);
}

void h1_conn_close(struct h1_conn *http)
{
    conn_close(&http->conn);
    h1_conn_release_input(http);
    block_give(&loop_current->buffers, http->out);
    http->out = NULL;
    http->out_len = 0;
}
