/* Tests of what the fields of a head decide: where the message ends, Host, and what becomes of the
 * connection. */
#include "h1_check.h"
#include "http/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define POST_TEXT "POST / 1.1 "
#define CL "Content-Length"
#define TE "Transfer-Encoding"

static void content_length(void **state)
{
    static const struct h1_row rows[] = {
        { "a length, 9110 8.6", INPUT(POST CL ": 5\r\n\r\n"),
          .text = POST_TEXT "length=5 keep Host=(a) " CL "=(5)" },
        { "any case, whitespace", INPUT(POST "content-LENGTH:\t 5 \r\n\r\n"),
          .text = POST_TEXT "length=5 keep Host=(a) content-LENGTH=(5)" },
        { "leading zeros, 1*DIGIT", INPUT(POST CL ": 007\r\n\r\n"),
          .text = POST_TEXT "length=7 keep Host=(a) " CL "=(007)" },
        { "none", INPUT(POST CL ": 0\r\n\r\n"), .text = POST_TEXT "none keep Host=(a) " CL "=(0)" },
        { "63 bits", INPUT(POST CL ": 9223372036854775807\r\n\r\n"),
          .text =
              POST_TEXT "length=9223372036854775807 keep Host=(a) " CL "=(9223372036854775807)" },
        { "over 63 bits", INPUT(POST CL ": 9223372036854775808\r\n\r\n"), .status = 400 },
        { "over 64 bits", INPUT(POST CL ": 18446744073709551621\r\n\r\n"), .status = 400 },
        { "many digits", INPUT(POST CL ": 99999999999999999999999999\r\n\r\n"), .status = 400 },
        { "empty", INPUT(POST CL ":\r\n\r\n"), .status = 400 },
        { "plus", INPUT(POST CL ": +5\r\n\r\n"), .status = 400 },
        { "minus", INPUT(POST CL ": -5\r\n\r\n"), .status = 400 },
        { "hexadecimal", INPUT(POST CL ": 0x5\r\n\r\n"), .status = 400 },
        { "decimal point", INPUT(POST CL ": 5.0\r\n\r\n"), .status = 400 },
        { "two numbers", INPUT(POST CL ": 5 5\r\n\r\n"), .status = 400 },
        { "underscore", INPUT(POST CL ": 1_0\r\n\r\n"), .status = 400 },
        { "superscript", INPUT(POST CL ": \xc2\xb2\r\n\r\n"), .status = 400 },
        { "list of the same", INPUT(POST CL ": 5, 5\r\n\r\n"), .status = 400 },
        { "list of two", INPUT(POST CL ": 5,6\r\n\r\n"), .status = 400 },
        { "two lines, the same", INPUT(POST CL ": 5\r\n" CL ": 5\r\n\r\n"), .status = 400 },
        { "two lines, zero first", INPUT(POST CL ": 0\r\n" CL ": 5\r\n\r\n"), .status = 400 },
        { "refused with its line", INPUT(POST CL ": x\r\nmore"), .status = 400, .refused = 45 },
        { "also with HTTP/1.0", INPUT("GET / HTTP/1.0\r\n" CL ": 1,\r\n\r\n"), .status = 400 },
    };
    (void)state;
    h1_check_all(rows, COUNT(rows), false);
}

static void transfer_encoding(void **state)
{
    static const struct h1_row rows[] = {
        { "chunked, 9112 6.1", INPUT(POST TE ": chunked\r\n\r\n"),
          .text = POST_TEXT "chunked keep Host=(a) " TE "=(chunked)" },
        { "any case, 9112 7", INPUT(POST TE ":\tCHUNKed \r\n\r\n"),
          .text = POST_TEXT "chunked keep Host=(a) " TE "=(CHUNKed)" },
        { "not implemented, 9112 6.1", INPUT(POST TE ": gzip, chunked\r\n\r\n"), .status = 501 },
        { "two not implemented", INPUT(POST TE ": foo,gzip , chunked\r\n\r\n"), .status = 501 },
        { "identity is history", INPUT(POST TE ": identity, chunked\r\n\r\n"), .status = 501 },
        { "identity alone, 9112 6.3", INPUT(POST TE ": identity\r\n\r\n"), .status = 400 },
        { "unknown", INPUT(POST TE ": xchunked\r\n\r\n"), .status = 400 },
        { "chunked not last, 9112 6.3", INPUT(POST TE ": chunked, gzip\r\n\r\n"), .status = 400 },
        { "chunked twice, 9112 7.1", INPUT(POST TE ": chunked, chunked\r\n\r\n"), .status = 400 },
        { "chunked, other, chunked", INPUT(POST TE ": chunked, gzip, chunked\r\n\r\n"),
          .status = 400 },
        { "empty", INPUT(POST TE ":\r\n\r\n"), .status = 400 },
        { "empty elements", INPUT(POST TE ": chunked,\r\n\r\n"), .status = 400 },
        { "empty element first", INPUT(POST TE ": , chunked\r\n\r\n"), .status = 400 },
        { "parameters", INPUT(POST TE ": chunked;a=b\r\n\r\n"), .status = 400 },
        { "parameters of another", INPUT(POST TE ": gzip;q=1, chunked\r\n\r\n"), .status = 400 },
        { "quoted", INPUT(POST TE ": \"chunked\"\r\n\r\n"), .status = 400 },
        { "space inside", INPUT(POST TE ": chun ked\r\n\r\n"), .status = 400 },
        { "vertical tab", INPUT(POST TE ": \vchunked\r\n\r\n"), .status = 400 },
        { "obs-text space",
          INPUT(POST TE ": \xa0"
                        "chunked\r\n\r\n"),
          .status = 400 },
        { "two lines are one list", INPUT(POST TE ": gzip\r\n" TE ": chunked\r\n\r\n"),
          .status = 501 },
        { "three lines", INPUT(POST TE ": gzip\r\nx: y\r\n" TE ": a, b\r\n" TE ": chunked\r\n\r\n"),
          .status = 501 },
        { "two lines, chunked first", INPUT(POST TE ": chunked\r\n" TE ": gzip\r\n\r\n"),
          .status = 400 },
        { "two lines, none chunked", INPUT(POST TE ": gzip\r\n" TE ": deflate\r\n\r\n"),
          .status = 400 },
        { "two lines, one empty", INPUT(POST TE ":\r\n" TE ": chunked\r\n\r\n"), .status = 400 },
        { "two lines and a length", INPUT(POST TE ": gzip\r\n" CL ": 5\r\n" TE ": chunked\r\n\r\n"),
          .status = 400 },
        { "two lines, the same", INPUT(POST TE ": chunked\r\n" TE ": chunked\r\n\r\n"),
          .status = 400 },
        { "HTTP/1.0, 9112 6.1", INPUT("POST / HTTP/1.0\r\n" TE ": chunked\r\n\r\n"),
          .status = 400 },
        { "with a length, 9112 6.3", INPUT(POST TE ": chunked\r\n" CL ": 5\r\n\r\n"),
          .status = 400 },
        { "behind a length", INPUT(POST CL ": 5\r\n" TE ": chunked\r\n\r\n"), .status = 400 },
        { "with length 0", INPUT(POST CL ": 0\r\n" TE ": chunked\r\n\r\n"), .status = 400 },
        { "a name that is only like it", INPUT(POST "Transfer_Encoding: chunked\r\n\r\n"),
          .text = POST_TEXT "none keep Host=(a) Transfer_Encoding=(chunked)" },
    };
    (void)state;
    h1_check_all(rows, COUNT(rows), false);
}

static void host(void **state)
{
    static const struct h1_row rows[] = {
        { "missing, 9112 3.2", INPUT("GET / HTTP/1.1\r\n\r\n"), .status = 400 },
        { "missing in HTTP/1.0", INPUT("GET / HTTP/1.0\r\n\r\n"), .text = "GET / 1.0 none close" },
        { "empty, 9112 3.2", INPUT("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
          .text = "GET / 1.1 none keep Host=()" },
        { "with port", INPUT("GET / HTTP/1.1\r\nHost: a.example:80\r\n\r\n"),
          .text = "GET / 1.1 none keep Host=(a.example:80)" },
        { "twice, 9112 3.2", INPUT("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), .status = 400,
          .refused = 34 },
        { "twice the same", INPUT("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"), .status = 400 },
        { "space", INPUT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), .status = 400 },
        { "list", INPUT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), .status = 400 },
        { "user", INPUT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), .status = 400 },
        { "URI", INPUT("GET / HTTP/1.1\r\nHost: http://a/\r\n\r\n"), .status = 400 },
        { "invalid in HTTP/1.0", INPUT("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n"), .status = 400 },
    };
    (void)state;
    h1_check_all(rows, COUNT(rows), false);
}

static void singletons(void **state)
{
    static const char *const names[] = {
        "Content-Location", "Content-Range", "Content-Type", "ETag", "Max-Forwards",
    };
    static const struct h1_limits limits = H1_CHECK_LIMITS;
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        char input[200];
        int len = snprintf(input, sizeof input, POST "%s: a\r\nx: y\r\n%s: b\r\n\r\n", names[i],
                           names[i]);
        struct h1_row row = { names[i], input, (size_t)len, .status = 400 };
        h1_check(&row, false, &limits);
    }
}

/* They say nothing about what the request is: crawlers and proxies send two. */
static void repeated(void **state)
{
    static const struct h1_row rows[] = {
        { "User-Agent", INPUT(POST "User-Agent: b\r\nUser-Agent: c\r\n\r\n"),
          .text = POST_TEXT "none keep Host=(a) User-Agent=(b) User-Agent=(c)" },
        { "Server", INPUT(POST "Server: b\r\nServer: c\r\n\r\n"),
          .text = POST_TEXT "none keep Host=(a) Server=(b) Server=(c)" },
    };
    (void)state;
    h1_check_all(rows, COUNT(rows), false);
}

static void connection(void **state)
{
    static const struct h1_row rows[] = {
        { "close, 9112 9.6", INPUT(POST "Connection: close\r\n\r\n"),
          .text = POST_TEXT "none close Host=(a) Connection=(close)" },
        { "any case, in a list", INPUT(POST "Connection: foo ,\tCLOSE\r\n\r\n"),
          .text = POST_TEXT "none close Host=(a) Connection=(foo ,\tCLOSE)" },
        { "close beats keep-alive",
          INPUT(POST "Connection: close\r\nConnection: keep-alive\r\n\r\n"),
          .text = POST_TEXT "none close Host=(a) Connection=(close) Connection=(keep-alive)" },
        { "in another line", INPUT(POST "Connection: keep-alive\r\nConnection: close\r\n\r\n"),
          .text = POST_TEXT "none close Host=(a) Connection=(keep-alive) Connection=(close)" },
        { "only like it", INPUT(POST "Connection: closed, xclose, clos e\r\n\r\n"),
          .text = POST_TEXT "none keep Host=(a) Connection=(closed, xclose, clos e)" },
        { "empty elements, 9110 5.6.1", INPUT(POST "Connection: ,,close,\r\n\r\n"),
          .text = POST_TEXT "none close Host=(a) Connection=(,,close,)" },
        { "empty", INPUT(POST "Connection:\r\n\r\n"),
          .text = POST_TEXT "none keep Host=(a) Connection=()" },
        { "HTTP/1.0 keep-alive", INPUT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
          .text = "GET / 1.0 none keep Connection=(Keep-Alive)" },
        { "HTTP/1.0 with both", INPUT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"),
          .text = "GET / 1.0 none close Connection=(keep-alive, close)" },
        { "Keep-Alive is no option", INPUT("GET / HTTP/1.0\r\nKeep-Alive: 5\r\n\r\n"),
          .text = "GET / 1.0 none close Keep-Alive=(5)" },
        { "upgrade, 9110 7.8", INPUT(POST "Connection: UPGRADE\r\nUpgrade: foo\r\n\r\n"),
          .text = POST_TEXT "none keep +upgrade Host=(a) Connection=(UPGRADE) Upgrade=(foo)" },
        { "upgrade before its option",
          INPUT(POST "Upgrade: foo\r\nConnection: a\r\nConnection: b, upgrade\r\n\r\n"),
          .text = POST_TEXT "none keep +upgrade Host=(a) Upgrade=(foo) Connection=(a) "
                            "Connection=(b, upgrade)" },
        { "not to be confused", INPUT(POST "Connection: notupgrade\r\nUpgrade: foo\r\n\r\n"),
          .text = POST_TEXT "none keep Host=(a) Connection=(notupgrade) Upgrade=(foo)" },
        { "without the field", INPUT(POST "Connection: upgrade\r\n\r\n"),
          .text = POST_TEXT "none keep Host=(a) Connection=(upgrade)" },
        { "in HTTP/1.0 ignored, 9110 7.8",
          INPUT("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"),
          .text = "GET / 1.0 none close Connection=(upgrade) Upgrade=(foo)" },
    };
    (void)state;
    h1_check_all(rows, COUNT(rows), false);
}

static void expect(void **state)
{
    static const struct h1_row rows[] = {
        { "9110 10.1.1", INPUT(POST "Expect: 100-continue\r\n" CL ": 5\r\n\r\n"),
          .text = POST_TEXT "length=5 keep +continue Host=(a) Expect=(100-continue) " CL "=(5)" },
        { "any case", INPUT(POST "expect: 100-Continue\r\n\r\n"),
          .text = POST_TEXT "none keep +continue Host=(a) expect=(100-Continue)" },
        { "others are ignored", INPUT(POST "Expect: 100-continued\r\n\r\n"),
          .text = POST_TEXT "none keep Host=(a) Expect=(100-continued)" },
        { "in HTTP/1.0 ignored", INPUT("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"),
          .text = "POST / 1.0 none close Expect=(100-continue)" },
    };
    (void)state;
    h1_check_all(rows, COUNT(rows), false);
}

static void responses(void **state)
{
    static const struct h1_row rows[] = {
        { "until close, 9112 6.3", INPUT("HTTP/1.1 200 OK\r\n\r\n"),
          .text = "200 (OK) 1.1 until-close close" },
        { "chunked", INPUT("HTTP/1.1 200 OK\r\n" TE ": chunked\r\n\r\n"),
          .text = "200 (OK) 1.1 chunked keep " TE "=(chunked)" },
        { "no content", INPUT("HTTP/1.1 200 OK\r\n" CL ": 0\r\n\r\n"),
          .text = "200 (OK) 1.1 none keep " CL "=(0)" },
        { "interim", INPUT("HTTP/1.1 100 Continue\r\n\r\nHTTP"), .rest = 4,
          .text = "100 (Continue) 1.1 none keep" },
        { "switching", INPUT("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\n"),
          .text = "101 (x) 1.1 none keep +upgrade Connection=(upgrade) Upgrade=(y)" },
        { "204", INPUT("HTTP/1.1 204 x\r\n" CL ": 0\r\n\r\n"),
          .text = "204 (x) 1.1 none keep " CL "=(0)" },
        { "204 that lies is not trusted", INPUT("HTTP/1.1 204 x\r\n" CL ": 5\r\n\r\n"),
          .text = "204 (x) 1.1 none close " CL "=(5)" },
        { "1xx that lies is not trusted", INPUT("HTTP/1.1 103 x\r\n" TE ": chunked\r\n\r\n"),
          .text = "103 (x) 1.1 none close " TE "=(chunked)" },
        { "304 tells the length, 9110 8.6", INPUT("HTTP/1.1 304 x\r\n" CL ": 5\r\n\r\n"),
          .text = "304 (x) 1.1 none keep " CL "=(5)" },
        { "HTTP/1.0", INPUT("HTTP/1.0 200 OK\r\n" CL ": 5\r\n\r\n"),
          .text = "200 (OK) 1.0 length=5 close " CL "=(5)" },
        { "HTTP/1.0 keep-alive",
          INPUT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" CL ": 5\r\n\r\n"),
          .text = "200 (OK) 1.0 length=5 keep Connection=(keep-alive) " CL "=(5)" },
        { "Expect is for requests", INPUT("HTTP/1.1 204 x\r\nExpect: 100-continue\r\n\r\n"),
          .text = "204 (x) 1.1 none keep Expect=(100-continue)" },
        { "Host is for requests", INPUT("HTTP/1.1 204 x\r\nHost: a b\r\nHost: c\r\n\r\n"),
          .text = "204 (x) 1.1 none keep Host=(a b) Host=(c)" },
        { "two lengths", INPUT("HTTP/1.1 200 OK\r\n" CL ": 5\r\n" CL ": 5\r\n\r\n"),
          .status = 400 },
        { "both", INPUT("HTTP/1.1 200 OK\r\n" CL ": 5\r\n" TE ": chunked\r\n\r\n"), .status = 400 },
        { "two codings", INPUT("HTTP/1.1 200 OK\r\n" TE ": gzip\r\n" TE ": chunked\r\n\r\n"),
          .status = 501 },
        { "not implemented", INPUT("HTTP/1.1 200 OK\r\n" TE ": gzip, chunked\r\n\r\n"),
          .status = 501 },
        { "HTTP/1.0 chunked", INPUT("HTTP/1.0 200 OK\r\n" TE ": chunked\r\n\r\n"), .status = 400 },
        { "bad length, even without a body", INPUT("HTTP/1.1 304 x\r\n" CL ": x\r\n\r\n"),
          .status = 400 },
    };
    (void)state;
    h1_check_all(rows, COUNT(rows), true);
}

static void response_to(void **state)
{
    static const struct {
        const char *why, *method, *input, *text;
    } rows[] = {
        { "GET changes nothing", "GET", "HTTP/1.1 200 OK\r\n" CL ": 5\r\n\r\n",
          "200 (OK) 1.1 length=5 keep " CL "=(5)" },
        { "HEAD has none", "HEAD", "HTTP/1.1 200 OK\r\n" CL ": 5\r\n\r\n",
          "200 (OK) 1.1 none keep " CL "=(5)" },
        { "HEAD, chunked", "HEAD", "HTTP/1.1 404 x\r\n" TE ": chunked\r\n\r\n",
          "404 (x) 1.1 none keep " TE "=(chunked)" },
        { "HEAD, no length", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", "200 (OK) 1.1 none keep" },
        { "HEAD, close", "HEAD", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
          "200 (OK) 1.1 none close Connection=(close)" },
        { "HEAD, a 204 that lies", "HEAD", "HTTP/1.1 204 x\r\n" CL ": 5\r\n\r\n",
          "204 (x) 1.1 none close " CL "=(5)" },
        { "methods have a case", "head", "HTTP/1.1 200 OK\r\n" CL ": 5\r\n\r\n",
          "200 (OK) 1.1 length=5 keep " CL "=(5)" },
        { "a tunnel", "CONNECT", "HTTP/1.1 299 x\r\n" TE ": chunked\r\n\r\n",
          "299 (x) 1.1 none keep " TE "=(chunked)" },
        { "no tunnel", "CONNECT", "HTTP/1.1 407 x\r\n" CL ": 5\r\n\r\n",
          "407 (x) 1.1 length=5 keep " CL "=(5)" },
    };
    static const struct h1_limits limits = H1_CHECK_LIMITS;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct message_field fields[20];
        struct h1_head head;
        h1_head_init(&head, true, fields);
        size_t len = strlen(rows[i].input);
        assert_int_equal(h1_parse(&head, rows[i].input, len, &limits), len);
        h1_response_to(&head, rows[i].method);
        const char *text = h1_describe(&head, rows[i].input);
        if (strcmp(text, rows[i].text) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].why, text, rows[i].text);
    }
}

/* What was found to be a valid host before makes no difference to what is found of the next one. */
static void known_host(void **state)
{
    static char longest[61], too_long[62];
    static const char *const hosts[] = {
        "",
        "a",
        "a.example:80",
        "a.example:8x",
        "A.example:80",
        "127.0.0.1:8080",
        "127.0.0.1:8081",
        "a b",
        "a/b",
        "[::1]:443",
        "[::1:443",
        "a.example:80",
        "a.example:800",
        "a.example:8",
        longest,
        too_long,
    };
    static const struct h1_limits limits = H1_CHECK_LIMITS;
    (void)state;
    memset(longest, 'a', sizeof(longest) - 1);
    memset(too_long, 'a', sizeof(too_long) - 1);
    for (size_t i = 0; i < COUNT(hosts) * COUNT(hosts); i++) {
        struct h1_known_host known = { 0 };
        const char *const in_turn[] = { hosts[i / COUNT(hosts)], hosts[i % COUNT(hosts)],
                                        hosts[i / COUNT(hosts)] };
        for (size_t n = 0; n < COUNT(in_turn); n++) {
            char text[200];
            struct message_field fields[20];
            struct h1_head head;
            size_t len = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", in_turn[n]);
            h1_head_init(&head, false, fields);
            head.known_host = &known;
            bool valid = uri_is_host(in_turn[n], strlen(in_turn[n]));
            assert_int_equal(h1_parse(&head, text, len, &limits), valid ? (long)len : -400);
        }
    }
}

static void lists(void **state)
{
    static const struct {
        const char *value, *token;
        bool has;
    } rows[] = {
        { "", "a", false },          { "a", "a", true },         { "A", "a", true },
        { "b,a", "a", true },        { "b ,\ta ,c", "a", true }, { "ab", "a", false },
        { "a b", "a", false },       { ",,a", "a", true },       { "b,,", "a", false },
        { "a;q=1", "a", false },     { ",", "", true },          { "b", "", false },
        { "x, GZip", "gzip", true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(h1_list_has(rows[i].value, strlen(rows[i].value), rows[i].token),
                         rows[i].has);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_length), cmocka_unit_test(transfer_encoding),
        cmocka_unit_test(host),           cmocka_unit_test(singletons),
        cmocka_unit_test(repeated),       cmocka_unit_test(connection),
        cmocka_unit_test(expect),         cmocka_unit_test(responses),
        cmocka_unit_test(response_to),    cmocka_unit_test(lists),
        cmocka_unit_test(known_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
