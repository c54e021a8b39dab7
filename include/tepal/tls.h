/* TLS on connections: TLS 1.2 and 1.3, client and server, by OpenSSL.
 *
 * A context (tepal_tls) holds what all connections of one kind share: certificates, whom to trust,
 * protocols, sessions. tepal_conn_start_tls() turns a live connection into an encrypted one; after
 * that it is read and written by the same calls as before.
 *
 * Nothing older than TLS 1.2 is ever spoken; with TLS 1.2 only forward-secret, authenticated
 * ciphers (ECDHE with AES-GCM or ChaCha20-Poly1305). There is no compression, no renegotiation, no
 * early data. A client verifies the server's certificate and its name.
 */
#ifndef TEPAL_TLS_H
#define TEPAL_TLS_H

#include <tepal/base.h>
#include <tepal/conn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Contexts --------------------------------------------------------------------------------- */

typedef enum tepal_tls_version { TEPAL_TLS_1_2 = 12, TEPAL_TLS_1_3 = 13 } tepal_tls_version;

/* What a peer shows of itself, for a function that verifies it. All of it is lent for the call. */
typedef struct tepal_tls_peer {
    const char *host;         /* a client: whom it wants to talk to; a server: the name that the
                                 client asked for; or NULL */
    bool verified;            /* the certificate leads to a trusted authority; with a client also:
                                 it is for the host */
    bool resumed;             /* an earlier session is about to be resumed: chain is the first one
                                 only, and a refusal leads to a full handshake */
    const char *problem;      /* why it is not verified: "self-signed certificate"; or NULL */
    const char *subject;      /* "CN=example.com" */
    const char *const *names; /* whom the certificate is for, NULL at the end: "DNS:example.com",
                                 "IP:192.0.2.1", "email:me@example.com", "URI:..." */
    uint8_t sha256[32];       /* of the certificate in DER */
    uint8_t key_sha256[32];   /* of its public key (SubjectPublicKeyInfo in DER), which is the same
                                 after a renewal with the same key */
    const tepal_bytes *chain; /* in DER, the peer's own first. Verified: up to the authority; else
                                 as the peer sent them */
    size_t n_chain;
    const char *reason; /* for the function to set: why it refuses; copied, up to 200 octets */
    uint64_t later[4];
} tepal_tls_peer;

/* Has the last word on a peer's certificate. Returns 0 to accept it. A negative error refuses the
 * peer, which gets an alert, and is what tepal_conn_start_tls() returns; its text is the reason,
 * or that of the error. Whether the peer has the key to the certificate is seen after the call:
 * only a handshake that succeeds shows it. The function runs in the middle of the handshake, so it
 * must neither suspend (a call that would ends the program with a message) nor touch the context
 * or the connection, which it must not close, either; what it needs to know is looked up before,
 * and what takes time is done after the handshake. It runs on the stack of the task. */
typedef int tepal_tls_verify_fn(tepal_tls_peer *peer, void *arg);

/* Where a PEM file is named the text itself may be given instead: what has "-----BEGIN " in it is
 * no path. It is copied; in messages it is "the certificate in memory". */
typedef struct tepal_tls_options {
    bool server; /* default: a client */

    /* Who we are; PEM. A server must have a certificate, a client shows one when asked. */
    const char *certificate;  /* our certificate, and behind it those that lead to the root */
    const char *key;          /* its private key; default: it is with the certificate */
    const char *key_password; /* of all keys that are encrypted; nobody is ever prompted */

    /* The authorities that the peer's certificate must lead to. Default of a client: those of the
     * system. A server that verifies must name one of the two, or have a check of its own. */
    const char *ca_file;       /* PEM */
    const char *ca_dir;        /* a folder that "openssl rehash" has prepared; read as a whole. A
                                  file in it that cannot be used is named in the log */
    bool insecure_no_verify;   /* a client: takes any certificate, and so anybody for the server */
    bool verify_client;        /* a server: clients must show a certificate */
    bool verify_client_if_any; /* a server: a client may show none, but not a wrong one */

    tepal_tls_version min_version; /* default TEPAL_TLS_1_2 */
    const char *const *alpn;       /* names of application protocols, best first, NULL at the end:
                                { "h2", "http/1.1", NULL }. Default: none. The server chooses; it
                                refuses a client that offers others only */
    bool no_resumption;            /* no session tickets: every handshake is a full one */
    size_t max_sessions; /* a client: hosts whose last sessions are kept to be resumed; default
                                256. The least recently used one goes */
    int64_t session_lifetime_ms; /* how long after its full handshake a session may be resumed,
                                    and not beyond the end of a certificate that was verified then.
                                    A server changes the keys of its tickets each time this has
                                    passed. Default 2 hours; at least 1 minute, at most 7 days */

    /* The program's own check of the peer's certificate. It is asked after the usual verification,
     * and only when that has found nothing wrong; in its place for a client with
     * insecure_no_verify, and for a server that is to verify its clients and has neither ca_file
     * nor ca_dir: then it alone decides. A server's is asked only with verify_client or
     * verify_client_if_any, and not of a client that shows no certificate. It is asked again before
     * a session is resumed. Default: none. */
    tepal_tls_verify_fn *verify;
    const void *verify_arg;

    /* For debugging: a file that the secrets of all connections are appended to (in the NSS key log
     * format), so that programs such as Wireshark can decrypt what was recorded of them. Whoever
     * has the file can, too. It is made for this user alone (0600); one that is another user's, or
     * that others may read or write, is refused. The log warns of it. Writing to it blocks, and one
     * that cannot be written to stops no connection. The variable SSLKEYLOGFILE means nothing by
     * itself, since who sets it need not be who may read what is encrypted; a program that wants
     * to heed it, as curl and Firefox do, says .key_log = getenv("SSLKEYLOGFILE"). Default, and
     * for an empty text: none. */
    const char *key_log;
    uint64_t later[1];
} tepal_tls_options;

/* A new context; NULL options: a client with all defaults. The options are copied, the files read,
 * which blocks: for some 25 ms when these are the system's authorities. So it is made once, and
 * serves all connections. No file is read at any other time but by the two calls below. A
 * certificate of our own that has expired, or is not valid yet, is used, with a warning in the log
 * that names its file and date. NULL only when memory is short. Anything else that fails is kept:
 * tepal_tls_error() and each further use of the context return it. A context belongs to the thread
 * that uses it; processes that are forked later share its ticket keys, and change them alike. The
 * caller closes it. */
TEPAL_API tepal_tls *tepal_tls_new(const tepal_tls_options *options);

/* 0, or why the context cannot be used: -ENOENT, -EACCES, ... for a file that cannot be read;
 * TEPAL_ECERTIFICATE for one that has no certificate or key or is no regular file (from a pipe a
 * reload could not read again, and would wait), or when the two do not belong together; -EPERM for
 * a key_log that is another user's, or open to others, and -EINVAL for one that is no regular file
 * (-EISDIR for a folder, -ENXIO for a socket, and a FIFO that nobody reads); -EINVAL for a server
 * without certificate, a server that must verify without ca_file, ca_dir and verify, one with
 * verify that verifies nobody, a bad protocol name or version, a session_lifetime_ms out of its
 * range; -ENOMEM; -EAGAIN when the system has no random numbers. For NULL, which tepal_tls_new()
 * returns for want of memory, -ENOMEM. */
TEPAL_API int tepal_tls_error(const tepal_tls *tls);

/* A text about what last failed on this context, or in a handshake with it: "server.pem: No such
 * file or directory", "certificate has expired", "hostname mismatch". NULL if nothing did; valid
 * until the next call that uses the context. */
TEPAL_API const char *tepal_tls_error_text(const tepal_tls *tls);

/* Adds a certificate and its key (PEM, as in the options; key NULL: in the same place) to a
 * server: it is shown to clients that ask for one of its names, and sessions with it are its own.
 * The first certificate of all is shown to the others. One with the names of an earlier one and
 * another kind of key (RSA, ECDSA) joins it, and what the client can do decides. Does not suspend.
 * Returns 0 or as tepal_tls_error(), and then the context goes on with what it had; -EINVAL for a
 * client, or without a file. */
TEPAL_API int tepal_tls_add_certificate(tepal_tls *tls, const char *certificate,
                                        const char *key) TEPAL_MUST_CHECK;

/* Reads all files again, for new connections; those that exist live on with what they have. What
 * was given as text stays: new texts need a new context. When any certificate has changed, of an
 * authority or our own, no session of before is resumed: who is not trusted any more does not come
 * in by an old ticket, on either side. If nothing has changed, sessions live on. Does not suspend.
 * Returns 0 or as tepal_tls_error(); after a failure the context goes on with what it had. */
TEPAL_API int tepal_tls_reload(tepal_tls *tls);

/* Closes the context; connections that use it live on. NULL is allowed. */
TEPAL_API void tepal_tls_close(tepal_tls *tls);

/* --- Connections ------------------------------------------------------------------------------ */

typedef struct tepal_start_tls_options {
    const char *host; /* a client: whom it wants to talk to, a DNS name (A-labels) or an IP address.
                         The server's certificate must be for it, and the server is told the name.
                         Must be given unless insecure_no_verify */
    uint64_t later[4];
} tepal_start_tls_options;

/* Makes a connection encrypted: the handshake, as client or server by the context. At once after
 * connect or accept, or later (STARTTLS): then the caller sees to it that the peer knows where the
 * plain text ends. What was read ahead or peeked at (tepal_conn_peek()) is the beginning of the
 * handshake: so a server can look first what the peer speaks, and plain text that somebody has
 * slipped in before is never taken for the peer's encrypted one, but a failure. No other task may
 * use the connection meanwhile. A task with a stack of its own size needs 48 KiB for it.
 *
 * Suspends; to limit its time use tepal_deadline_in_ms(). Returns 0, and from then on all calls on
 * the connection are encrypted. Otherwise a negative error, and the connection can only be closed:
 *   TEPAL_ECERTIFICATE  the peer's certificate was not accepted, or there was none
 *   what verify of tepal_tls_options returned, when that has refused it
 *   TEPAL_ETLS          the peer speaks no TLS, none that is secure enough, or refused us
 *   TEPAL_ECLOSED       the peer closed the connection
 *   -ECONNRESET, ...    errors of the connection; -ETIMEDOUT, -ECANCELED, -EINTR, -ENOMEM
 * tepal_conn_tls_error_text() says more. A server's failures are told in the log, with the peer and
 * the reason: one line in 10 s at most, which says how many there were besides; not those of peers
 * that close without a word. These are returned before anything was sent, and leave the connection
 * as it was: what tepal_tls_error() says; -EINVAL for a client without a host or with a malformed
 * one; -EALREADY when it is encrypted already; -EBUSY when a task waits on the connection, or what
 * was put into it has not been drained. */
TEPAL_API int tepal_conn_start_tls(tepal_conn *conn, tepal_tls *tls,
                                   const tepal_start_tls_options *options);

/* What the other calls do on an encrypted connection:
 *
 *  - tepal_conn_read() returns 0 when the peer has said that it ends (close_notify), and
 *    TEPAL_ETRUNCATED when the connection ended without that: then octets may be missing, by an
 *    attacker's doing. Some peers always end so; if the application's protocol says that all has
 *    come, it can be taken for an end. With TLS 1.3, a server that does not accept a client's
 *    certificate says so only now: TEPAL_ETLS. The same for a peer that asks to be answered again
 *    and again (by key updates), and leaves 64 KiB of answers unread.
 *  - tepal_conn_shutdown() says that this side ends; reading goes on. Suspends while the peer is
 *    slow.
 *  - tepal_conn_close() says so, too, but does not wait. What was written before arrives, and the
 *    end behind it, although the peer's tickets or its own end have not been read: the socket lives
 *    on by itself, without the tepal_conn. It ends this side, drops what comes, and is closed when
 *    the peer has ended its side; when nothing has moved for 10 s, after a minute, or after 256
 *    KiB; the oldest of more than 1000 in a loop; and with the loop, which waits up to a second for
 *    the peer's system to get what is under way.
 *  - tepal_conn_sendfile() reads the file, and encrypts it.
 */

/* What is known about an encrypted connection. Texts live as long as the connection. */
typedef struct tepal_tls_info {
    const char *version;      /* "TLSv1.2", "TLSv1.3" */
    const char *cipher;       /* as OpenSSL calls it: "TLS_AES_128_GCM_SHA256" */
    const char *alpn;         /* the application protocol, or NULL */
    const char *server_name;  /* that the client asked for, or NULL */
    const char *peer_subject; /* of the peer's certificate: "CN=example.com"; NULL: it has none */
    uint8_t peer_sha256[32];  /* of the peer's certificate in DER; zeros: it has none */
    bool verified;            /* the certificate leads to a trusted authority; with a client also:
                                 it is for the host. Not with insecure_no_verify, whatever verify of
                                 tepal_tls_options has said */
    bool resumed;             /* by an earlier session */
    uint64_t later[4];
} tepal_tls_info;

/* Does not suspend. Returns 0, -ENOTCONN when the connection is not encrypted (or not yet),
 * -ENOMEM. */
TEPAL_API int tepal_conn_tls_info(const tepal_conn *conn, tepal_tls_info *info);

/* A text about the TLS failure of a connection: "certificate has expired", "wrong version number".
 * NULL if there was none. Lives as long as the connection. */
TEPAL_API const char *tepal_conn_tls_error_text(const tepal_conn *conn);

#ifdef __cplusplus
}
#endif
#endif
