/* A TLS server for bench/tls and the functional tests: on each connection it reads a line, answers
 * what is known about the connection, and closes. SIGHUP lets it read the certificates again.
 *
 *     tls-handshake --port N --certificate FILE [--key FILE] [--more FILE] [--ca FILE]
 *                   [--alpn NAME] [--host ADDRESS] [--key-log FILE] [--client-key SHA256]
 *
 * --more: another certificate with its key, for its names. --ca: clients must show a certificate
 * of this authority. --client-key: clients must show one with this key, whoever has signed it. */
#include <tepal/async.h>
#include <tepal/net.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 4096, PATIENCE_MS = 10000 };

struct server {
    tepal_listener_options listen;
    tepal_tls_options options;
    const char *alpn[2]; /* and the NULL behind it */
    const char *more, *client_key;
    tepal_tls *tls;
    tepal_group *tasks;
};

struct connection {
    struct server *server;
    tepal_conn *conn;
};

/* Reads up to the end of a line. Returns 0 or a negative error. */
static int skip_line(tepal_conn *conn)
{
    char line[MAX_LINE];
    size_t len = 0;
    while (len < sizeof(line)) {
        ssize_t n = tepal_conn_read(conn, line + len, sizeof(line) - len);
        if (n <= 0)
            return n < 0 ? (int)n : TEPAL_ECLOSED;
        len += (size_t)n;
        if (memchr(line, '\n', len))
            return 0;
    }
    return TEPAL_EMESSAGE;
}

static const char *or_none(const char *text)
{
    return text ? text : "-";
}

static int answer(tepal_conn *conn)
{
    tepal_tls_info info;
    char text[1024];
    int rc = tepal_conn_tls_info(conn, &info);
    if (rc < 0)
        return rc;
    int len = snprintf(text, sizeof(text),
                       "HTTP/1.0 200 OK\r\n\r\n%s %s alpn=%s name=%s peer=%s resumed=%d\n",
                       info.version, info.cipher, or_none(info.alpn), or_none(info.server_name),
                       or_none(info.peer_subject), info.resumed);
    return tepal_conn_write(conn, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text));
}

static int serve(void *arg)
{
    struct connection *c = arg;
    (void)tepal_deadline_in_ms(PATIENCE_MS);
    int rc = tepal_conn_start_tls(c->conn, c->server->tls, NULL);
    if (rc == 0)
        rc = skip_line(c->conn);
    if (rc == 0)
        rc = answer(c->conn);
    tepal_conn_close(c->conn);
    free(c);
    return 0; /* what goes wrong on one connection is no failure of the server */
}

static int accept_all(void *arg)
{
    struct server *server = arg;
    tepal_listener *listener;
    int rc = tepal_listener_open(&listener, &server->listen);
    if (rc < 0)
        return rc;
    while (rc == 0) {
        struct connection *c = malloc(sizeof(*c));
        tepal_conn *conn;
        rc = tepal_listener_open_conn(listener, &conn);
        if (rc < 0 || !c) {
            free(c);
            continue;
        }
        *c = (struct connection){ .server = server, .conn = conn };
        rc = tepal_spawn(server->tasks, serve, c, NULL);
        if (rc < 0) {
            tepal_conn_close(conn);
            free(c);
        }
    }
    tepal_listener_close(listener);
    return rc;
}

/* Returns when the program shall end. */
static void watch_signals(struct server *server)
{
    static const int wanted[] = { SIGHUP, SIGINT, SIGTERM, 0 };
    tepal_signals *signals = tepal_signals_open(wanted);
    while (signals && tepal_signals_next(signals) == SIGHUP)
        if (tepal_tls_reload(server->tls) < 0)
            fprintf(stderr, "tls-handshake: %s\n", tepal_tls_error_text(server->tls));
        else
            fprintf(stderr, "tls-handshake: reloaded\n");
    tepal_signals_close(signals);
}

static int check_client(tepal_tls_peer *peer, void *arg)
{
    const struct server *server = arg;
    char seen[2 * sizeof(peer->key_sha256) + 1];
    for (size_t i = 0; i < sizeof(peer->key_sha256); i++)
        snprintf(seen + 2 * i, 3, "%02x", peer->key_sha256[i]);
    peer->reason = "the client has another key";
    return strcmp(seen, server->client_key) == 0 ? 0 : -EACCES;
}

static int run(void *arg)
{
    struct server *server = arg;
    server->options.verify_client = server->options.ca_file || server->client_key;
    server->options.verify = server->client_key ? check_client : NULL;
    server->options.verify_arg = server;
    server->tls = tepal_tls_new(&server->options);
    int rc = server->tls ? tepal_tls_error(server->tls) : -ENOMEM;
    if (rc == 0 && server->more)
        rc = tepal_tls_add_certificate(server->tls, server->more, NULL);
    if (rc < 0)
        fprintf(stderr, "tls-handshake: %s\n",
                server->tls ? tepal_tls_error_text(server->tls) : "");
    server->tasks = rc == 0 ? tepal_group_new() : NULL;
    if (server->tasks && (rc = tepal_spawn(server->tasks, accept_all, server, NULL)) == 0)
        watch_signals(server);
    tepal_group_close(server->tasks);
    tepal_tls_close(server->tls);
    return rc;
}

static bool take_option(struct server *server, const char *name, const char *value)
{
    const struct {
        const char *name, **value;
    } texts[] = {
        { "--certificate", &server->options.certificate },
        { "--key", &server->options.key },
        { "--ca", &server->options.ca_file },
        { "--alpn", &server->alpn[0] },
        { "--host", &server->listen.host },
        { "--more", &server->more },
        { "--key-log", &server->options.key_log },
        { "--client-key", &server->client_key },
    };
    if (strcmp(name, "--port") == 0) {
        server->listen.port = atoi(value);
        return true;
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].value = value;
            return true;
        }
    return false;
}

int main(int argc, char **argv)
{
    struct server server = { .options.server = true };
    for (int i = 1; i < argc; i += 2)
        if (i + 1 == argc || !take_option(&server, argv[i], argv[i + 1])) {
            fprintf(stderr, "tls-handshake: %s: the head of tls_handshake.c says how\n", argv[i]);
            return 2;
        }
    server.options.alpn = server.alpn;
    int rc = tepal_main(run, &server);
    if (rc < 0)
        fprintf(stderr, "tls-handshake: %s\n", tepal_code_text(rc));
    return rc < 0;
}
