/* Tests of the lines of a message head: start-lines, field lines, limits. What the fields mean is
 * tested in h1_framing.c. */
#include "http/h1_parse.h"

#include "h1_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))
#define OK_LINE "GET / HTTP/1.1\r\n"
#define OK_HOST "Host: a\r\n"

static void request_lines(void **state)
{
    static const struct h1_row rows[] = {
        { "a plain GET, 9112 3", INPUT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
          .text = "GET / 1.1 none keep Host=(a)" },
        { "what follows is left, 9112 6", INPUT("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET "), .rest = 4,
          .text = "GET / 1.1 none keep Host=(a)" },
        { "any token is a method, 9110 9.1", INPUT("!#$%&'*+-.^_`|~09azAZ /x HTTP/1.0\r\n\r\n"),
          .text = "!#$%&'*+-.^_`|~09azAZ /x 1.0 none close" },
        { "methods are case-sensitive, 9110 9.1", INPUT("get / HTTP/1.0\r\n\r\n"),
          .text = "get / 1.0 none close" },
        { "obs-text in a target is opaque", INPUT("GET /caf\xc3\xa9\xff HTTP/1.0\r\n\r\n"),
          .text = "GET /caf\xc3\xa9\xff 1.0 none close" },
        { "a higher minor version is 1.1, 9110 2.5", INPUT("GET / HTTP/1.9\r\nHost: a\r\n\r\n"),
          .text = "GET / 1.1 none keep Host=(a)" },
        { "empty lines are skipped, 9112 2.2", INPUT("\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
          .text = "GET / 1.0 none close" },
        { "eight empty lines", INPUT("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
          .text = "GET / 1.0 none close" },
        { "nine empty lines", INPUT("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
          .status = 400, .refused = 17 },
        { "empty line of LF", INPUT("\nGET / HTTP/1.0\r\n\r\n"), .status = 400, .refused = 1 },
        { "bare CR first", INPUT("\rGET / HTTP/1.0\r\n\r\n"), .status = 400, .refused = 2 },
        { "leading space, 9112 2.2", INPUT(" GET / HTTP/1.1\r\n"), .status = 400, .refused = 1 },
        { "two spaces, 9112 3", INPUT("GET  / HTTP/1.1\r\n"), .status = 400, .refused = 5 },
        { "two spaces before the version", INPUT("GET /  HTTP/1.1\r\n"), .status = 400,
          .refused = 7 },
        { "tab as separator", INPUT("GET\t/ HTTP/1.1\r\n"), .status = 400, .refused = 4 },
        { "space in the target", INPUT("GET /a b HTTP/1.1\r\n"), .status = 400, .refused = 8 },
        { "trailing space", INPUT("GET / HTTP/1.1 \r\n"), .status = 400, .refused = 15 },
        { "no version (HTTP/0.9)", INPUT("GET /\r\n"), .status = 400, .refused = 6 },
        { "no target", INPUT("GET\r\n"), .status = 400, .refused = 4 },
        { "empty target", INPUT("GET HTTP/1.1\r\n"), .status = 400, .refused = 13 },
        { "no token", INPUT("G@T / HTTP/1.1\r\n"), .status = 400, .refused = 2 },
        { "control in the method", INPUT("G\001T / HTTP/1.1\r\n"), .status = 400, .refused = 2 },
        { "obs-text in the method", INPUT("G\xc3\x89T / HTTP/1.1\r\n"), .status = 400,
          .refused = 2 },
        { "NUL in the target", INPUT("GET /\0 HTTP/1.1\r\n"), .status = 400, .refused = 6 },
        { "DEL in the target", INPUT("GET /\x7f HTTP/1.1\r\n"), .status = 400, .refused = 6 },
        { "tab in the target", INPUT("GET /\t HTTP/1.1\r\n"), .status = 400, .refused = 6 },
        { "bare LF ends the line, 9112 2.2", INPUT("GET / HTTP/1.1\nHost: a\n\n"), .status = 400,
          .refused = 15 },
        { "bare CR ends the line", INPUT("GET / HTTP/1.1\rHost: a\r\n"), .status = 400,
          .refused = 16 },
        { "lower case, 9112 2.3", INPUT("GET / http/1.1\r\n"), .status = 400, .refused = 7 },
        { "no slash", INPUT("GET / HTTP1.1\r\n"), .status = 400, .refused = 11 },
        { "no dot", INPUT("GET / HTTP/1,1\r\n"), .status = 400, .refused = 13 },
        { "no minor", INPUT("GET / HTTP/1\r\n"), .status = 400, .refused = 13 },
        { "two digits", INPUT("GET / HTTP/1.10\r\n"), .status = 400, .refused = 15 },
        { "leading zero", INPUT("GET / HTTP/01.1\r\n"), .status = 400, .refused = 13 },
        { "letters", INPUT("GET / HTTP/x.y\r\n"), .status = 400, .refused = 12 },
        { "another protocol", INPUT("GET / HTCPCP/1.0\r\n"), .status = 400, .refused = 9 },
        { "HTTP/2.0, 9110 15.6.6", INPUT("GET / HTTP/2.0\r\n"), .status = 505, .refused = 14 },
        { "HTTP/0.9 by name", INPUT("GET / HTTP/0.9\r\n"), .status = 505 },
        { "the preface of HTTP/2, 9113 3.4", INPUT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
          .status = 505, .refused = 14 },
        { "TLS ClientHello", INPUT("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"), .status = 400,
          .refused = 1 },
        { "SSH", INPUT("SSH-2.0-OpenSSH_9.0\r\n"), .status = 400, .refused = 20 },
    };
    (void)state;
    h1_check_all(rows, COUNT(rows), false);
}

static void field_lines(void **state)
{
    static const struct h1_row rows[] = {
        { "whitespace around a value is no part of it, 9112 5.1",
          INPUT("GET / HTTP/1.0\r\na:b\r\nc: d\r\ne:\t  f g\t \r\n\r\n"),
          .text = "GET / 1.0 none close a=(b) c=(d) e=(f g)" },
        { "empty values, 9110 5.5", INPUT("GET / HTTP/1.0\r\na:\r\nb: \r\nc: \t \r\n\r\n"),
          .text = "GET / 1.0 none close a=() b=() c=()" },
        { "obs-text and tabs in a value, 9110 5.5",
          INPUT("GET / HTTP/1.0\r\na: caf\xe9\tx\xff\r\n\r\n"),
          .text = "GET / 1.0 none close a=(caf\xe9\tx\xff)" },
        { "colons in a value", INPUT("GET / HTTP/1.0\r\na::b:\r\n\r\n"),
          .text = "GET / 1.0 none close a=(:b:)" },
        { "every tchar in a name, 9110 5.6.2",
          INPUT("GET / HTTP/1.0\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"),
          .text = "GET / 1.0 none close !#$%&'*+-.^_`|~09azAZ=(x)" },
        { "other fields may repeat, 9110 5.3",
          INPUT("GET / HTTP/1.0\r\nx: 1\r\nX: 2\r\nAccept: 3\r\naccept: 4\r\n\r\n"),
          .text = "GET / 1.0 none close x=(1) X=(2) Accept=(3) accept=(4)" },
        { "space before the colon, 9112 5.1", INPUT(OK_LINE "Host : a\r\n\r\n"), .status = 400,
          .refused = 21 },
        { "tab before the colon", INPUT(OK_LINE "Host\t: a\r\n\r\n"), .status = 400,
          .refused = 21 },
        { "empty name, 9112 5", INPUT(OK_LINE ": a\r\n\r\n"), .status = 400, .refused = 17 },
        { "leading space, 9112 2.2", INPUT(OK_LINE " Host: a\r\n\r\n"), .status = 400,
          .refused = 17 },
        { "obs-fold, 9112 5.2", INPUT(OK_LINE OK_HOST "x: a\r\n b\r\n\r\n"), .status = 400,
          .refused = 32 },
        { "obs-fold with a tab", INPUT(OK_LINE OK_HOST "x: a\r\n\tb\r\n\r\n"), .status = 400,
          .refused = 32 },
        { "no colon", INPUT(OK_LINE OK_HOST "xy\r\n\r\n"), .status = 400, .refused = 28 },
        { "no token in the name", INPUT(OK_LINE "x(y: a\r\n\r\n"), .status = 400, .refused = 18 },
        { "obs-text in the name", INPUT(OK_LINE "x\xe9: a\r\n\r\n"), .status = 400, .refused = 18 },
        { "NUL in the name", INPUT(OK_LINE "x\0y: a\r\n\r\n"), .status = 400, .refused = 18 },
        { "NUL in the value, 9110 5.5", INPUT(OK_LINE "x: a\0b\r\n\r\n"), .status = 400,
          .refused = 21 },
        { "escape in the value", INPUT(OK_LINE "x: a\033b\r\n\r\n"), .status = 400, .refused = 21 },
        { "DEL in the value", INPUT(OK_LINE "x: a\x7f\r\n\r\n"), .status = 400, .refused = 21 },
        { "vertical tab in the value", INPUT(OK_LINE "x:\vb\r\n\r\n"), .status = 400,
          .refused = 19 },
        { "bare LF in the value, 9112 2.2", INPUT(OK_LINE "x: a\ny: b\r\n\r\n"), .status = 400,
          .refused = 21 },
        { "bare CR in the value, 9112 2.2", INPUT(OK_LINE "x: a\rb\r\n\r\n"), .status = 400,
          .refused = 22 },
        { "a field hidden behind a CR", INPUT(OK_LINE "x: \rTransfer-Encoding: chunked\r\n\r\n"),
          .status = 400, .refused = 21 },
        { "CR CR LF", INPUT(OK_LINE "x: a\r\r\n\r\n"), .status = 400, .refused = 22 },
        { "bare LF ends the head", INPUT(OK_LINE OK_HOST "\n"), .status = 400, .refused = 26 },
        { "bare CR ends the head", INPUT(OK_LINE OK_HOST "\rx"), .status = 400, .refused = 27 },
    };
    (void)state;
    h1_check_all(rows, COUNT(rows), false);
}

static void status_lines(void **state)
{
    static const struct h1_row rows[] = {
        { "a plain response, 9112 4", INPUT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
          .rest = 5, .text = "200 (OK) 1.1 length=5 keep Content-Length=(5)" },
        { "empty reason, 9112 4", INPUT("HTTP/1.1 404 \r\n\r\n"),
          .text = "404 () 1.1 until-close close" },
        { "no space for an empty reason", INPUT("HTTP/1.1 404\r\n\r\n"),
          .text = "404 () 1.1 until-close close" },
        { "any text is a reason", INPUT("HTTP/1.0 500 \t not  \xc3\xa9 so \r\n\r\n"),
          .text = "500 (\t not  \xc3\xa9 so ) 1.0 until-close close" },
        { "a class that is unknown, 9110 15", INPUT("HTTP/1.1 999 x\r\n\r\n"),
          .text = "999 (x) 1.1 until-close close" },
        { "a higher minor version", INPUT("HTTP/1.3 200 OK\r\n\r\n"),
          .text = "200 (OK) 1.1 until-close close" },
        { "fields repeat, even singletons",
          INPUT("HTTP/1.1 204 x\r\nServer: a\r\nServer: b\r\n\r\n"),
          .text = "204 (x) 1.1 none keep Server=(a) Server=(b)" },
        { "empty line first", INPUT("\r\nHTTP/1.1 200 OK\r\n\r\n"), .status = 400, .refused = 1 },
        { "not HTTP", INPUT("ICY 200 OK\r\n\r\n"), .status = 400, .refused = 1 },
        { "lower case", INPUT("http/1.1 200 OK\r\n\r\n"), .status = 400, .refused = 1 },
        { "HTTP/2", INPUT("HTTP/2 200\r\n\r\n"), .status = 400, .refused = 7 },
        { "another major version", INPUT("HTTP/2.0 200\r\n\r\n"), .status = 505, .refused = 8 },
        { "no space", INPUT("HTTP/1.1\t200 OK\r\n\r\n"), .status = 400, .refused = 9 },
        { "two spaces", INPUT("HTTP/1.1  200 OK\r\n\r\n"), .status = 400, .refused = 10 },
        { "two digits", INPUT("HTTP/1.1 20 OK\r\n\r\n"), .status = 400, .refused = 12 },
        { "four digits", INPUT("HTTP/1.1 2000 OK\r\n\r\n"), .status = 400, .refused = 13 },
        { "a class that cannot be", INPUT("HTTP/1.1 099 OK\r\n\r\n"), .status = 400,
          .refused = 10 },
        { "sign", INPUT("HTTP/1.1 +20 OK\r\n\r\n"), .status = 400, .refused = 10 },
        { "letters", INPUT("HTTP/1.1 2OO OK\r\n\r\n"), .status = 400, .refused = 11 },
        { "tab before the reason", INPUT("HTTP/1.1 200\tOK\r\n\r\n"), .status = 400,
          .refused = 13 },
        { "NUL in the reason", INPUT("HTTP/1.1 200 O\0K\r\n\r\n"), .status = 400, .refused = 15 },
        { "bare CR in the reason", INPUT("HTTP/1.1 200 O\rK\r\n\r\n"), .status = 400,
          .refused = 16 },
        { "bare LF", INPUT("HTTP/1.1 200 OK\n\n"), .status = 400, .refused = 16 },
        { "bare LF, no reason", INPUT("HTTP/1.1 200\n\n"), .status = 400, .refused = 13 },
        { "obs-fold", INPUT("HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n"), .status = 400,
          .refused = 24 },
    };
    (void)state;
    h1_check_all(rows, COUNT(rows), true);
}

/* Checks one head with these limits; status 0 is acceptance. */
static void check_limit(const char *why, bool response, const char *input,
                        const struct h1_limits *limits, int status)
{
    struct h1_head head;
    static struct message_field fields[H1_CHECK_MAX_FIELDS];
    static const struct h1_limits ample = { 60000, 60000, H1_CHECK_MAX_FIELDS };
    struct h1_row row = { why, input, strlen(input), .status = status };
    char *text = NULL;
    if (status == 0) {
        h1_head_init(&head, response, fields);
        assert_int_equal(h1_parse(&head, input, row.len, &ample), row.len);
        row.text = text = strdup(h1_describe(&head, input));
    }
    h1_check(&row, response, limits);
    free(text);
}

static void line_limit(void **state)
{
    struct h1_limits limits = { 20, 1000, 5 };
    (void)state;
    check_limit("19 of 20", false, "GET /56789 HTTP/1.0\r\n\r\n", &limits, 0);
    check_limit("20 of 20", false, "GET /567890 HTTP/1.0\r\n\r\n", &limits, 0);
    check_limit("21 of 20", false, "GET /5678901 HTTP/1.0\r\n\r\n", &limits, 414);
    check_limit("empty lines do not count", false, "\r\nGET /567890 HTTP/1.0\r\n\r\n", &limits, 0);
    check_limit("endless method", false, "GETGETGETGETGETGETGETGET", &limits, 501);
    check_limit("19 of 20 are method", false, "GETGETGETGETGETGETG / HTTP/1.0", &limits, 414);
    check_limit("20 of 20 are method", false, "GETGETGETGETGETGETGE / HTTP/1.0", &limits, 501);
    check_limit("endless target", false, "GET /aaaaaaaaaaaaaaaaaaaaaaaaaa", &limits, 414);
    check_limit("20 of 20, response", true, "HTTP/1.0 200 4567890\r\n\r\n", &limits, 0);
    check_limit("21 of 20, response", true, "HTTP/1.0 200 45678901\r\n\r\n", &limits, 414);
    check_limit("a bad octet behind the limit", false, "GET /5678901234567890\001", &limits, 414);
    check_limit("a bad octet before it", false, "GET /56789012345678\001", &limits, 400);
    check_limit("LF at the limit", false, "GET /567890 HTTP/1.1\n\r", &limits, 400);
    check_limit("other lines have no such limit", false,
                "GET / HTTP/1.0\r\naaaaaaaaaaaaaaaaaaaa: bbbbbbbbbbbbbbbbbbbb\r\n\r\n", &limits, 0);
    limits.max_line = 4;
    check_limit("tiny", false, "GET / HTTP/1.0\r\n\r\n", &limits, 414);
}

static void head_limit(void **state)
{
    static const char head[] = "GET / HTTP/1.0\r\nx: a\r\n\r\n"; /* 24 octets */
    (void)state;
    for (uint32_t max = 1; max < 30; max++) {
        struct h1_limits limits = { 1000, max, 5 };
        int status = max >= 24 ? 0 : max >= 14 ? 431 : max > 3 ? 414 : 501;
        check_limit("of the whole head", false, head, &limits, status);
    }
    struct h1_limits limits = { 1000, 24, 5 };
    check_limit("empty lines do not count", false, "\r\n\r\nGET / HTTP/1.0\r\nx: a\r\n\r\n",
                &limits, 0);
    check_limit("endless name", false, "GET / HTTP/1.0\r\nxxxxxxxxxxxxxx", &limits, 431);
    check_limit("endless value", false, "GET / HTTP/1.0\r\nx: aaaaaaaaaaa", &limits, 431);
    check_limit("endless whitespace", false, "GET / HTTP/1.0\r\nx:                ", &limits, 431);
    check_limit("exact, response", true, "HTTP/1.0 200 a\r\nx: a\r\n\r\n", &limits, 0);
    check_limit("over, response", true, "HTTP/1.0 200 a\r\nx: ab\r\n\r\n", &limits, 431);
    struct h1_limits widest = { UINT32_MAX, UINT32_MAX, 5 };
    check_limit("no wrap-around", false, head, &widest, 0);
}

static void field_limit(void **state)
{
    (void)state;
    struct h1_limits limits = { 100, 1000, 2 };
    check_limit("1 of 2", false, "GET / HTTP/1.0\r\na: b\r\n\r\n", &limits, 0);
    check_limit("2 of 2", false, "GET / HTTP/1.0\r\na: b\r\nc: d\r\n\r\n", &limits, 0);
    check_limit("3 of 2", false, "GET / HTTP/1.0\r\na: b\r\nc: d\r\ne", &limits, 431);
    limits.max_fields = 0;
    check_limit("0 of 0", false, "GET / HTTP/1.0\r\n\r\n", &limits, 0);
    check_limit("1 of 0", false, "GET / HTTP/1.0\r\na", &limits, 431);
}

/* A name is at most 65535 octets long, whatever the limits. */
static void longest_name(void **state)
{
    static const struct h1_limits limits = { 100, 100000, 2 };
    static struct message_field fields[2];
    static const char begin[] = "GET / HTTP/1.0\r\n", end[] = ": x\r\n\r\n";
    (void)state;
    for (size_t len = 65534; len < 65538; len++) {
        struct h1_head head;
        size_t size = sizeof begin - 1 + len + sizeof end - 1;
        char *data = malloc(size);
        memcpy(data, begin, sizeof begin - 1);
        memset(data + sizeof begin - 1, 'n', len);
        memcpy(data + sizeof begin - 1 + len, end, sizeof end - 1);
        h1_head_init(&head, false, fields);
        assert_int_equal(h1_parse(&head, data, size, &limits), len > 65535 ? -431 : (long)size);
        if (len <= 65535)
            assert_int_equal(fields[0].name_len, len);
        free(data);
    }
}

/* A known field is found whatever its index: one that is not could smuggle. */
static void many_fields(void **state)
{
    static const struct h1_limits limits = { 100, 10000, 300 };
    static struct message_field fields[300];
    (void)state;
    for (int before = 250; before < 260; before++) {
        struct h1_head head;
        char data[8192] = "POST / HTTP/1.1\r\nHost: a\r\n";
        for (int i = 0; i < before; i++)
            strcat(data, "x: y\r\n");
        strcat(data, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
        h1_head_init(&head, false, fields);
        assert_int_equal(h1_parse(&head, data, strlen(data), &limits), -400);
        assert_int_equal(head.message.known[HTTP_FIELD_CONTENT_LENGTH], before + 2);
    }
}

static void done_stays_done(void **state)
{
    static const struct h1_limits limits = H1_CHECK_LIMITS;
    static const char text[] = "GET / HTTP/1.0\r\n\r\nmore";
    struct message_field fields[20];
    struct h1_head head;
    (void)state;
    h1_head_init(&head, false, fields);
    assert_int_equal(h1_parse(&head, text, 18, &limits), 18);
    assert_int_equal(h1_parse(&head, text, sizeof text - 1, &limits), 18);
    assert_int_equal(head.stage, H1_DONE);
}

static void termination(void **state)
{
    static const struct h1_limits limits = H1_CHECK_LIMITS;
    char request[] = "GET /a HTTP/1.1\r\nHost: b \r\nx:\r\ny: \t\r\n\r\n";
    char response[] = "HTTP/1.1 200 OK\r\na:b\r\n\r\n", bare[] = "HTTP/1.1 200\r\n\r\n";
    struct message_field fields[20];
    struct h1_head head;
    (void)state;
    h1_head_init(&head, false, fields);
    assert_true(h1_parse(&head, request, sizeof request - 1, &limits) > 0);
    h1_head_terminate(&head, request);
    assert_string_equal(request + head.message.method, "GET");
    assert_string_equal(request + head.message.target, "/a");
    static const char *const parts[] = { "Host", "b", "x", "", "y", "" };
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(request + fields[i].name, parts[2 * i]);
        assert_string_equal(request + fields[i].value, parts[2 * i + 1]);
    }
    h1_head_init(&head, true, fields);
    assert_true(h1_parse(&head, response, sizeof response - 1, &limits) > 0);
    h1_head_terminate(&head, response);
    assert_string_equal(response + head.message.reason, "OK");
    assert_string_equal(response + fields[0].value, "b");
    h1_head_init(&head, true, fields);
    assert_true(h1_parse(&head, bare, sizeof bare - 1, &limits) > 0);
    h1_head_terminate(&head, bare);
    assert_string_equal(bare + head.message.reason, "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_lines),   cmocka_unit_test(field_lines),
        cmocka_unit_test(status_lines),    cmocka_unit_test(line_limit),
        cmocka_unit_test(head_limit),      cmocka_unit_test(field_limit),
        cmocka_unit_test(longest_name),    cmocka_unit_test(many_fields),
        cmocka_unit_test(done_stays_done), cmocka_unit_test(termination),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
