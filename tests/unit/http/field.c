/* Tests of the field names, and of what octets names and values may have. */
#include "http/field.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The number of a name that is alone in a block of its size. */
static enum http_field id_of(const char *name, size_t len)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, name, len);
    enum http_field id = http_field_id(copy, len);
    free(copy);
    return id;
}

static void every_name_has_its_number(void **state)
{
    (void)state;
    for (int i = 1; i < HTTP_FIELD_COUNT; i++) {
        enum http_field id = (enum http_field)i;
        const char *name = http_field_name(id);
        char upper[32], lower[32];
        size_t len = strlen(name);
        assert_in_range(len, 2, 24);
        for (size_t k = 0; k <= len; k++) {
            upper[k] = (char)toupper((unsigned char)name[k]);
            lower[k] = (char)tolower((unsigned char)name[k]);
        }
        assert_int_equal(id_of(name, len), id);
        assert_int_equal(id_of(upper, len), id);
        assert_int_equal(id_of(lower, len), id);
    }
    assert_null(http_field_name(HTTP_FIELD_OTHER));
    assert_null(http_field_name(HTTP_FIELD_COUNT));
    assert_string_equal(http_field_name(HTTP_FIELD_ETAG), "ETag");
    assert_string_equal(http_field_name(HTTP_FIELD_IF_UNMODIFIED_SINCE), "If-Unmodified-Since");
}

/* One octet changed, added or missing makes it another field: only the case of letters does not
 * count, and a CR is no '-' with another bit. */
static void nothing_else_has_one(void **state)
{
    (void)state;
    for (int i = 1; i < HTTP_FIELD_COUNT; i++) {
        char name[40];
        strcpy(name, http_field_name((enum http_field)i));
        size_t len = strlen(name);
        for (size_t at = 0; at < len; at++)
            for (int octet = 0; octet < 256; octet++) {
                char before = name[at];
                name[at] = (char)octet;
                bool same = octet < 128 && tolower(octet) == tolower((unsigned char)before);
                /* "Content-..." and others differ in one octet from none but themselves */
                assert_int_equal(id_of(name, len), same ? i : HTTP_FIELD_OTHER);
                name[at] = before;
            }
        name[len] = 'x';
        assert_int_equal(id_of(name, len + 1), HTTP_FIELD_OTHER);
        assert_int_not_equal(id_of(name, len - 1), i);
    }
    assert_int_equal(id_of("", 0), HTTP_FIELD_OTHER);
    assert_int_equal(id_of("t", 1), HTTP_FIELD_OTHER);
    char long_name[600];
    memset(long_name, 'a', sizeof long_name);
    for (size_t len = 0; len <= sizeof long_name; len++)
        assert_int_equal(id_of(long_name, len), HTTP_FIELD_OTHER);
}

static void singletons(void **state)
{
    static const enum http_field once[] = {
        HTTP_FIELD_CONTENT_LENGTH, HTTP_FIELD_CONTENT_LOCATION,
        HTTP_FIELD_CONTENT_RANGE,  HTTP_FIELD_CONTENT_TYPE,
        HTTP_FIELD_ETAG,           HTTP_FIELD_HOST,
        HTTP_FIELD_MAX_FORWARDS,
    };
    (void)state;
    for (int i = 0; i < HTTP_FIELD_COUNT; i++) {
        bool expected = false;
        for (size_t k = 0; k < sizeof once / sizeof *once; k++)
            expected |= once[k] == (enum http_field)i;
        assert_int_equal(http_field_is_singleton((enum http_field)i), expected);
    }
}

/* RFC 9110 sections 5.5 and 5.6.2, for each octet. */
static void octets(void **state)
{
    static const char tchars[] = "!#$%&'*+-.^_`|~0123456789"
                                 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    (void)state;
    for (int octet = 0; octet < 256; octet++) {
        char text[3] = { 'a', (char)octet, 'b' };
        bool token = octet != 0 && strchr(tchars, octet) != NULL;
        assert_int_equal(http_is_token(text, 3), token);
        assert_int_equal(http_is_token(text + 1, 1), token);
        bool value = (octet >= 0x20 && octet != 0x7f) || octet == '\t';
        assert_int_equal(http_is_field_value(text, 3), value);
    }
    assert_false(http_is_token("", 0));
    assert_true(http_is_field_value("", 0));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_has_its_number),
        cmocka_unit_test(nothing_else_has_one),
        cmocka_unit_test(singletons),
        cmocka_unit_test(octets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
