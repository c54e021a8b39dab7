/* tepal's echo server of the comparison: a task for each connection, which sends back what it
 * reads. */
#include <tepal/async.h>
#include <tepal/net.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int echo(void *arg)
{
    tepal_conn *conn = arg;
    char buffer[2 * 1024]; /* small: on the page of the stack that the task uses anyway */
    ssize_t n;
    int rc = 0;
    while (rc == 0 && (n = tepal_conn_read(conn, buffer, sizeof(buffer))) > 0)
        rc = tepal_conn_write(conn, buffer, (size_t)n);
    tepal_conn_close(conn);
    return 0;
}

static int serve(void *arg)
{
    tepal_listener *listener;
    tepal_listener_options options = { .host = "127.0.0.1", .port = *(int *)arg };
    int rc = tepal_listener_open(&listener, &options);
    if (rc < 0) {
        fprintf(stderr, "tepal-echo: %s\n", tepal_code_text(rc));
        return rc;
    }
    tepal_group *connections = tepal_group_new();
    tepal_conn *conn;
    while (connections && (rc = tepal_listener_open_conn(listener, &conn)) == 0)
        if (tepal_spawn(connections, echo, conn, NULL) < 0)
            tepal_conn_close(conn);
    tepal_group_close(connections);
    tepal_listener_close(listener);
    return rc;
}

int main(int argc, char **argv)
{
    int port = argc == 3 && strcmp(argv[1], "--port") == 0 ? atoi(argv[2]) : 0;
    if (port <= 0 || port > 65535) {
        fprintf(stderr, "usage: tepal-echo --port N\n");
        return 2;
    }
    return tepal_main(serve, &port) == 0 ? 0 : 1;
}
