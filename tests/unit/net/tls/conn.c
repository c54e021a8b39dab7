/* Tests of encrypted connections once they are established: data, ends, failures, and what may come
 * between the data. */
#include "../tls_check.h"

#include <openssl/err.h>
#include <sys/ioctl.h>

/* The contexts of all tests here. */
static tepal_tls *server_tls, *client_tls;

static void open_both(struct pair *pair)
{
    if (!server_tls)
        server_tls = new_server("server");
    if (!client_tls)
        client_tls = new_client();
    open_pair(pair, client_tls, server_tls, "localhost");
    expect_secure(pair);
}

static void close_contexts(void)
{
    tepal_tls_close(server_tls);
    tepal_tls_close(client_tls);
    server_tls = client_tls = NULL;
}

/* --- Data ------------------------------------------------------------------------------------- */

static char octet_at(size_t i)
{
    return (char)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static char *new_data(size_t len)
{
    char *data = malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = octet_at(i);
    return data;
}

struct transfer {
    tepal_conn *conn;
    size_t len, done, step; /* step: how much is read at once */
    int64_t pause_ms;       /* before the first read */
    const char *data;
};

static int read_all(void *arg)
{
    struct transfer *t = arg;
    char *buffer = malloc(t->step);
    ssize_t n;
    assert_int_equal(tepal_sleep_ms(t->pause_ms), 0);
    while ((n = tepal_conn_read(t->conn, buffer, t->step)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(buffer[i], octet_at(t->done + (size_t)i));
        t->done += (size_t)n;
    }
    free(buffer);
    return (int)n;
}

static int write_all(void *arg)
{
    struct transfer *t = arg;
    int rc = tepal_conn_write(t->conn, t->data, t->len);
    return rc < 0 ? rc : tepal_conn_shutdown(t->conn);
}

static int both_ways(void *arg)
{
    size_t len = RUNNING_ON_VALGRIND ? 1 << 20 : 8 << 20;
    char *data = new_data(len);
    struct pair pair;
    struct transfer writes[2], reads[2];
    tepal_group *group = tepal_group_new();
    open_both(&pair);
    for (int i = 0; i < 2; i++) {
        tepal_conn *conn = pair.ends[i].conn;
        writes[i] = (struct transfer){ .conn = conn, .len = len, .data = data };
        reads[i] = (struct transfer){ .conn = conn, .step = i ? 65536 : 1777, .pause_ms = i };
        assert_int_equal(tepal_spawn(group, write_all, &writes[i], NULL), 0);
        assert_int_equal(tepal_spawn(group, read_all, &reads[i], NULL), 0);
    }
    assert_int_equal(tepal_group_wait(group), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(reads[i].done, len);
        assert_null(pair.ends[i].conn->tls->unsent.data);
    }
    tepal_group_close(group);
    close_pair(&pair);
    close_contexts();
    free(data);
    (void)arg;
    return 0;
}

static void much_in_both_directions(void **state)
{
    (void)state;
    assert_int_equal(run(both_ways, NULL), 0);
}

/* Octets that are left in OpenSSL are known to be there, though the socket has none. */
static int small_reads(void *arg)
{
    (void)arg;
    struct pair pair;
    open_both(&pair);
    tepal_conn *from = pair.ends[0].conn, *to = pair.ends[1].conn;
    char *data = new_data(40000), buffer[40000];
    for (int round = 0; round < 3; round++) {
        struct transfer t = { .conn = from, .len = 3000, .data = data };
        for (size_t n = 0; n < 3000; n += 1000) /* three records, in one segment or not */
            assert_int_equal(tepal_conn_write(from, data + n, 1000), 0);
        settle();
        for (size_t done = 0; done < t.len;) {
            assert_int_equal(conn_wait_read(to, TEPAL_NEVER), 0);
            assert_true(to->io.state & IO_READ);
            ssize_t n = conn_try_read(to, buffer, 7);
            assert_true(n > 0 && n <= 7);
            assert_memory_equal(buffer, data + done, (size_t)n);
            done += (size_t)n;
        }
        /* Nothing is left: this is told without an end to it. */
        for (int i = 0; i < 2 && (to->io.state & IO_READ); i++)
            assert_int_equal(conn_try_read(to, buffer, 7), -EAGAIN);
        assert_false(to->io.state & IO_READ);
    }
    /* Reads take as many records as there are. */
    for (size_t n = 0; n < 3000; n += 1000)
        assert_int_equal(tepal_conn_write(from, data + n, 1000), 0);
    settle();
    assert_int_equal(tepal_conn_read(to, buffer, sizeof(buffer)), 3000);
    free(data);
    close_pair(&pair);
    close_contexts();
    return 0;
}

static void small_reads_of_large_records(void **state)
{
    (void)state;
    assert_int_equal(run(small_reads, NULL), 0);
}

struct pieces {
    tepal_conn *conn;
    tepal_bytes *pieces;
    size_t n;
};

static int write_pieces(void *arg)
{
    struct pieces *p = arg;
    int rc = tepal_conn_writev(p->conn, p->pieces, p->n);
    return rc < 0 ? rc : tepal_conn_shutdown(p->conn);
}

static int many_pieces(void *arg)
{
    enum { N = 400 };
    static tepal_bytes pieces[N];
    static const size_t numbers[] = { N, 0, 1, 2, 63, 64, 65 };
    size_t len = 0, max = 4 << 20;
    uint64_t seed = 5;
    char *data = new_data(max);
    (void)arg;
    for (int i = 0; i < N; i++) {
        uint32_t kind = next_random(&seed) % 10;
        size_t size = kind < 2   ? 0
                      : kind < 8 ? next_random(&seed) % 3000
                                 : 16383 + next_random(&seed) % 20000 * (kind == 9);
        pieces[i] = (tepal_bytes){ size ? data + len : NULL, size };
        len += size;
    }
    assert_true(len < max);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct pair pair;
        open_both(&pair);
        struct pieces p = { pair.ends[0].conn, pieces, numbers[i] };
        struct transfer t = { .conn = pair.ends[1].conn, .step = 5000, .pause_ms = 1 };
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, write_pieces, &p, NULL), 0);
        assert_int_equal(tepal_spawn(group, read_all, &t, NULL), 0);
        assert_int_equal(tepal_group_wait(group), 0);
        size_t expected = 0;
        for (size_t k = 0; k < numbers[i]; k++)
            expected += pieces[k].len;
        assert_int_equal(t.done, expected);
        tepal_group_close(group);
        close_pair(&pair);
    }
    close_contexts();
    free(data);
    return 0;
}

static void writev_of_many_pieces(void **state)
{
    (void)state;
    assert_int_equal(run(many_pieces, NULL), 0);
}

/* Small pieces go out as one record. */
static int small_pieces(void *arg)
{
    (void)arg;
    struct pair pair;
    char buffer[100];
    int before, after;
    open_both(&pair);
    settle();
    const tepal_bytes pieces[] = { { "a", 1 }, { NULL, 0 }, { "bc", 2 }, { "d", 1 } };
    int fd = pair.ends[1].conn->io.fd;
    assert_int_equal(ioctl(fd, FIONREAD, &before), 0);
    assert_int_equal(tepal_conn_writev(pair.ends[0].conn, pieces, 4), 0);
    assert_int_equal(ioctl(fd, FIONREAD, &after), 0);
    assert_int_equal(after - before, 4 + 5 + 1 + 16); /* with the record's head, type and tag */
    assert_int_equal(tepal_conn_read(pair.ends[1].conn, buffer, sizeof(buffer)), 4);
    assert_memory_equal(buffer, "abcd", 4);
    close_pair(&pair);
    close_contexts();
    return 0;
}

static void small_pieces_share_a_record(void **state)
{
    (void)state;
    assert_int_equal(run(small_pieces, NULL), 0);
}

struct file_part {
    tepal_conn *conn;
    int file;
    int64_t offset;
    size_t len;
};

static int send_part(void *arg)
{
    struct file_part *part = arg;
    int rc = tepal_conn_sendfile(part->conn, part->file, part->offset, part->len);
    (void)tepal_conn_shutdown(part->conn);
    return rc;
}

static int send_files(void *arg)
{
    enum { LEN = 1 << 20 };
    static const struct {
        int64_t begin;
        size_t len;
        int result;
    } rows[] = { { 0, LEN, 0 }, { 1000, LEN, 0 }, { 4096, 0, 0 }, { 77, LEN + 1, -EIO } };
    (void)arg;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[] = "/tmp/tepal-test-XXXXXX", *data = new_data(LEN);
        int file = mkstemp(name);
        unlink(name);
        assert_int_equal(pwrite(file, data, LEN, rows[i].begin), LEN);
        free(data);
        struct pair pair;
        open_both(&pair);
        struct file_part part = { pair.ends[0].conn, file, rows[i].begin, rows[i].len };
        struct transfer t = { .conn = pair.ends[1].conn, .step = 30000, .pause_ms = 1 };
        tepal_group *group = tepal_group_new(), *readers = tepal_group_new();
        assert_int_equal(tepal_spawn(group, send_part, &part, NULL), 0);
        assert_int_equal(tepal_spawn(readers, read_all, &t, NULL), 0);
        assert_int_equal(tepal_group_wait(group), rows[i].result);
        assert_int_equal(tepal_group_wait(readers), 0);
        assert_int_equal(t.done, rows[i].len < LEN ? rows[i].len : LEN);
        assert_int_equal(lseek(file, 0, SEEK_CUR), 0);
        tepal_group_close(group);
        tepal_group_close(readers);
        assert_int_equal(tepal_conn_sendfile(pair.ends[1].conn, -1, 0, 10), -EBADF);
        close_pair(&pair);
        close(file);
    }
    close_contexts();
    return 0;
}

static void sendfile_sends_parts_of_files(void **state)
{
    (void)state;
    assert_int_equal(run(send_files, NULL), 0);
}

/* --- Ends ------------------------------------------------------------------------------------- */

static int ends(void *arg)
{
    (void)arg;
    char buffer[16];
    struct pair pair;
    open_both(&pair);
    tepal_conn *a = pair.ends[0].conn, *b = pair.ends[1].conn;
    /* Half of it. */
    assert_int_equal(tepal_conn_write(a, "question", 8), 0);
    assert_int_equal(tepal_conn_shutdown(a), 0);
    assert_int_equal(tepal_conn_shutdown(a), 0);
    assert_int_equal(tepal_conn_write(a, "x", 1), -EPIPE);
    assert_int_equal(tepal_conn_read(b, buffer, 16), 8);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tepal_conn_read(b, buffer, 16), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tepal_conn_write(b, "answer", 6), 0);
        assert_int_equal(tepal_conn_read(a, buffer, 16), 6);
    }
    assert_int_equal(tepal_conn_shutdown(b), 0);
    assert_int_equal(tepal_conn_read(a, buffer, 16), 0);
    close_pair(&pair);
    /* A close is a proper end, too, behind all that was written. */
    open_both(&pair);
    assert_int_equal(tepal_conn_write(pair.ends[1].conn, "last", 4), 0);
    tepal_conn_close(pair.ends[1].conn);
    assert_int_equal(tepal_conn_read(pair.ends[0].conn, buffer, 16), 4);
    assert_int_equal(tepal_conn_read(pair.ends[0].conn, buffer, 16), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(tepal_conn_write(pair.ends[0].conn, "x", 1), -EPIPE);
    tepal_conn_close(pair.ends[0].conn);
    /* One that was cut off is not; what came before it is read first. */
    for (int how = 0; how < 2; how++) {
        open_both(&pair);
        assert_int_equal(tepal_conn_write(pair.ends[1].conn, "last", 4), 0);
        if (how == 0)
            shutdown(pair.ends[1].conn->io.fd, SHUT_WR);
        else
            conn_reset_at_close(pair.ends[1].conn);
        if (how == 1)
            tepal_conn_close(pair.ends[1].conn);
        assert_int_equal(tepal_conn_read(pair.ends[0].conn, buffer, 16), 4);
        for (int i = 0; i < 2; i++)
            assert_int_equal(tepal_conn_read(pair.ends[0].conn, buffer, 16), TEPAL_ETRUNCATED);
        assert_non_null(tepal_conn_tls_error_text(pair.ends[0].conn));
        if (how == 0) { /* the other direction still is in order */
            assert_int_equal(tepal_conn_write(pair.ends[0].conn, "still", 5), 0);
            assert_int_equal(tepal_conn_read(pair.ends[1].conn, buffer, 16), 5);
            tepal_conn_close(pair.ends[1].conn);
        }
        tepal_conn_close(pair.ends[0].conn);
    }
    close_contexts();
    return 0;
}

static void proper_ends_and_others(void **state)
{
    (void)state;
    assert_int_equal(run(ends, NULL), 0);
}

/* Data that goes on after the reader has said that it ends. */
static int long_answer(void *arg)
{
    (void)arg;
    size_t len = 1 << 20;
    char *data = new_data(len);
    struct pair pair;
    open_both(&pair);
    assert_int_equal(tepal_conn_shutdown(pair.ends[0].conn), 0);
    struct transfer write = { .conn = pair.ends[1].conn, .len = len, .data = data };
    struct transfer read = { .conn = pair.ends[0].conn, .step = 5000 };
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, write_all, &write, NULL), 0);
    assert_int_equal(tepal_spawn(group, read_all, &read, NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(read.done, len);
    tepal_group_close(group);
    close_pair(&pair);
    close_contexts();
    free(data);
    return 0;
}

static void reading_goes_on_after_the_own_end(void **state)
{
    (void)state;
    assert_int_equal(run(long_answer, NULL), 0);
}

static int read_one(void *arg)
{
    char octet;
    return (int)tepal_conn_read(arg, &octet, 1);
}

static int write_for_ever(void *arg)
{
    static char data[1 << 18];
    int rc;
    while ((rc = tepal_conn_write(arg, data, sizeof(data))) == 0)
        continue;
    return rc;
}

/* A peer that is gone, and one whose octets are no TLS any more, end a reader and a writer that
 * wait. */
static int broken(void *arg)
{
    (void)arg;
    for (int how = 0; how < 2; how++) {
        struct pair pair;
        open_both(&pair);
        tepal_conn *conn = pair.ends[0].conn, *peer = pair.ends[1].conn;
        tepal_group *readers = tepal_group_new(), *writers = tepal_group_new();
        assert_int_equal(tepal_spawn(readers, read_one, conn, NULL), 0);
        assert_int_equal(tepal_spawn(writers, write_for_ever, conn, NULL), 0);
        settle();
        if (how == 0)
            assert_int_equal(send(peer->io.fd, "\x17\x03\x03\x00\x14nonsense nonsense 20", 25, 0),
                             25);
        else
            tepal_conn_close(peer);
        int reading = tepal_group_wait(readers), writing = tepal_group_wait(writers);
        if (how == 0) {
            assert_int_equal(reading, TEPAL_ETLS);
            assert_int_equal(writing, TEPAL_ETLS);
            assert_non_null(tepal_conn_tls_error_text(conn));
            assert_int_equal(read_one(conn), TEPAL_ETLS);
            assert_int_equal(tepal_conn_write(conn, "x", 1), TEPAL_ETLS);
            assert_int_equal(tepal_conn_shutdown(conn), TEPAL_ETLS);
            tepal_conn_close(peer);
        } else {
            assert_true(reading == -ECONNRESET || reading == 0 || reading == TEPAL_ETRUNCATED);
            assert_true(writing == -EPIPE || writing == -ECONNRESET);
        }
        tepal_group_close(readers);
        tepal_group_close(writers);
        tepal_conn_close(conn);
    }
    close_contexts();
    return 0;
}

static void broken_peers(void **state)
{
    (void)state;
    assert_int_equal(run(broken, NULL), 0);
}

/* --- Interruption ----------------------------------------------------------------------------- */

static int sendfile_for_ever(void *arg)
{
    char name[] = "/tmp/tepal-test-XXXXXX";
    int file = mkstemp(name), rc;
    unlink(name);
    assert_int_equal(ftruncate(file, 1 << 20), 0);
    while ((rc = tepal_conn_sendfile(arg, file, 0, 1 << 20)) == 0)
        continue;
    close(file);
    return rc;
}

struct drain {
    tepal_conn *conn;
    size_t n;
};

static int drain_all(void *arg)
{
    struct drain *d = arg;
    static char buffer[1 << 16];
    ssize_t n;
    while ((n = tepal_conn_read(d->conn, buffer, sizeof(buffer))) > 0)
        d->n += (size_t)n;
    return (int)n;
}

static int interrupt_all(void *arg)
{
    (void)arg;
    struct pair pair;
    open_both(&pair);
    tepal_conn *a = pair.ends[0].conn, *b = pair.ends[1].conn;
    expect_interruptible(read_one, a);
    expect_interruptible(write_for_ever, a);
    expect_interruptible(sendfile_for_ever, a);
    assert_true(conn_is_holding(a));
    /* What was interrupted is no harm to what follows: records are never cut in two. */
    struct drain d = { .conn = b };
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, drain_all, &d, NULL), 0);
    assert_int_equal(tepal_conn_write(a, "abc", 3), 0);
    assert_false(conn_is_holding(a));
    assert_int_equal(tepal_conn_shutdown(a), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_true(d.n > 3);
    tepal_group_close(group);
    assert_int_equal(tepal_conn_write(b, "x", 1), 0);
    expect_refusal(read_one, a);
    assert_int_equal(read_one(a), 1);
    close_pair(&pair);
    close_contexts();
    return 0;
}

static void every_call_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_all, NULL), 0);
}

/* What was put is sent once and in order, though putting it was interrupted again and again. */
static int put_interrupted(void *arg)
{
    (void)arg;
    enum { PIECE = 3001, PIECES = 400 };
    struct pair pair;
    char *data = new_data(PIECE * PIECES), *line;
    open_both(&pair);
    tepal_conn *from = pair.ends[0].conn;
    struct transfer t = { .conn = pair.ends[1].conn, .step = 1000, .pause_ms = 3 };
    tepal_group *group = NULL;
    int interruptions = 0;
    for (size_t i = 0; i < PIECES;) {
        int64_t before = tepal_deadline_in_ms(1);
        int rc = tepal_conn_put(from, data + i * PIECE, PIECE);
        tepal_deadline_restore(before);
        i += rc == 0;
        if (rc == 0)
            continue;
        assert_int_equal(rc, -ETIMEDOUT);
        if (++interruptions == 3) {
            group = tepal_group_new();
            assert_int_equal(tepal_spawn(group, read_all, &t, NULL), 0);
        }
    }
    assert_true(interruptions >= 3);
    assert_int_equal(tepal_conn_drain(from), 0);
    assert_false(conn_is_holding(from));
    assert_int_equal(tepal_conn_shutdown(from), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(t.done, PIECE * PIECES);
    tepal_group_close(group);
    free(data);
    /* And lines. */
    assert_int_equal(tepal_conn_putf(pair.ends[1].conn, "one\r\ntwo%d\n", 2), 0);
    assert_int_equal(tepal_conn_drain(pair.ends[1].conn), 0);
    assert_int_equal(tepal_conn_read_line(from, 100, &line), 3);
    assert_int_equal(tepal_conn_read_line(from, 100, &line), 4);
    assert_string_equal(line, "two2");
    close_pair(&pair);
    close_contexts();
    return 0;
}

static void collected_writes_are_sent_once(void **state)
{
    (void)state;
    assert_int_equal(run_fake(put_interrupted, NULL), 0);
}

static int shutdown_main(void *arg)
{
    struct pair *pair = arg;
    (void)tepal_deadline_in_ms(10);
    return tepal_conn_shutdown(pair->ends[0].conn);
}

static int slow_end(void *arg)
{
    (void)arg;
    struct pair pair;
    open_both(&pair);
    int64_t before = tepal_deadline_in_ms(1);
    assert_int_equal(write_for_ever(pair.ends[0].conn), -ETIMEDOUT);
    tepal_deadline_restore(before);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, shutdown_main, &pair, NULL), 0);
    assert_int_equal(tepal_group_wait(group), -ETIMEDOUT);
    /* It was said, and goes as soon as it can. */
    struct drain d = { .conn = pair.ends[1].conn };
    tepal_group *readers = tepal_group_new();
    assert_int_equal(tepal_spawn(readers, drain_all, &d, NULL), 0);
    assert_int_equal(tepal_conn_shutdown(pair.ends[0].conn), 0);
    assert_int_equal(tepal_group_wait(readers), 0);
    tepal_group_close(readers);
    tepal_group_close(group);
    close_pair(&pair);
    close_contexts();
    return 0;
}

static void the_end_waits_for_a_slow_peer(void **state)
{
    (void)state;
    assert_int_equal(run_fake(slow_end, NULL), 0);
}

/* A record of which a part has gone cannot be taken back: nothing more is written, and the peer
 * does not take it for an end. */
static int no_memory_to_hold(void *arg)
{
    (void)arg;
    struct pair pair;
    open_both(&pair);
    tepal_conn *conn = pair.ends[0].conn;
    struct drain d = { .conn = pair.ends[1].conn };
    mem_fail_nth(1, 1);
    int rc = write_for_ever(conn);
    mem_fail_nth(0, 0);
    assert_int_equal(rc, -ENOMEM);
    assert_int_equal(tepal_conn_write(conn, "x", 1), -ENOMEM);
    assert_int_equal(tepal_conn_shutdown(conn), -ENOMEM);
    tepal_conn_close(conn);
    assert_int_equal(drain_all(&d), TEPAL_ETRUNCATED);
    tepal_conn_close(pair.ends[1].conn);
    close_contexts();
    return 0;
}

static void memory_is_short(void **state)
{
    (void)state;
    assert_int_equal(run(no_memory_to_hold, NULL), 0);
}

/* --- Between the data ------------------------------------------------------------------------- */

/* A peer that is OpenSSL alone, so that it can do what ours never does. It moves octets only when
 * it is told to. */
struct raw {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    int fd;
};

static void raw_open(struct raw *raw, bool server, int fd)
{
    raw->ctx = SSL_CTX_new(TLS_method());
    raw->fd = fd;
    assert_true(SSL_CTX_use_certificate_file(raw->ctx, certificate_file("server", "crt"),
                                             SSL_FILETYPE_PEM));
    assert_true(
        SSL_CTX_use_PrivateKey_file(raw->ctx, certificate_file("server", "key"), SSL_FILETYPE_PEM));
    assert_true(SSL_CTX_load_verify_locations(raw->ctx, certificate_file("ca", "crt"), NULL));
    assert_true(SSL_CTX_set_session_id_context(raw->ctx, (const unsigned char *)"raw", 3));
    raw->ssl = SSL_new(raw->ctx);
    raw->in = BIO_new(BIO_s_mem());
    raw->out = BIO_new(BIO_s_mem());
    assert_true(raw->ssl && raw->in && raw->out);
    SSL_set_bio(raw->ssl, raw->in, raw->out);
    if (server)
        SSL_set_accept_state(raw->ssl);
    else
        SSL_set_connect_state(raw->ssl);
}

static void raw_close(struct raw *raw)
{
    SSL_free(raw->ssl);
    SSL_CTX_free(raw->ctx);
    close(raw->fd);
}

static void raw_receive(struct raw *raw)
{
    char buffer[4096];
    ssize_t n;
    while ((n = recv(raw->fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
        assert_int_equal(BIO_write(raw->in, buffer, (int)n), n);
}

/* Sends at most max of what it has to send. */
static void raw_send(struct raw *raw, size_t max)
{
    char buffer[4096];
    while (max > 0) {
        int n = BIO_read(raw->out, buffer, (int)(max < sizeof(buffer) ? max : sizeof(buffer)));
        if (n <= 0)
            return;
        assert_int_equal(send(raw->fd, buffer, (size_t)n, 0), n);
        max -= (size_t)n;
    }
}

/* The handshake; what comes after its end is not sent yet. */
static void raw_shake(struct raw *raw)
{
    int rc;
    do {
        raw_receive(raw);
        ERR_clear_error();
        rc = SSL_do_handshake(raw->ssl);
        if (rc != 1)
            raw_send(raw, SIZE_MAX);
        assert_int_equal(tepal_sleep_ms(1), 0);
    } while (rc != 1);
}

struct raw_pair {
    struct raw raw;
    tepal_conn *conn;
    tepal_tls *tls;
    tepal_group *group;
    struct handshake h;
};

/* version 0: the best one. */
static void raw_pair_open(struct raw_pair *p, bool raw_is_server, int version)
{
    int fds[2];
    connect_fds(AF_UNIX, fds);
    p->conn = open_conn(fds[0]);
    p->tls = raw_is_server
                 ? new_tls(&(tepal_tls_options){ .ca_file = certificate_file("ca", "crt"),
                                                 .certificate = certificate_file("client", "pem") })
                 : new_server("server");
    p->group = tepal_group_new();
    p->h = (struct handshake){ .conn = p->conn, .tls = p->tls, .host = "localhost" };
    raw_open(&p->raw, raw_is_server, fds[1]);
    assert_true(SSL_set_max_proto_version(p->raw.ssl, version));
}

static void raw_pair_shake(struct raw_pair *p)
{
    assert_int_equal(tepal_spawn(p->group, handshake_main, &p->h, NULL), 0);
    raw_shake(&p->raw);
}

static void raw_pair_close(struct raw_pair *p)
{
    tepal_group_close(p->group);
    tepal_conn_close(p->conn);
    raw_close(&p->raw);
    tepal_tls_close(p->tls);
}

/* Keys are changed in the middle of the data, by either side's wish. */
static int key_updates(void *arg)
{
    (void)arg;
    for (int raw_is_server = 0; raw_is_server < 2; raw_is_server++) {
        struct raw_pair p;
        char buffer[16];
        raw_pair_open(&p, raw_is_server, 0);
        raw_pair_shake(&p);
        raw_send(&p.raw, SIZE_MAX);
        settle();
        assert_int_equal(p.h.result, 0);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(SSL_write(p.raw.ssl, "one", 3), 3);
            assert_true(SSL_key_update(p.raw.ssl, i % 2 ? SSL_KEY_UPDATE_REQUESTED
                                                        : SSL_KEY_UPDATE_NOT_REQUESTED));
            assert_int_equal(SSL_write(p.raw.ssl, "two", 3), 3);
            raw_send(&p.raw, SIZE_MAX);
            assert_int_equal(tepal_conn_read(p.conn, buffer, 16), 6);
            assert_memory_equal(buffer, "onetwo", 6);
            assert_int_equal(tepal_conn_write(p.conn, "answer", 6), 0);
            raw_receive(&p.raw);
            assert_int_equal(SSL_read(p.raw.ssl, buffer, 16), 6);
        }
        raw_pair_close(&p);
    }
    return 0;
}

static void keys_are_updated(void **state)
{
    (void)state;
    assert_int_equal(run_fake(key_updates, NULL), 0);
}

/* A peer that wants to be answered, and does not read the answers, gets only so much memory. */
static int flood_of_updates(void *arg)
{
    (void)arg;
    struct raw_pair p;
    char buffer[16];
    int small = 4096;
    ssize_t n = -EAGAIN;
    raw_pair_open(&p, false, 0);
    raw_pair_shake(&p);
    raw_send(&p.raw, SIZE_MAX);
    settle();
    assert_int_equal(p.h.result, 0);
    assert_int_equal(setsockopt(p.conn->io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    for (int i = 0; i < 1000 && n == -EAGAIN; i++) {
        for (int k = 0; k < 20; k++) {
            assert_true(SSL_key_update(p.raw.ssl, SSL_KEY_UPDATE_REQUESTED));
            assert_int_equal(SSL_do_handshake(p.raw.ssl), 1);
        }
        raw_send(&p.raw, SIZE_MAX);
        settle();
        n = conn_try_read(p.conn, buffer, 16);
        assert_true(p.conn->tls->unsent.len <= TLS_MAX_UNSENT);
    }
    assert_int_equal(n, TEPAL_ETLS);
    assert_int_equal(tepal_conn_write(p.conn, "x", 1), TEPAL_ETLS);
    assert_non_null(strstr(tepal_conn_tls_error_text(p.conn), "makes us answer"));
    raw_pair_close(&p);
    return 0;
}

static void a_flood_of_key_updates_ends_the_connection(void **state)
{
    (void)state;
    assert_int_equal(run_fake(flood_of_updates, NULL), 0);
}

static int write_hello(void *arg)
{
    return tepal_conn_write(arg, "hello", 5);
}

/* A ticket in several records, of which only some have come when the client wants to write. */
static int half_a_ticket(void *arg)
{
    (void)arg;
    for (int reads_meanwhile = 0; reads_meanwhile < 2; reads_meanwhile++) {
        struct raw_pair p;
        char buffer[16];
        raw_pair_open(&p, true, TLS1_3_VERSION);
        /* The ticket has the client's certificate inside, and so does not fit one record. */
        SSL_set_verify(p.raw.ssl, SSL_VERIFY_PEER, NULL);
        assert_true(SSL_set_max_send_fragment(p.raw.ssl, 512));
        raw_pair_shake(&p);
        settle();
        assert_int_equal(p.h.result, 0);
        raw_send(&p.raw, 560);
        tepal_group *writers = tepal_group_new(), *readers = tepal_group_new();
        int64_t before = tepal_deadline_in_ms(1);
        assert_int_equal(tepal_conn_read(p.conn, buffer, 16), -ETIMEDOUT);
        tepal_deadline_restore(before);
        if (reads_meanwhile)
            assert_int_equal(tepal_spawn(readers, read_one, p.conn, NULL), 0);
        assert_int_equal(tepal_spawn(writers, write_hello, p.conn, NULL), 0);
        settle();
        raw_receive(&p.raw);
        assert_int_equal(SSL_read(p.raw.ssl, buffer, 16), -1); /* it has to wait */
        assert_int_equal(SSL_write(p.raw.ssl, "x", 1), 1);
        raw_send(&p.raw, SIZE_MAX);
        assert_int_equal(tepal_group_wait(writers), 0);
        raw_receive(&p.raw);
        assert_int_equal(SSL_read(p.raw.ssl, buffer, 16), 5);
        assert_memory_equal(buffer, "hello", 5);
        /* The reader gets what was read by the way. */
        if (reads_meanwhile)
            assert_int_equal(tepal_group_wait(readers), 0);
        else
            assert_int_equal(read_one(p.conn), 1);
        tepal_group_close(readers);
        tepal_group_close(writers);
        raw_pair_close(&p);
    }
    return 0;
}

static void writing_while_half_a_ticket_has_come(void **state)
{
    (void)state;
    assert_int_equal(run_fake(half_a_ticket, NULL), 0);
}

/* A client that wants to begin anew again and again, and does not read that this is refused. */
static int renegotiate(void *arg)
{
    (void)arg;
    struct raw_pair p;
    char octet;
    raw_pair_open(&p, false, TLS1_2_VERSION);
    raw_pair_shake(&p);
    raw_send(&p.raw, SIZE_MAX);
    settle();
    assert_int_equal(p.h.result, 0);
    /* Once it is refused, and that is all. */
    assert_true(SSL_renegotiate(p.raw.ssl));
    (void)SSL_do_handshake(p.raw.ssl);
    raw_send(&p.raw, SIZE_MAX);
    int64_t before = tepal_deadline_in_ms(1);
    assert_int_equal(tepal_conn_read(p.conn, &octet, 1), -ETIMEDOUT);
    tepal_deadline_restore(before);
    raw_receive(&p.raw);
    assert_int_equal(SSL_do_handshake(p.raw.ssl), -1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    assert_int_equal(tepal_conn_write(p.conn, "still", 5), 0);
    raw_pair_close(&p);
    /* What is said to a peer that reads nothing is bounded. */
    raw_pair_open(&p, false, TLS1_2_VERSION);
    raw_pair_shake(&p);
    raw_send(&p.raw, SIZE_MAX);
    settle();
    static char octets[TLS_MANY_UNSENT];
    p.conn->io.state &= ~(uint32_t)IO_WRITE; /* as if the socket were full */
    assert_int_equal(buf_append(&p.conn->tls->unsent, octets, sizeof(octets)), 0);
    assert_true(SSL_renegotiate(p.raw.ssl));
    (void)SSL_do_handshake(p.raw.ssl);
    raw_send(&p.raw, SIZE_MAX);
    before = tepal_deadline_in_ms(1);
    assert_int_equal(tepal_conn_read(p.conn, &octet, 1), -ETIMEDOUT);
    tepal_deadline_restore(before);
    assert_int_equal(p.conn->tls->unsent.len, sizeof(octets));
    raw_pair_close(&p);
    return 0;
}

static void renegotiation_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run_fake(renegotiate, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(much_in_both_directions),
        TLS_TEST(small_reads_of_large_records),
        TLS_TEST(writev_of_many_pieces),
        TLS_TEST(small_pieces_share_a_record),
        TLS_TEST(sendfile_sends_parts_of_files),
        TLS_TEST(proper_ends_and_others),
        TLS_TEST(reading_goes_on_after_the_own_end),
        TLS_TEST(broken_peers),
        TLS_TEST(every_call_can_be_interrupted),
        TLS_TEST(collected_writes_are_sent_once),
        TLS_TEST(the_end_waits_for_a_slow_peer),
        TLS_TEST(memory_is_short),
        TLS_TEST(keys_are_updated),
        TLS_TEST(a_flood_of_key_updates_ends_the_connection),
        TLS_TEST(writing_while_half_a_ticket_has_come),
        TLS_TEST(renegotiation_is_refused),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
