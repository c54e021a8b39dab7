/* One port for two protocols: looks at what each client says first, and passes it on.
 *
 *     build/examples/relay 7777 example.org:443 127.0.0.1:8080
 *
 *     openssl s_client -connect 127.0.0.1:7777 -servername example.org   # TLS: to the first
 *     curl http://127.0.0.1:7777/                                        # all else: to the second
 *     nc 127.0.0.1 7777                                                  # says nothing: to it, too
 */
#include <stdio.h>
#include <stdlib.h>

#include <tepal.h>

enum { PATIENCE_MS = 1000, IDLE_MS = 10 * 60 * 1000, TLS_HANDSHAKE = 22 };

struct target {
    char host[256];
    uint16_t port;
};

static const struct target *choose(tepal_conn *client, const struct target *targets)
{
    const char *data;
    int64_t before = tepal_deadline_in_ms(PATIENCE_MS);
    ssize_t n = tepal_conn_peek(client, 1, &data); /* it stays there, to be passed on */
    tepal_deadline_restore(before);
    return n > 0 && data[0] == TLS_HANDSHAKE ? &targets[0] : &targets[1];
}

static void forward(tepal_conn *client, void *arg)
{
    const struct target *target = choose(client, arg);
    tepal_conn *server;
    int rc = tepal_conn_open(&server, target->host, target->port, NULL);
    if (rc == 0) {
        rc = tepal_conn_relay(client, server, IDLE_MS);
        tepal_conn_close(server);
    }
    if (rc < 0)
        tepal_logf(TEPAL_LOG_INFO, "%s: %s", target->host, tepal_code_text(rc));
}

static bool parse(struct target *target, const char *text)
{
    int port = 0;
    bool found = sscanf(text, "%255[^:]:%d", target->host, &port) == 2;
    target->port = (uint16_t)port;
    return found && port > 0 && port < 65536;
}

struct relay {
    int port;
    struct target targets[2];
};

static int serve(void *arg)
{
    struct relay *relay = arg;
    tepal_listener_options where = { .port = relay->port };
    tepal_listener_serve_options how = { .stop_on_signal = true };
    return tepal_listener_open_and_serve(&where, forward, relay->targets, &how);
}

int main(int argc, char **argv)
{
    struct relay relay;
    if (argc != 4 || !parse(&relay.targets[0], argv[2]) || !parse(&relay.targets[1], argv[3])) {
        fprintf(stderr, "usage: %s PORT TLS_HOST:PORT OTHER_HOST:PORT\n", argv[0]);
        return 2;
    }
    relay.port = atoi(argv[1]);
    return tepal_main(serve, &relay) < 0;
}
