/* Heads: however they are cut and whatever scans them, the outcome is the same; and what a complete
 * head says holds. */
#include "h1_common.h"

#include "fuzz.h"

#include "http/h1_parse.h"
#include "http/scan.h"
#include "http/uri.h"

#define MAX_FIELDS 64

/* One way of delivery and its outcome. */
struct run {
    struct h1_head head;
    struct message_field fields[MAX_FIELDS];
    long rc;
    size_t settled; /* octets that there were when rc was not 0 */
};

/* Parses the first len octets, in a block of their own. Returns whether that settled it. */
static bool feed(struct run *run, const char *in, size_t len, const struct h1_limits *limits)
{
    char *copy = fuzz_copy(in, len);
    run->rc = h1_parse(&run->head, copy, len, limits);
    run->settled = len;
    REQUIRE(run->rc <= (long)len && run->head.pos <= len);
    REQUIRE(run->head.message.n_fields <= limits->max_fields);
    free(copy);
    return run->rc != 0;
}

static void begin(struct run *run, bool response)
{
    h1_head_init(&run->head, response, run->fields);
}

/* Compares the outcome of two complete heads. */
static void require_same(const struct run *a, const struct run *b)
{
    const struct h1_head *x = &a->head, *y = &b->head;
    REQUIRE(a->rc == b->rc);
    if (a->rc <= 0)
        return;
    REQUIRE(x->start == y->start && x->message.method == y->message.method &&
            x->message.method_len == y->message.method_len);
    REQUIRE(x->message.target == y->message.target &&
            x->message.target_len == y->message.target_len);
    REQUIRE(x->message.reason == y->message.reason &&
            x->message.reason_len == y->message.reason_len);
    REQUIRE(x->message.status == y->message.status && x->message.version == y->message.version &&
            x->framing == y->framing);
    REQUIRE(x->has_content_length == y->has_content_length);
    REQUIRE(x->message.content_length == y->message.content_length &&
            x->keep_alive == y->keep_alive);
    REQUIRE(x->expect_continue == y->expect_continue && x->upgrade == y->upgrade);
    REQUIRE(x->message.n_fields == y->message.n_fields &&
            memcmp(x->message.known, y->message.known, sizeof x->message.known) == 0);
    for (size_t i = 0; i < x->message.n_fields; i++) {
        const struct message_field *f = &x->message.fields[i], *g = &y->message.fields[i];
        REQUIRE(f->name == g->name && f->name_len == g->name_len && f->id == g->id);
        REQUIRE(f->value == g->value && f->value_len == g->value_len);
    }
}

/* Once terminated, a part is a C string of its own length, without CR and LF. */
static void require_text(const char *data, size_t at, size_t len, size_t size)
{
    REQUIRE(at + len < size && strlen(data + at) == len);
    REQUIRE(!memchr(data + at, '\r', len) && !memchr(data + at, '\n', len));
}

static void require_sound_fields(const struct h1_head *head, const char *data, size_t size)
{
    for (size_t i = 0; i < head->message.n_fields; i++) {
        const struct message_field *field = &head->message.fields[i];
        require_text(data, field->name, field->name_len, size);
        require_text(data, field->value, field->value_len, size);
        REQUIRE(http_is_token(data + field->name, field->name_len));
        REQUIRE(http_is_field_value(data + field->value, field->value_len));
        REQUIRE(field->id == http_field_id(data + field->name, field->name_len));
        REQUIRE(field->id == HTTP_FIELD_OTHER || head->message.known[field->id]);
        const char *value = data + field->value;
        if (field->value_len)
            REQUIRE(!strchr(" \t", value[0]) && !strchr(" \t", value[field->value_len - 1]));
    }
}

static void require_sound(const struct run *run, const char *in)
{
    const struct h1_head *head = &run->head;
    size_t size = (size_t)run->rc;
    char *data = fuzz_copy(in, size);
    REQUIRE(memcmp(data + size - 2, "\r\n", 2) == 0);
    h1_head_terminate(head, data);
    require_sound_fields(head, data, size);
    REQUIRE(!head->message.known[HTTP_FIELD_TRANSFER_ENCODING] ||
            !head->message.known[HTTP_FIELD_CONTENT_LENGTH]);
    REQUIRE(head->framing != H1_BODY_LENGTH || head->message.content_length > 0);
    if (head->response) {
        require_text(data, head->message.reason, head->message.reason_len, size);
        REQUIRE(head->message.status >= 100 && head->message.status <= 999);
        REQUIRE(head->framing != H1_BODY_UNTIL_CLOSE || !head->keep_alive);
    } else {
        struct uri_target target;
        require_text(data, head->message.method, head->message.method_len, size);
        require_text(data, head->message.target, head->message.target_len, size);
        REQUIRE(http_is_token(data + head->message.method, head->message.method_len) &&
                head->message.target_len > 0);
        REQUIRE(head->framing != H1_BODY_UNTIL_CLOSE);
        bool chunked = head->message.known[HTTP_FIELD_TRANSFER_ENCODING];
        REQUIRE(chunked == (head->framing == H1_BODY_CHUNKED));
        REQUIRE(head->message.version < 11 || head->message.known[HTTP_FIELD_HOST]);
        uri_parse_target(data + head->message.method, head->message.method_len,
                         data + head->message.target, head->message.target_len, &target);
    }
    free(data);
}

/* In two parts; the first must settle it exactly when it has the octets that settle it. */
static void run_split(const struct run *expected, const char *in, size_t size, size_t cut,
                      const struct h1_limits *limits)
{
    struct run run;
    begin(&run, expected->head.response);
    bool settled = feed(&run, in, cut, limits);
    REQUIRE(settled == (expected->rc != 0 && cut >= expected->settled));
    if (!settled)
        feed(&run, in, size, limits);
    require_same(expected, &run);
}

void fuzz_h1(const uint8_t *data, size_t size, bool response)
{
    static const struct h1_limits choices[] = {
        { 8190, 65536, MAX_FIELDS },
        { 32, 128, 4 },
        { 64, 48, 1 },
        { 16, 24, 0 },
    };
    if (size < 2)
        return;
    const struct h1_limits *limits = &choices[data[0] % 4];
    const char *in = (const char *)data + 2;
    size_t len = size - 2, cut = len * data[1] / 255;
    struct run bytewise = { 0 }, whole = { 0 };
    http_scan = *http_scan_variants()[0]; /* the last variant, which was chosen, comes again */
    begin(&bytewise, response);
    for (size_t n = 1; n <= len && n <= 4096 && !feed(&bytewise, in, n, limits);)
        n++;
    if (bytewise.rc == 0 && bytewise.settled < len)
        return; /* too long for this */
    if (bytewise.rc > 0)
        require_sound(&bytewise, in);
    for (const struct http_scan *const *variant = http_scan_variants(); *variant; variant++) {
        http_scan = **variant;
        begin(&whole, response);
        feed(&whole, in, len, limits);
        require_same(&bytewise, &whole);
        run_split(&bytewise, in, len, cut, limits);
    }
    if (response && whole.rc > 0) {
        h1_response_to(&whole.head, data[0] & 4 ? "HEAD" : "CONNECT");
        REQUIRE(!(data[0] & 4) || whole.head.framing == H1_BODY_NONE);
    }
}
