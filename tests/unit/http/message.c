/* Tests of what is found out of a message on whatever carrier: its target, taken apart by the short way for
 * plain paths and by the long one, which must agree. */
#include "../check.h"

#include "http/message.h"

static char data[200];

/* A message whose texts lie where a carrier may have them. */
static struct message make(const char *method, const char *target)
{
    struct message message = { .data = data };
    memset(data, '#', sizeof(data));
    message.method = 3;
    message.method_len = (uint32_t)strlen(method);
    message.target = message.method + message.method_len + 5;
    message.target_len = (uint32_t)strlen(target);
    memcpy(data + message.method, method, message.method_len + 1);
    memcpy(data + message.target, target, message.target_len + 1);
    return message;
}

static bool is_odd(const char *target)
{
    for (; *target; target++)
        if (strchr("?#%", *target) || (unsigned char)*target > 0x7f)
            return true;
    return false;
}

static void assert_part(const char *found, size_t len, const char *expected)
{
    if (!expected) {
        assert_null(found);
        return;
    }
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(found, expected, len);
}

static void assert_target(const char *method, const char *target, const char *path,
                          const char *query, const char *authority)
{
    for (int odd = is_odd(target); odd < 2; odd++) { /* a carrier may not know, and say so */
        struct message message = make(method, target);
        memset(&message.uri, 0xff, sizeof(message.uri));
        assert_int_equal(message_take_target(&message, odd), 0);
        assert_part(message.uri.path, message.uri.path_len, path);
        assert_part(message.uri.query, message.uri.query_len, query);
        assert_part(message.uri.authority, message.uri.authority_len, authority);
        assert_part(message.uri.scheme, message.uri.scheme_len,
                    authority && path[0] ? "http" : NULL);
        assert_int_equal(message.uri.high, strstr(target, "%C3") != NULL);
        if (target[0] == '/') /* the parts lie in the message */
            assert_in_range((uintptr_t)message.uri.path, (uintptr_t)data,
                            (uintptr_t)data + sizeof(data));
    }
}

static void assert_refused(const char *method, const char *target)
{
    for (int odd = is_odd(target); odd < 2; odd++) {
        struct message message = make(method, target);
        assert_int_equal(message_take_target(&message, odd), -400);
    }
}

static void targets(void **state)
{
    (void)state;
    assert_target("GET", "/", "/", NULL, NULL);
    assert_target("GET", "/a/b;c=d", "/a/b;c=d", NULL, NULL);
    assert_target("GET", "//a", "//a", NULL, NULL);
    assert_target("GET", "/?", "/", "", NULL);
    assert_target("GET", "/a?b=c?d", "/a", "b=c?d", NULL);
    assert_target("GET", "/%C3%A4", "/%C3%A4", NULL, NULL);
    assert_target("GET", "/a%20b?%zz", "/a%20b", "%zz", NULL);
    assert_target("GET", "http://host:8/a?b", "/a", "b", "host:8");
    assert_target("GET", "http://host", "/", NULL, "host");
    assert_target("OPTIONS", "*", "*", NULL, NULL);
    assert_target("OPTIONS", "/a", "/a", NULL, NULL);
    assert_target("CONNECT", "host:443", "", NULL, "host:443");
    /* A method that is as long as CONNECT, and is another one. */
    assert_target("OPTIONZ", "/a", "/a", NULL, NULL);
    assert_refused("CONNECT", "/a");
    assert_refused("CONNECT", "/");
    assert_refused("GET", "*");
    assert_refused("GET", "host:443");
    assert_refused("GET", "a");
    assert_refused("GET", "/%zz");
    assert_refused("GET", "/%00");
    assert_refused("GET", "/a#b");
    assert_refused("GET", "/\xc3\xa4");
}

static void methods(void **state)
{
    (void)state;
    struct message message = make("GET", "/x");
    assert_string_equal(message_method(&message), "GET");
    assert_string_equal(message_target(&message), "/x");
    assert_true(message_is(&message, "GET", 3));
    assert_false(message_is(&message, "GETS", 4));
    assert_false(message_is(&message, "GE", 2));
    assert_false(message_is(&message, "get", 3));
    assert_false(message_is(&message, "PUT", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets),
        cmocka_unit_test(methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
