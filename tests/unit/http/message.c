/* Tests of what is found out of a message that did not come as octets. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_known),
        cmocka_unit_test(fields_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
