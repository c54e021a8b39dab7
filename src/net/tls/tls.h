/* TLS inside: the context (tls.c, pem.c, trust.c, sites.c, tickets.c,
 * sessions.c, key_log.c) and the connection (conn.c, handshake.c, verify.c,
 * linger.c).
 *
 * OpenSSL never sees the socket: it reads and writes by functions of conn.c, over the
 * operations that the connection had before. What the socket does not take at once they keep
 * (unsent), so that OpenSSL is never in the middle of a write: a write that was accepted is never
 * tried again, and reading never has to wait for writing. */
#ifndef TEPAL_NET_TLS_TLS_H
#define TEPAL_NET_TLS_TLS_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "net/conn/buffers.h"
#include "net/conn/conn.h"

#include <tepal/tls.h>

#include <openssl/ssl.h>

/* The longest DNS name; the size of SHA-256. */
enum { TLS_MAX_NAME = 253, TLS_DIGEST_SIZE = 32 };

/* Octets that a connection holds because the socket does not take them. So many of them must go
 * before OpenSSL may write anything: a peer that does not read what it makes us say gets no more of
 * our memory. */
enum { TLS_MANY_UNSENT = 64 * 1024, TLS_MAX_UNSENT = TLS_MANY_UNSENT + 32 * 1024 };

/* --- Contexts --------------------------------------------------------------------------------- */

/* The files of one certificate, as they were named, or their texts. */
struct tls_files {
    char *certificate, *key;
};

enum { TLS_KEY_KINDS = 4 };

/* One SSL_CTX: certificates for the same names, at most one for each kind of key. */
struct tls_site {
    SSL_CTX *ctx;
    int kinds[TLS_KEY_KINDS]; /* of keys, as OpenSSL numbers them; 0: free */
};

/* All that was read from files, to be replaced as a whole. */
struct tls_sites {
    struct tls_site *sites; /* the first one is for clients that ask for no name we have */
    size_t n_sites;
    struct map by_name; /* lower-case DNS names, and "*.example.com", to an index of sites + 1 */
    char **names;       /* its keys */
    size_t n_names;
    X509_STORE *trusted;
    STACK_OF(X509_NAME) * authorities;     /* that clients are told; NULL: none */
    unsigned char digest[TLS_DIGEST_SIZE]; /* of all certificates, trusted ones and our own */
};

/* The sessions that a client may resume. */
struct tls_sessions {
    struct list hosts; /* most recently used first */
    size_t n_hosts, max_hosts;
};

struct tls_ticket_key {
    unsigned char name[16], cipher[TLS_DIGEST_SIZE], mac[TLS_DIGEST_SIZE];
};

/* The keys of a server's tickets. One is used for the length of a session's life, and known for as
 * long again. */
struct tls_tickets {
    int64_t lifetime_ms, period;           /* period: the number of the present one */
    unsigned char secret[TLS_DIGEST_SIZE]; /* that the present key was made from */
    struct tls_ticket_key current, previous;
    bool has_previous;
};

/* The failed handshakes of a server, for the log. */
struct tls_failures {
    int64_t next_at; /* ms: when the next one may be logged */
    size_t n_untold;
};

struct tepal_tls {
    size_t n_users;            /* the program, and each connection */
    tepal_tls_options options; /* texts are copies of our own */
    unsigned char *alpn;       /* as it is sent: each name with its length before it */
    unsigned alpn_len;
    struct tls_files *files;
    size_t n_files;
    struct tls_sites sites;
    uint64_t generation; /* changes whenever what was read from the files does */
    struct tls_sessions sessions;
    struct tls_tickets tickets;
    struct tls_failures failures;
    BIO_METHOD *bio_method;
    int key_log; /* a file; -1: none */
    bool key_log_failed;
    int status;
    char text[256]; /* what failed last; "" for nothing */
};

void tls_hold(tepal_tls *tls);
void tls_release(tepal_tls *tls);

/* Keeps a text about a failure; returns error. */
int tls_fail(tepal_tls *tls, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int tls_no_memory(tepal_tls *tls);

/* What OpenSSL says about a file that could be read; returns an error. */
int tls_bad_file(tepal_tls *tls, const char *path);

/* Reading anything else, a pipe above all, could hold up the loop for ever. */
#define TLS_NOT_REGULAR "not a regular file"

/* Returns 0, or why this process cannot or may not read the file. */
int tls_check_readable(tepal_tls *tls, const char *path);

/* --- pem.c ------------------------------------------------------------------------------------ */

#define TLS_CERTIFICATE_TEXT "the certificate in memory"

/* Whether this is PEM itself, and not the path of a file. */
bool tls_is_text(const char *source);

/* The path, or otherwise where it is text: what messages call it. */
const char *tls_source_name(const char *source, const char *otherwise);

/* Frees a copy of a source; of a text, which may be a key, nothing stays in memory. */
void tls_forget_source(char *source);

/* Gives OpenSSL the password that is its argument, or none: without this the program's user would
 * be asked on the terminal. */
int tls_on_password(char *out, int size, int writing, void *arg);

/* Lets a context show this certificate. Returns 0 or an error, with a text in the context. */
int tls_pem_use(SSL_CTX *ctx, tepal_tls *tls, const struct tls_files *files);

/* Trusts the authorities in a text; a server tells its clients of them. Returns as tls_pem_use().
 */
int tls_pem_trust(struct tls_sites *sites, tepal_tls *tls, const char *text);

/* --- key_log.c -------------------------------------------------------------------------------- */

/* Opens the file that the options ask for, if they do. Returns 0 or an error, with a text. */
int tls_key_log_open(tepal_tls *tls);
void tls_key_log_use(SSL_CTX *ctx, const tepal_tls *tls);
void tls_key_log_close(tepal_tls *tls);

/* --- verify.c --------------------------------------------------------------------------------- */

/* Lets the program have the last word on certificates, if it wants to. */
void tls_verify_use(SSL_CTX *ctx, const tepal_tls *tls);

/* Whether a session may be resumed, for all that the program says of the peer's certificate in it.
 * verified: as it was when the session began. */
bool tls_verify_session(struct tls_conn *t, SSL_SESSION *session, bool verified);

/* The subject of a certificate as text, which the caller frees by mem_free(); NULL when memory is
 * short. */
char *tls_subject_of(const X509 *certificate);

/* --- trust.c ---------------------------------------------------------------------------------- */

/* Reads whom to trust, and puts that into the digest, too. Returns 0 or an error, with a text in
 * the context. */
int tls_trust_read(struct tls_sites *sites, tepal_tls *tls);

/* Makes the digest depend on another one, too. False when memory is short, and then it is as it
 * was. */
bool tls_digest_add(unsigned char *digest, const unsigned char *more);

/* Until when, in seconds since 1970, what this handshake has verified may be taken for granted. */
int64_t tls_good_until(SSL *ssl, int64_t lifetime_ms);

/* Logs a certificate whose time is not now. */
void tls_warn_of_times(const char *path, const X509 *certificate);

/* --- sites.c ---------------------------------------------------------------------------------- */

/* Reads all files of the context. Returns 0 or an error, with a text in the context, and then there
 * are no sites. */
int tls_sites_read(struct tls_sites *sites, tepal_tls *tls);

/* Adds the certificate in these files. Returns 0 or an error, with a text in the context, and then
 * nothing has changed. */
int tls_sites_add(struct tls_sites *sites, tepal_tls *tls, const struct tls_files *files);
void tls_sites_clear(struct tls_sites *sites);

/* The number of the site for clients that ask for this name, from 1 on; 0 when there is none. */
size_t tls_sites_number(const struct tls_sites *sites, const char *name);

/* The SSL_CTX of that site, or NULL. */
SSL_CTX *tls_sites_find(const struct tls_sites *sites, const char *name);

/* --- sessions.c ------------------------------------------------------------------------------- */

/* Keeps a session under the key until this time (seconds since 1970). Returns whether it took over
 * the reference. */
bool tls_sessions_keep(struct tls_sessions *sessions, const char *key, SSL_SESSION *session,
                       int64_t until);

/* A session to resume, whose reference is the caller's, and until when it is good; or NULL. */
SSL_SESSION *tls_sessions_take(struct tls_sessions *sessions, const char *key, int64_t *until);
void tls_sessions_clear(struct tls_sessions *sessions);

/* --- tickets.c -------------------------------------------------------------------------------- */

/* Makes the first key. Returns 0, -ENOMEM or -EAGAIN. */
int tls_tickets_init(struct tls_tickets *tickets, int64_t lifetime_ms);

/* Changes the keys by this digest, so that no ticket of before can be opened. Returns 0 or -ENOMEM,
 * and then they are as they were. */
int tls_tickets_change(struct tls_tickets *tickets, const unsigned char *digest);

/* Lets a context of OpenSSL's use the tickets of its tepal_tls. False when memory is short. */
bool tls_tickets_use(SSL_CTX *ctx);

/* --- Connections ------------------------------------------------------------------------------ */

/* What a connection has in addition once TLS has begun. */
struct tls_conn {
    SSL *ssl;
    tepal_tls *tls;
    struct tepal_conn *conn;
    const struct conn_ops *below; /* that the connection had before */
    struct octets early;          /* that were read ahead before: the peer's first; mostly empty */
    struct buf unsent;            /* encrypted octets that the socket did not take; mostly empty */
    size_t n_sent;                /* of them have gone since */
    unsigned reads_left;          /* from the socket, in the present call */
    int read_error, write_error;  /* that all further calls return */
    int socket_error;             /* of the present call */
    bool established;             /* the handshake is over */
    bool broken;                  /* by a violation of the protocol: the session is worth nothing */
    bool no_goodbye;              /* the close must not look like a proper end */
    uint64_t generation;          /* of the context, when this connection began */
    int64_t session_until;        /* of the session that is resumed, in seconds since 1970 */
    size_t site;                  /* a server: the number of the one that was asked for */
    const char *text;             /* what failed */
    char *alpn, *peer_subject, *session_key;
    char *host;  /* a client: that it wants, in lower case; a server: that the client has asked for,
                      if the program checks certificates */
    int refused; /* by the program's own check, with this error, */
    char *refusal; /* and for this reason; NULL: there was no memory for it */
};

/* The connection operations through TLS. */
extern const struct conn_ops conn_tls_ops;

/* Puts TLS between conn and socket; reads and writes return -EBUSY until the handshake is done.
 * What was read ahead is what the peer has begun with. Returns 0 or -ENOMEM. */
int tls_attach(struct tepal_conn *conn, tepal_tls *tls);

/* Frees what tls_attach() made. The connection can only be closed then. */
void tls_detach(struct tepal_conn *conn);

/* Whether there are octets of the peer's that the poller knows nothing of. */
static inline bool tls_has_pending(const struct tls_conn *t)
{
    return SSL_has_pending(t->ssl) || octets_len(&t->early) > 0;
}

/* Tries to send what is unsent. Returns 0, -EAGAIN or the error of the socket. */
int tls_push(struct tls_conn *t);

/* To be called before each call of OpenSSL's on t. */
void tls_begin(struct tls_conn *t);

/* Why a call of OpenSSL's with this result failed: -EAGAIN (more octets must come), -ENOBUFS
 * (unsent octets must go), 0 (the peer has said that it ends) or another error, with its text in t.
 */
int tls_why(struct tls_conn *t, int result);

/* Lets all reads and writes return this error, also those that wait. */
void tls_give_up(struct tls_conn *t, int error);

BIO_METHOD *tls_bio_method_new(void);

/* --- linger.c --------------------------------------------------------------------------------- */

/* Takes over the socket of a connection that has been closed, and what it has not sent yet but for
 * the first n_sent octets: sends that, ends this side, and closes the socket when the peer has
 * ended, too. No poller knows the socket. */
void tls_linger(int fd, struct buf *rest, size_t n_sent);

#endif
