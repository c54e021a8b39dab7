/* Tests of the status codes. */
#include "http/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <limits.h>

#include <cmocka.h>

static void reasons(void **state)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {
        { 100, "Continue" },
        { 101, "Switching Protocols" },
        { 200, "OK" },
        { 204, "No Content" },
        { 226, "IM Used" },
        { 304, "Not Modified" },
        { 308, "Permanent Redirect" },
        { 404, "Not Found" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 422, "Unprocessable Content" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 505, "HTTP Version Not Supported" },
        { 511, "Network Authentication Required" },
        { INT_MIN, "" },
        { -1, "" },
        { 0, "" },
        { 99, "" },
        { 306, "" },
        { 418, "" },
        { 512, "" },
        { 600, "" },
        { INT_MAX, "" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(http_status_reason(rows[i].status), rows[i].reason);
}

/* RFC 9110 section 6.4.1 */
static void bodiless(void **state)
{
    (void)state;
    for (int status = 0; status < 1000; status++) {
        int expected = status / 100 == 1 || status == 204 || status == 304;
        assert_int_equal(http_status_is_bodiless(status), expected);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(reasons),
                                               cmocka_unit_test(bodiless) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
