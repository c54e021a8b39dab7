/* What the tests of the body reader share: a connection on which a head has been taken, and its
 * body. */
#ifndef TEPAL_TESTS_UNIT_CONN_BODY_CHECK_H
#define TEPAL_TESTS_UNIT_CONN_BODY_CHECK_H

#include "http_pair.h"

#include "conn/body.h"

#include <tepal/http_error.h>

static struct body_reader reader;
static char got[4 * LOOP_BUFFER_SIZE];
static size_t n_got;

static const char post_head[] = "POST / HTTP/1.1\r\nHost: a\r\n",
                  ok_head[] = "HTTP/1.1 200 OK\r\n\r\n";

enum kind { KIND_NONE, KIND_LENGTH, KIND_CHUNKED, KIND_UNTIL_CLOSE };

/* A head of that kind. Returns its length. */
static inline size_t make_head(char *out, size_t size, enum kind kind, size_t content_length)
{
    static const char none[] = "\r\n", chunked[] = "Transfer-Encoding: chunked\r\n\r\n";
    int n;
    if (kind == KIND_UNTIL_CLOSE)
        n = snprintf(out, size, "%s", ok_head);
    else if (kind == KIND_LENGTH)
        n = snprintf(out, size, "%sContent-Length: %zu\r\n\r\n", post_head, content_length);
    else
        n = snprintf(out, size, "%s%s", post_head, kind == KIND_CHUNKED ? chunked : none);
    return (size_t)n;
}

/* Opens a connection on which a head has been taken, and of the body behind it as much as the peer
 * has sent with it. */
static inline void open_body(int family, enum kind kind, size_t content_length, const char *with,
                             size_t len)
{
    static const struct h1_limits head_limits = { .max_line = 1000,
                                                  .max_head = 1000,
                                                  .max_fields = 8 };
    static struct message_field fields[8];
    static struct h1_head head;
    char text[2000];
    size_t head_len = make_head(text, sizeof(text) - len, kind, content_length);
    if (len > 0)
        memcpy(text + head_len, with, len);
    open_http(family);
    peer_sends(text, head_len + len);
    see_input();
    assert_int_equal(h1_conn_try_fill(&http), head_len + len);
    h1_head_init(&head, kind == KIND_UNTIL_CLOSE, fields);
    assert_int_equal(h1_parse(&head, http.in, http.in_end, &head_limits), head_len);
    h1_conn_pin_head(&http, (uint32_t)head_len);
    body_reader_init(&reader, &http, &head);
    assert_int_equal(reader.head_end, head_len);
    assert_int_equal(reader.begun, len > 0);
    n_got = 0;
}

static inline void close_body(void)
{
    h1_conn_unpin_head(&http);
    close_http();
}

/* Reads on until the end, an error, or until it would have to wait. */
static inline int read_on(void)
{
    tepal_bytes piece;
    int rc;
    while (true) {
        while ((rc = body_take(&reader, &piece)) == 1) {
            assert_true(piece.len > 0);
            assert_true(n_got + piece.len <= sizeof(got));
            memcpy(got + n_got, piece.data, piece.len);
            n_got += piece.len;
        }
        if (rc != -EAGAIN || (rc = body_try_fill(&reader)) < 0)
            return rc;
    }
}

static inline void assert_got(const char *text, size_t len)
{
    assert_int_equal(n_got, len);
    assert_memory_equal(got, text, len);
    assert_int_equal(reader.received, len);
}

/* What ended it is said for ever. */
static inline void assert_for_ever(int rc)
{
    tepal_bytes piece;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(body_read(&reader, &piece), rc);
        assert_int_equal(body_take(&reader, &piece), rc);
        assert_int_equal(piece.len, 0);
        assert_int_equal(body_drop_received(&reader), rc < 0 ? rc : 1);
        assert_int_equal(body_drop(&reader, 100), rc < 0 ? rc : 1);
    }
}

static const char chunks[] = "3\r\nabc\r\n0a;x=\"y\"\r\ndefghijklm\r\n1\r\nn\r\n0\r\nT: v\r\n\r\n";
static const char octets[] = "abcdefghijklmn";

struct framed {
    enum kind kind;
    const char *text;
    size_t len;
};

static const struct framed framings[] = {
    { KIND_LENGTH, octets, sizeof(octets) - 1 },
    { KIND_CHUNKED, chunks, sizeof(chunks) - 1 },
    { KIND_UNTIL_CLOSE, octets, sizeof(octets) - 1 },
};
enum { FRAMINGS = sizeof(framings) / sizeof(framings[0]) };

/* Behind the body comes the next message, which is none of the body's; or the end, which is. */
static inline void send_rest(const struct framed *f, size_t from, size_t to)
{
    peer_sends(f->text + from, to - from);
    if (to == f->len && f->kind == KIND_UNTIL_CLOSE)
        assert_int_equal(shutdown(peer, SHUT_WR), 0);
    else if (to == f->len)
        peer_sends("NEXT", 4);
    see_input();
}

#endif
