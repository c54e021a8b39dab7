/* The connection operations through TLS: plain octets on one side, the operations of the socket on
 * the other, and OpenSSL between them. None of them waits. */
#include "async/task.h"
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RECORD_SIZE = SSL3_RT_MAX_PLAIN_LENGTH, /* octets that are encrypted together, at most */
    RECORDS_AT_ONCE = 16, /* in one call, so that a fast peer does not have the loop to itself */
    READS_AT_ONCE = 16,   /* the same, of the socket */
};

/* --- Between OpenSSL and the socket ----------------------------------------------------------- */

bool tls_is_holding(const struct tls_conn *t)
{
    return t->unsent.len > 0;
}

bool tls_is_open(const struct tls_conn *t)
{
    return t->established;
}

/* Sends what the socket takes. Returns how much that was, or the error of the socket. */
static ssize_t send_some(struct tls_conn *t, const char *data, size_t len)
{
    size_t done = 0;
    while (done < len && (t->conn->io.state & IO_WRITE)) {
        struct iovec piece = { .iov_base = (void *)(uintptr_t)(data + done),
                               .iov_len = len - done };
        ssize_t n = t->below->writev(t->conn, &piece, 1);
        if (n < 0 && n != -EAGAIN)
            return n;
        if (n > 0)
            done += (size_t)n;
    }
    return (ssize_t)done;
}

/* Lets all further writes return this error, without waiting for the socket. */
static void end_writing(struct tls_conn *t, int error)
{
    t->write_error = error;
    t->conn->io.state |= IO_WRITE;
}

int tls_push(struct tls_conn *t)
{
    if (t->unsent.len == 0)
        return 0;
    ssize_t n = send_some(t, t->unsent.data + t->n_sent, t->unsent.len - t->n_sent);
    if (n > 0)
        t->n_sent += (size_t)n;
    if (n >= 0 && t->n_sent < t->unsent.len)
        return -EAGAIN;
    /* All is gone, or nothing of it will ever go. */
    buf_clear(&t->unsent);
    t->n_sent = 0;
    if (n < 0)
        end_writing(t, (int)n);
    return n < 0 ? (int)n : 0;
}

static int bio_write(BIO *bio, const char *data, int size)
{
    struct tls_conn *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = t->unsent.len > 0 ? 0 : send_some(t, data, (size_t)size);
    if (n >= 0 && n < size) {
        if (t->unsent.len >= TLS_MANY_UNSENT) {
            BIO_set_retry_write(bio);
            return -1;
        }
        int rc = buf_append(&t->unsent, data + n, (size_t)(size - n));
        n = rc < 0 ? -ENOMEM : size;
    }
    if (n < 0) {
        t->socket_error = (int)n;
        return -1;
    }
    return size;
}

static int bio_read(BIO *bio, char *data, int size)
{
    struct tls_conn *t = BIO_get_data(bio);
    struct io *io = &t->conn->io;
    BIO_clear_retry_flags(bio);
    if (octets_len(&t->early) > 0)
        return (int)octets_take(&t->early, data, (size_t)size);
    ssize_t n = -EAGAIN;
    if (t->reads_left > 0 && (io->state & IO_READ)) {
        t->reads_left--;
        n = t->below->read(t->conn, data, (size_t)size);
    }
    if (n > 0)
        return (int)n;
    if (n == -EAGAIN)
        BIO_set_retry_read(bio);
    else
        t->socket_error = (int)n; /* 0: the end */
    return -1;
}

static long bio_control(BIO *bio, int command, long number, void *arg)
{
    (void)bio;
    (void)number;
    (void)arg;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tepal conn");
    if (!method)
        return NULL;
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    return method;
}

void tls_begin(struct tls_conn *t)
{
    /* Many connections share the thread, and its queue of errors. */
    ERR_clear_error();
    t->reads_left = READS_AT_ONCE;
    t->socket_error = 0;
}

/* --- Failures --------------------------------------------------------------------------------- */

/* The text of what has been called an error of the protocol. */
static int protocol_error(struct tls_conn *t)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    const char *text = ERR_reason_error_string(error);
    t->broken = true;
    t->text = text ? text : "protocol error";
    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return reason == ERR_R_MALLOC_FAILURE ? -ENOMEM : TEPAL_ETLS;
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && t->refused < 0) {
        t->text = t->refusal ? t->refusal : tepal_code_text(t->refused);
        return TEPAL_ECERTIFICATE;
    }
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        t->text = X509_verify_cert_error_string(SSL_get_verify_result(t->ssl));
        return TEPAL_ECERTIFICATE;
    }
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        return TEPAL_ECERTIFICATE;
    return reason == ERR_R_MALLOC_FAILURE ? -ENOMEM : TEPAL_ETLS;
}

int tls_why(struct tls_conn *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        return -ENOBUFS;
    case SSL_ERROR_ZERO_RETURN:
        return t->socket_error; /* of a write, after the peer has said that it ends */
    case SSL_ERROR_SYSCALL:
        if (t->socket_error < 0)
            return t->socket_error;
        t->text = "the peer closed the connection without saying so";
        return t->established ? TEPAL_ETRUNCATED : TEPAL_ECLOSED;
    default:
        return protocol_error(t);
    }
}

void tls_give_up(struct tls_conn *t, int error)
{
    struct io *io = &t->conn->io;
    t->read_error = t->write_error = error;
    io->state |= IO_READ | IO_WRITE;
    if (io->reader)
        task_wake(io->reader, 0);
    if (io->writer)
        task_wake(io->writer, 0);
}

/* --- Reading ---------------------------------------------------------------------------------- */

static ssize_t tls_read(struct tepal_conn *conn, void *buffer, size_t size)
{
    struct tls_conn *t = conn->tls;
    size_t done = 0, n;
    if (t->read_error < 0)
        return t->read_error;
    tls_begin(t);
    while (done < size) {
        int result = SSL_read_ex(t->ssl, (char *)buffer + done, size - done, &n);
        if (result == 1) {
            done += n;
            continue;
        }
        int rc = tls_why(t, result);
        if (rc == -EAGAIN)
            return done > 0 ? (ssize_t)done : -EAGAIN;
        if (rc == -ENOBUFS) {
            rc = TEPAL_ETLS;
            t->broken = true;
            t->text = "the peer reads nothing, but makes us answer";
        }
        t->read_error = rc;
        if (t->broken)
            tls_give_up(t, rc);
        break;
    }
    /* The next call must be made: for an end or an error, or for what waits in OpenSSL, of which
     * the poller knows nothing. */
    if (done < size || tls_has_pending(t))
        conn->io.state |= IO_READ;
    return done > 0 ? (ssize_t)done : t->read_error;
}

/* --- Writing ---------------------------------------------------------------------------------- */

/* Where a write has got to in its pieces. */
struct source {
    const struct iovec *pieces;
    int n;
    size_t offset; /* in the first piece */
};

static void advance(struct source *from, size_t done)
{
    from->offset += done;
    while (from->n > 0 && from->offset >= from->pieces->iov_len) {
        from->offset -= from->pieces->iov_len;
        from->pieces++;
        from->n--;
    }
}

/* The octets of the next record: from one piece where they are, or from several, copied together
 * into *block: a record for each small piece would cost more than the copy. */
static struct iovec next_record(const struct source *from, char **block)
{
    struct iovec first = { .iov_base = (char *)from->pieces->iov_base + from->offset,
                           .iov_len = from->pieces->iov_len - from->offset };
    if (first.iov_len >= RECORD_SIZE)
        first.iov_len = RECORD_SIZE;
    else if (from->n > 1 && !*block)
        *block = block_take(&loop_current->buffers);
    if (first.iov_len == RECORD_SIZE || from->n == 1 || !*block)
        return first;
    size_t len = first.iov_len;
    memcpy(*block, first.iov_base, len);
    for (int i = 1; i < from->n && len < RECORD_SIZE; i++) {
        const struct iovec *piece = &from->pieces[i];
        size_t some = piece->iov_len < RECORD_SIZE - len ? piece->iov_len : RECORD_SIZE - len;
        if (some > 0)
            memcpy(*block + len, piece->iov_base, some);
        len += some;
    }
    return (struct iovec){ .iov_base = *block, .iov_len = len };
}

/* What must be done before anything is written. Returns 0, -EAGAIN or an error. */
static int begin_write(struct tls_conn *t)
{
    return t->write_error < 0 ? t->write_error : tls_push(t);
}

/* Encrypts one record. What of it the socket does not take is held. Returns 0; -EAGAIN when nothing
 * was written; or an error, which is kept, since a part of the record may have gone. */
static int write_record(struct tls_conn *t, const void *data, size_t len)
{
    struct io *io = &t->conn->io;
    size_t n;
    tls_begin(t);
    int result = SSL_write_ex(t->ssl, data, len, &n);
    int rc = result == 1 ? 0 : tls_why(t, result);
    if (rc < 0 && rc != -EAGAIN)
        end_writing(t, rc);
    if (t->broken)
        tls_give_up(t, rc);
    /* A part of a message between the two TLS layers has come, such as a ticket, and its rest must
     * be read first. When it comes, the poller will report that the socket is writable, too. */
    if (rc == -EAGAIN && !(io->state & IO_READ))
        io->state &= ~(uint32_t)IO_WRITE;
    if (t->reads_left < READS_AT_ONCE && tls_has_pending(t)) {
        io->state |= IO_READ;
        if (io->reader)
            task_wake(io->reader, 0);
    }
    return rc;
}

static ssize_t tls_writev(struct tepal_conn *conn, const struct iovec *pieces, int n)
{
    struct tls_conn *t = conn->tls;
    struct source from = { .pieces = pieces, .n = n };
    if (n == 0)
        return tls_push(t);
    int rc = begin_write(t);
    if (rc < 0)
        return rc;
    size_t done = 0;
    char *block = NULL;
    advance(&from, 0);
    for (int i = 0; i < RECORDS_AT_ONCE && from.n > 0 && !tls_is_holding(t); i++) {
        struct iovec record = next_record(&from, &block);
        rc = write_record(t, record.iov_base, record.iov_len);
        if (rc < 0)
            break;
        advance(&from, record.iov_len);
        done += record.iov_len;
    }
    block_give(&loop_current->buffers, block);
    return done > 0 ? (ssize_t)done : rc;
}

static ssize_t tls_sendfile(struct tepal_conn *conn, int file, int64_t *offset, size_t len)
{
    _Static_assert((int)RECORD_SIZE <= (int)LOOP_BUFFER_SIZE, "a record fits a block");
    struct tls_conn *t = conn->tls;
    int rc = begin_write(t);
    if (rc < 0)
        return rc;
    char *block = block_take(&loop_current->buffers);
    if (!block)
        return -ENOMEM;
    size_t done = 0;
    for (int i = 0; i < RECORDS_AT_ONCE && done < len && !tls_is_holding(t); i++) {
        size_t some = len - done < RECORD_SIZE ? len - done : RECORD_SIZE;
        ssize_t n = pread(file, block, some, *offset);
        rc = n < 0 ? -errno : 0;
        if (n > 0)
            rc = write_record(t, block, (size_t)n);
        if (n <= 0 || rc < 0)
            break;
        *offset += n;
        done += (size_t)n;
    }
    block_give(&loop_current->buffers, block);
    return done > 0 ? (ssize_t)done : rc == -EINTR ? -EAGAIN : rc;
}

/* --- The end ---------------------------------------------------------------------------------- */

/* Says close_notify, once. Returns 0 or an error. */
static int say_goodbye(struct tls_conn *t)
{
    if (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)
        return 0;
    if (t->write_error < 0)
        return t->write_error;
    tls_begin(t);
    int result = SSL_shutdown(t->ssl);
    int rc = result < 0 ? tls_why(t, result) : 0;
    end_writing(t, rc < 0 ? rc : -EPIPE);
    return rc < 0 ? rc : 0;
}

static int tls_shutdown(struct tepal_conn *conn)
{
    return say_goodbye(conn->tls);
}

void tls_say_no_goodbye(struct tls_conn *t)
{
    t->no_goodbye = true;
}

/* Whether the socket has something left to do after the close: what is unsent, or, where octets
 * that nobody reads can spoil the end, to wait for the peer's. That is so with TCP, until the peer
 * has said that it ends. */
static bool has_to_linger(const struct tls_conn *t)
{
    bool is_socket = t->below == &conn_socket_ops || t->below == &conn_unix_ops;
    if (!is_socket || !t->established || t->no_goodbye)
        return false;
    return t->unsent.len > 0 || (!(SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN) &&
                                 socket_option(t->conn->io.fd, SO_DOMAIN) != AF_UNIX);
}

static void tls_close(struct tepal_conn *conn)
{
    struct tls_conn *t = conn->tls;
    if (!loop_current->forked) { /* in a child nothing may be said on the parent's connection */
        if (t->established && !t->no_goodbye)
            (void)say_goodbye(t);
        (void)tls_push(t);
    }
    bool lingers = has_to_linger(t) && !loop_current->forked;
    struct buf rest = t->unsent;
    size_t n_sent = t->n_sent;
    if (lingers)
        buf_init(&t->unsent, TLS_MAX_UNSENT);
    /* A session whose connection has not been shut down in both directions could not be resumed. */
    if (!t->broken)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    tls_detach(conn);
    if (lingers)
        tls_linger(conn->io.fd, &rest, n_sent);
    else
        conn->ops->close(conn);
}

const struct conn_ops conn_tls_ops = {
    .read = tls_read,
    .writev = tls_writev,
    .sendfile = tls_sendfile,
    .shutdown = tls_shutdown,
    .close = tls_close,
};
