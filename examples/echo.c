/* Sends back what each client sends: a server on raw TCP.
 *
 *     build/examples/echo 7777
 *     nc 127.0.0.1 7777
 */
#include <stdlib.h>
#include <tepal.h>

static void echo(tepal_conn *conn, void *arg)
{
    char buffer[4096];
    for (ssize_t n; (n = tepal_conn_read(conn, buffer, sizeof(buffer))) > 0;)
        if (tepal_conn_write(conn, buffer, (size_t)n) < 0)
            return;
    (void)arg;
}

static int serve(void *port)
{
    tepal_listener_options where = { .port = atoi(port) };
    tepal_listener_serve_options how = { .stop_on_signal = true };
    return tepal_listener_open_and_serve(&where, echo, NULL, &how);
}

int main(int argc, char **argv)
{
    return tepal_main(serve, argc > 1 ? argv[1] : "7777") < 0;
}
