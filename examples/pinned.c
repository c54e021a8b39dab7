/* Connects by TLS to a server that is known by its key, whoever has signed its certificate: to
 * devices and services of one's own, whose certificates are self-signed.
 *
 *     build/examples/pinned 192.0.2.1 8883              prints the fingerprint of the server's key
 *     build/examples/pinned 192.0.2.1 8883 12ab...ef    talks to none but the server with that key
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tepal.h>

struct pin {
    const char *host, *port;
    const char *expected; /* NULL: not known yet */
    char seen[65];
};

/* The last word on the server's certificate, in the middle of the handshake. */
static int verify(tepal_tls_peer *peer, void *arg)
{
    struct pin *pin = arg;
    for (size_t i = 0; i < sizeof(peer->key_sha256); i++)
        snprintf(pin->seen + 2 * i, 3, "%02x", peer->key_sha256[i]);
    if (pin->expected && strcmp(pin->expected, pin->seen) == 0)
        return 0;
    peer->reason = pin->expected ? "the server has another key" : "the server's key is not known";
    return -EPERM;
}

static int connect_pinned(void *arg)
{
    struct pin *pin = arg;
    tepal_conn *conn;
    tepal_tls *tls = tepal_tls_new(&(tepal_tls_options){
        .insecure_no_verify = true, /* but for the pin */
        .verify = verify,
        .verify_arg = pin,
    });
    tepal_deadline_in_ms(10000);
    int rc = tepal_conn_open(&conn, pin->host, (uint16_t)atoi(pin->port),
                             &(tepal_conn_options){ .tls = tls });
    const char *text = tepal_tls_error_text(tls);
    if (rc == 0)
        tepal_conn_close(conn);
    else
        fprintf(stderr, "%s\n", text ? text : tepal_code_text(rc));
    tepal_tls_close(tls);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: %s HOST PORT [FINGERPRINT]\n", argv[0]);
        return 2;
    }
    struct pin pin = { .host = argv[1], .port = argv[2], .expected = argv[3] };
    int rc = tepal_main(connect_pinned, &pin);
    if (pin.seen[0])
        puts(pin.seen);
    return rc < 0;
}
