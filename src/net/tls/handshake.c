/* The beginning of TLS on a connection: the handshake, and what it has found out. */
#include "async/task/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"
#include "net/addr.h"
#include "net/tls/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* --- Attaching -------------------------------------------------------------------------------- */

static bool open_ssl(struct tls_conn *t)
{
    t->ssl = SSL_new(t->tls->sites.sites[0].ctx);
    BIO *bio = t->ssl ? BIO_new(t->tls->bio_method) : NULL;
    if (!bio)
        return false;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    if (t->tls->options.server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    return true;
}

static void destroy(struct tls_conn *t)
{
    SSL_free(t->ssl);
    buf_clear(&t->unsent);
    octets_clear(&t->early);
    mem_free(t->alpn);
    mem_free(t->session_key);
    mem_free(t->host);
    mem_free(t->refusal);
    mem_free(t->peer_subject);
    tls_release(t->tls);
    mem_free(t);
}

int tls_attach(struct tepal_conn *conn, tepal_tls *tls)
{
    struct tls_conn *t = mem_zalloc(sizeof(*t));
    if (!t)
        return -ENOMEM;
    tls_hold(tls);
    t->tls = tls;
    t->generation = tls->generation;
    t->conn = conn;
    buf_init(&t->unsent, TLS_MAX_UNSENT);
    t->read_error = t->write_error = -EBUSY;
    tls_begin(t);
    if (!open_ssl(t)) {
        destroy(t);
        return -ENOMEM;
    }
    if (conn->buffers) {
        t->early = conn->buffers->in;
        conn->buffers->in = (struct octets){ 0 };
    }
    t->below = conn->ops;
    conn->tls = t;
    conn->ops = &conn_tls_ops;
    return 0;
}

void tls_detach(struct tepal_conn *conn)
{
    conn->ops = conn->tls->below;
    destroy(conn->tls);
    conn->tls = NULL;
}

/* --- A client's wishes ------------------------------------------------------------------------ */

/* Sessions are resumed only with the same server: the same name and port. */
static char *session_key(const struct tepal_conn *conn, const char *host)
{
    struct addr addr = { .len = sizeof(addr.storage) };
    char text[TLS_MAX_NAME + 16];
    unsigned port = 0;
    if (getpeername(conn->io.fd, &addr.sa, &addr.len) == 0 && addr.sa.sa_family != AF_UNIX)
        port = addr_to_peer(&addr).port;
    snprintf(text, sizeof(text), "%s %u", host, port);
    return mem_strdup(text);
}

/* Copies the host in lower case, without the dot that a name may have at its end, and the interface
 * that an IPv6 address may have. Returns 0 or -EINVAL. */
static int clean_host(char *out, const char *host)
{
    size_t len = strchr(host, ':') ? strcspn(host, "%") : strlen(host);
    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len == 0 || len > TLS_MAX_NAME)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)host[i];
        if (c <= ' ' || c >= 0x7f)
            return -EINVAL;
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : (char)c;
    }
    out[len] = '\0';
    return 0;
}

/* Offers the last session with the host, unless the program does not accept its certificate any
 * more: then the handshake is a full one. Returns 0 or -ENOMEM. */
static int offer_session(struct tls_conn *t, const char *host)
{
    t->session_key = session_key(t->conn, host);
    if (!t->session_key)
        return -ENOMEM;
    SSL_SESSION *session = tls_sessions_take(&t->tls->sessions, t->session_key, &t->session_until);
    bool verified =
        session && SSL_set_session(t->ssl, session) && SSL_get_verify_result(t->ssl) == X509_V_OK;
    if (session && !tls_verify_session(t, session, verified))
        (void)SSL_set_session(t->ssl, NULL);
    SSL_SESSION_free(session);
    return 0;
}

/* Says whom this client wants to talk to. Returns 0 or -ENOMEM. */
static int expect_host(struct tls_conn *t, const char *host)
{
    X509_VERIFY_PARAM *wanted = SSL_get0_param(t->ssl);
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    bool is_address = X509_VERIFY_PARAM_set1_ip_asc(wanted, host);
    if (!is_address && !(SSL_set_tlsext_host_name(t->ssl, host) && SSL_set1_host(t->ssl, host)))
        return -ENOMEM;
    t->host = mem_strdup(host);
    if (!t->host)
        return -ENOMEM;
    return t->tls->options.no_resumption ? 0 : offer_session(t, host);
}

/* --- The handshake ---------------------------------------------------------------------------- */

static int keep_protocol(struct tls_conn *t)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(t->ssl, &name, &len);
    if (len == 0)
        return 0;
    t->alpn = mem_strndup((const char *)name, len);
    return t->alpn ? 0 : -ENOMEM;
}

/* Returns 0 when the handshake is done. Suspends. */
static int shake_hands(struct tls_conn *t)
{
    while (true) {
        tls_begin(t);
        int result = SSL_do_handshake(t->ssl);
        int rc = result == 1 ? 0 : tls_why(t, result);
        /* What was said must have gone before an answer can come. An alert that says why it failed
         * was tried once, and is not waited for. */
        if (rc == 0 || rc == -EAGAIN || rc == -ENOBUFS) {
            int flushed = conn_flush(t->conn, TEPAL_NEVER);
            if (flushed < 0)
                return flushed;
        }
        if (result == 1)
            return keep_protocol(t);
        if (rc == -EAGAIN)
            rc = conn_wait_read(t->conn, TEPAL_NEVER);
        else if (rc == 0)
            rc = TEPAL_ECLOSED;
        if (rc < 0 && rc != -ENOBUFS)
            return rc;
    }
}

/* Returns what is to be said about a connection and its options before anything is done. */
static int check(struct tepal_conn *conn, tepal_tls *tls, const char *host, char *clean)
{
    int rc = tepal_tls_error(tls);
    if (rc == 0 && conn->tls)
        rc = -EALREADY;
    if (rc == 0)
        rc = conn_may_upgrade(conn);
    if (rc == 0 && !tls->options.server && (host || !tls->options.insecure_no_verify)) {
        rc = host ? clean_host(clean, host) : -EINVAL;
        if (rc < 0)
            tls_fail(tls, rc, "the host to connect to is missing or malformed");
    }
    return rc;
}

/* Whether the peer went before it had said anything: what looks whether a port is open does
 * that. */
static bool was_a_knock(const struct tls_conn *t, int error)
{
    return (error == TEPAL_ECLOSED || error == -ECONNRESET) &&
           BIO_number_read(SSL_get_rbio(t->ssl)) == 0;
}

/* A failure is one peer's affair, but whoever runs the server must be able to see that all of them
 * fail. Peers decide how often that is, so not each has a line of its own. */
static void tell_failure(const struct tls_conn *t, int error)
{
    enum { EVERY_MS = 10 * 1000 };
    struct tls_failures *failures = &t->tls->failures;
    char peer[TEPAL_ADDR_TEXT_SIZE] = "a peer", more[64] = "";
    tepal_addr addr;
    if (!t->tls->options.server || error == -ECANCELED || was_a_knock(t, error))
        return;
    if (loop_current->now < failures->next_at) {
        failures->n_untold++;
        return;
    }
    if (tepal_conn_peer_addr(t->conn, &addr) == 0)
        tepal_addr_text(&addr, peer, sizeof(peer));
    if (failures->n_untold > 0)
        snprintf(more, sizeof(more), "; %zu more since the last such line", failures->n_untold);
    tepal_logf(TEPAL_LOG_INFO, "the TLS handshake with %s failed: %s%s", peer, t->text, more);
    failures->n_untold = 0;
    failures->next_at = loop_time_after(loop_current->now, EVERY_MS);
}

int tepal_conn_start_tls(tepal_conn *conn, tepal_tls *tls, const tepal_start_tls_options *options)
{
    struct tepal_task *task = task_need("tepal_conn_start_tls");
    conn_need(conn, "tepal_conn_start_tls");
    int rc = task_check(loop_current, task);
    char host[TLS_MAX_NAME + 1] = "";
    if (rc == 0 && options)
        rc = room_check("tepal_conn_start_tls", options->later, sizeof(options->later));
    if (rc == 0)
        rc = check(conn, tls, options ? options->host : NULL, host);
    if (rc == 0)
        rc = tls_attach(conn, tls);
    if (rc < 0)
        return rc;
    struct tls_conn *t = conn->tls;
    if (host[0])
        rc = expect_host(t, host);
    if (rc == 0)
        rc = shake_hands(t);
    if (UNLIKELY(conn->tls != t)) /* closed, since the task was cancelled */
        return (int)conn_left(conn, rc);
    if (rc == TEPAL_ECERTIFICATE && t->refused < 0)
        rc = t->refused;
    if (rc < 0) {
        t->text = t->text ? t->text : tepal_code_text(rc);
        tls_give_up(t, rc == -EINTR ? TEPAL_ETLS : rc); /* nobody is to try again */
        tell_failure(t, rc);
        return tls_fail(tls, rc, "%s", t->text);
    }
    t->established = true;
    t->read_error = t->write_error = 0;
    /* The first octets of the peer may have come with the end of its handshake. */
    if (tls_has_pending(t))
        conn->io.state |= IO_READ;
    return 0;
}

/* --- What is known ---------------------------------------------------------------------------- */

/* Describes the peer's certificate. Returns 0 or -ENOMEM. */
static int describe_peer(struct tls_conn *t, X509 *certificate, tepal_tls_info *info)
{
    if (!t->peer_subject) {
        t->peer_subject = tls_subject_of(certificate);
        if (!t->peer_subject)
            return -ENOMEM;
    }
    info->peer_subject = t->peer_subject;
    return X509_digest(certificate, EVP_sha256(), info->peer_sha256, NULL) ? 0 : -ENOMEM;
}

int tepal_conn_tls_info(const tepal_conn *conn, tepal_tls_info *info)
{
    if (!conn || !info)
        misuse("tepal_conn_tls_info", conn ? "info is NULL" : "the connection is NULL");
    struct tls_conn *t = conn->tls;
    *info = (tepal_tls_info){ 0 };
    if (!t || !t->established)
        return -ENOTCONN;
    tls_begin(t);
    info->version = SSL_get_version(t->ssl);
    info->cipher = SSL_get_cipher_name(t->ssl);
    info->alpn = t->alpn;
    info->server_name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
    info->resumed = SSL_session_reused(t->ssl);
    X509 *certificate = SSL_get0_peer_certificate(t->ssl);
    if (!certificate)
        return 0;
    info->verified = SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE &&
                     !t->tls->options.insecure_no_verify &&
                     SSL_get_verify_result(t->ssl) == X509_V_OK;
    return describe_peer(t, certificate, info);
}

const char *tepal_conn_tls_error_text(const tepal_conn *conn)
{
    if (!conn)
        misuse("tepal_conn_tls_error_text", "the connection is NULL");
    return conn->tls ? conn->tls->text : NULL;
}
