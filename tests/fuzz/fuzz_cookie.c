/* Fuzzes Cookie and Set-Cookie fields: cookies stay inside of the field and hold no controls, and
 * one that is written comes back. */
#include "fuzz.h"

#include "http/cookie.h"
#include "http/field.h"

/* Writes the cookie, if it can be written, and reads it again. */
static void there_and_back(const struct cookie_pair *pair)
{
    char name[256], value[256], out[1024];
    if (pair->name_len >= sizeof name || pair->value_len >= sizeof value)
        return;
    snprintf(name, sizeof name, "%.*s", (int)pair->name_len, pair->name);
    snprintf(value, sizeof value, "%.*s", (int)pair->value_len, pair->value);
    struct cookie_attributes attributes = { .path = value, .has_max_age = true, .secure = true };
    long len = cookie_write(out, sizeof out, name, value, &attributes);
    if (len < 0)
        return;
    REQUIRE((size_t)len == strlen(out) && http_is_field_value(out, (size_t)len));
    REQUIRE(cookie_write(NULL, 0, name, value, &attributes) == len);
    const char *rest = out;
    size_t left = (size_t)len;
    struct cookie_pair again;
    REQUIRE(cookie_next(&rest, &left, &again));
    REQUIRE(again.name_len == pair->name_len && again.value_len == pair->value_len);
    REQUIRE(memcmp(again.name, name, again.name_len) == 0);
    REQUIRE(memcmp(again.value, value, again.value_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *in = fuzz_copy(data, size);
    const char *rest = in;
    size_t left = size;
    struct cookie_pair pair;
    while (cookie_next(&rest, &left, &pair)) {
        REQUIRE(rest + left == in + size);
        REQUIRE(fuzz_inside(pair.name, pair.name_len, in, size));
        REQUIRE(fuzz_inside(pair.value, pair.value_len, in, size));
        REQUIRE(http_is_token(pair.name, pair.name_len));
        REQUIRE(http_is_field_value(pair.value, pair.value_len));
        REQUIRE(!memchr(pair.value, ';', pair.value_len) &&
                !memchr(pair.value, '\t', pair.value_len));
        there_and_back(&pair);
    }
    REQUIRE(left == 0);
    free(in);
    return 0;
}
