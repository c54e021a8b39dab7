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
    ssize_t n;
    while ((n = tepal_conn_read(conn, buffer, sizeof(buffer))) > 0 &&
           tepal_conn_write(conn, buffer, (size_t)n) == 0)
        continue;
    (void)arg;
}

static int serve(void *port)
{
    return tepal_listener_open_and_serve(&(tepal_listener_options){ .port = atoi(port) }, echo,
                                         NULL,
                                         &(tepal_listener_serve_options){ .stop_on_signal = true });
}

int main(int argc, char **argv)
{
    return tepal_main(serve, argc > 1 ? argv[1] : "7777") < 0;
}
