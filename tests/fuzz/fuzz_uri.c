/* Fuzzes targets, hosts, percent-coding and query strings. The first octet of the input chooses the
 * method; the rest is taken for each of them in turn. */
#include "fuzz.h"

#include "http/uri.h"

static void target(const char *method, const char *in, size_t len)
{
    struct uri_target parts;
    if (uri_parse_target(method, strlen(method), in, len, &parts) < 0)
        return;
    bool connect = strcmp(method, "CONNECT") == 0;
    REQUIRE(!memchr(in, '\0', len) && !memchr(in, ' ', len) && !memchr(in, '#', len));
    REQUIRE(connect ? parts.path_len == 0 : parts.path_len > 0);
    REQUIRE(connect || *parts.path == '/' || (*parts.path == '*' && len == 1));
    REQUIRE(fuzz_inside(parts.path, parts.path_len, in, len) || parts.scheme);
    REQUIRE(!memchr(parts.path, '?', parts.path_len));
    REQUIRE(!parts.query || fuzz_inside(parts.query, parts.query_len, in, len));
    if (parts.authority) {
        REQUIRE(fuzz_inside(parts.authority, parts.authority_len, in, len));
        REQUIRE(parts.authority_len && uri_is_host(parts.authority, parts.authority_len));
    }
    REQUIRE(!parts.scheme || (parts.scheme == in && parts.scheme_len > 0 && parts.authority));
    char *path = fuzz_copy(parts.path, parts.path_len);
    size_t n = uri_decode(path, path, parts.path_len, false);
    REQUIRE(!memchr(path, '\0', n) && !memchr(path, '\r', n) && !memchr(path, '\n', n));
    bool high = false;
    for (size_t i = 0; i < n; i++)
        high |= (unsigned char)path[i] > 0x7f;
    free(path);
    REQUIRE(parts.high || !high);
    for (size_t i = 0; i < len; i++)
        REQUIRE((unsigned char)in[i] < 0x80);
}

static void host(const char *in, size_t len)
{
    if (!uri_is_host(in, len))
        return;
    for (size_t i = 0; i < len; i++)
        REQUIRE((unsigned char)in[i] > ' ' && (unsigned char)in[i] < 0x7f &&
                !strchr(",/?#@\\\"<>^`{|}", in[i]));
}

static void coding(const char *in, size_t len)
{
    char *out = malloc(3 * len + 1), *in_place = fuzz_copy(in, len);
    REQUIRE(out);
    for (int plus = 0; plus < 2; plus++) {
        size_t n = uri_decode(out, in, len, plus);
        REQUIRE(n <= len);
        memcpy(in_place, in, len);
        REQUIRE(uri_decode(in_place, in_place, len, plus) == n && memcmp(in_place, out, n) == 0);
    }
    for (int part = URI_SEGMENT; part <= URI_QUERY; part++) {
        size_t n = uri_encode(out, in, len, (enum uri_part)part);
        REQUIRE(n >= len && n <= 3 * len);
        n = uri_decode(out, out, n, part == URI_QUERY);
        REQUIRE(n == len && memcmp(out, in, len) == 0);
    }
    free(in_place);
    free(out);
}

/* The pairs, joined again, are the query without its empty pairs. */
static void pairs(const char *in, size_t len)
{
    const char *rest = in;
    size_t left = len, sum = 0, count = 0, ampersands = 0;
    struct uri_pair pair;
    for (size_t i = 0; i < len; i++)
        ampersands += in[i] == '&';
    while (uri_next_pair(&rest, &left, &pair)) {
        REQUIRE(fuzz_inside(pair.name, pair.name_len, in, len));
        REQUIRE(fuzz_inside(pair.value, pair.value_len, in, len));
        REQUIRE(!memchr(pair.name, '=', pair.name_len) && !memchr(pair.name, '&', pair.name_len));
        REQUIRE(!memchr(pair.value, '&', pair.value_len));
        sum += pair.name_len + pair.value_len + (pair.value > pair.name + pair.name_len);
        count++;
    }
    REQUIRE(left == 0 && count <= ampersands + 1 && sum + ampersands == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = { "GET", "OPTIONS", "CONNECT" };
    if (size < 1)
        return 0;
    char *in = fuzz_copy(data + 1, size - 1);
    target(methods[data[0] % 3], in, size - 1);
    host(in, size - 1);
    coding(in, size - 1);
    pairs(in, size - 1);
    free(in);
    return 0;
}
