/* Tests of what is found out of a message on whatever carrier. */
#include "../check.h"

#include "http/message.h"

/* A message of fields "name: value", in one text. */
struct made {
    char text[1000];
    struct message_field fields[8];
    struct message message;
};

static void make(struct made *made, int version, const char *const *fields)
{
    size_t len = 0;
    made->message = (struct message){ .data = made->text, .fields = made->fields };
    made->message.version = (uint8_t)version;
    for (; fields && *fields; fields++) {
        struct message_field *field = &made->fields[made->message.n_fields++];
        field->name = (uint32_t)len;
        field->name_len = (uint16_t)strcspn(*fields, ":");
        field->value = (uint32_t)(len + field->name_len + 2);
        field->value_len = (uint32_t)strlen(*fields) - field->name_len - 2;
        strcpy(made->text + len, *fields);
        len += strlen(*fields) + 1;
    }
    message_know_fields(&made->message);
}

static void fields_are_known(void **state)
{
    (void)state;
    static const char *const fields[] = { "X-A: 1", "accept: a", "HOST: h", "Accept: b", NULL };
    struct made made;
    make(&made, 11, fields);
    assert_int_equal(made.message.known[HTTP_FIELD_ACCEPT], 2);
    assert_int_equal(made.message.known[HTTP_FIELD_HOST], 3);
    assert_int_equal(made.message.known[HTTP_FIELD_COOKIE], 0);
    assert_int_equal(made.fields[0].id, HTTP_FIELD_OTHER);
    assert_int_equal(made.fields[3].id, HTTP_FIELD_ACCEPT);
    make(&made, 11, NULL);
    assert_int_equal(made.message.known[HTTP_FIELD_HOST], 0);
}

static void fields_are_checked(void **state)
{
    (void)state;
    static const struct {
        int version;
        const char *fields[4];
        int rc;
    } rows[] = {
        { 11, { "Host: a" }, 0 },
        { 11, { "Host: " }, 0 },
        { 11, { "Host: a:8", "Accept: a", "Accept: b" }, 0 },
        { 11, { "X-A: a", "Host: a", "X-A: b" }, 0 },
        { 11, { "X-A: a" }, -400 },
        { 10, { "X-A: a" }, 0 },
        { 10, { 0 }, 0 },
        { 11, { "Host: a", "host: a" }, -400 },
        { 10, { "Host: a", "host: a" }, -400 },
        { 11, { "Host: a/b" }, -400 },
        { 11, { "Host: a", "Content-Type: a/b", "content-type: a/b" }, -400 },
        { 11, { "Content-Length: 1", "Host: a", "Content-Length: 1" }, -400 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct made made;
        make(&made, rows[i].version, rows[i].fields);
        if (message_check_fields(&made.message) != rows[i].rc)
            fail_msg("row %zu", i);
    }
}

/* --- Targets: the short way for plain paths and the long one agree ---------------------------- */

static char data[200];

/* A message whose texts lie where a carrier may have them. */
static struct message make_target(const char *method, const char *target)
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
        struct message message = make_target(method, target);
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
        struct message message = make_target(method, target);
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
    struct message message = make_target("GET", "/x");
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
        cmocka_unit_test(fields_are_known),
        cmocka_unit_test(fields_are_checked),
        cmocka_unit_test(targets),
        cmocka_unit_test(methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
