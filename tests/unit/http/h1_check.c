/* The replaying that h1_check.h describes. Every octet that the parser may see is in a block of
 * its own of exactly that size, so that ASan finds a read beyond it, and a new one for each call,
 * so that a pointer kept from the last call is found too. */
#include "h1_check.h"

#include "http/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct message_field table[H1_CHECK_MAX_FIELDS];

/* One call with the first len octets of the input. */
static long feed(struct h1_head *head, const char *input, size_t len,
                 const struct h1_limits *limits)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, input, len);
    long rc = len ? h1_parse(head, copy, len, limits) : h1_parse(head, copy + 1, 0, limits);
    free(copy);
    return rc;
}

const char *h1_describe(const struct h1_head *head, const char *data)
{
    static char text[8192];
    static const char *const framings[] = { "none", "length", "chunked", "until-close" };
    int n;
    if (head->response)
        n = snprintf(text, sizeof text, "%d (%.*s)", head->message.status,
                     (int)head->message.reason_len, data + head->message.reason);
    else
        n = snprintf(text, sizeof text, "%.*s %.*s", (int)head->message.method_len,
                     data + head->message.method, (int)head->message.target_len,
                     data + head->message.target);
    n += snprintf(text + n, sizeof text - (size_t)n, " 1.%d %s", head->message.version % 10,
                  framings[head->framing]);
    if (head->framing == H1_BODY_LENGTH)
        n += snprintf(text + n, sizeof text - (size_t)n, "=%llu",
                      (unsigned long long)head->message.content_length);
    n +=
        snprintf(text + n, sizeof text - (size_t)n, "%s%s%s", head->keep_alive ? " keep" : " close",
                 head->expect_continue ? " +continue" : "", head->upgrade ? " +upgrade" : "");
    for (size_t i = 0; i < head->message.n_fields; i++) {
        const struct message_field *field = &head->message.fields[i];
        n += snprintf(text + n, sizeof text - (size_t)n, " %.*s=(%.*s)", field->name_len,
                      data + field->name, (int)field->value_len, data + field->value);
        if (n >= (int)sizeof text)
            break;
    }
    return text;
}

/* The numbers of known fields must agree with the table. */
static void check_known(const struct h1_row *row, const struct h1_head *head)
{
    uint16_t first[HTTP_FIELD_COUNT] = { 0 };
    for (uint16_t i = 0; i < head->message.n_fields; i++) {
        const struct message_field *field = &head->message.fields[i];
        assert_int_equal(field->id, http_field_id(row->input + field->name, field->name_len));
        if (field->id != HTTP_FIELD_OTHER && !first[field->id])
            first[field->id] = (uint16_t)(i + 1);
    }
    assert_memory_equal(first, head->message.known, sizeof first);
}

static void check_outcome(const struct h1_row *row, const struct h1_head *head, long rc)
{
    if (!row->text) {
        if (rc != -row->status)
            fail_msg("%s: %ld instead of %d", row->why, rc, -row->status);
        return;
    }
    if (rc != (long)(row->len - row->rest))
        fail_msg("%s: %ld instead of %zu", row->why, rc, row->len - row->rest);
    const char *text = h1_describe(head, row->input);
    if (strcmp(text, row->text) != 0)
        fail_msg("%s: \"%s\" instead of \"%s\"", row->why, text, row->text);
    check_known(row, head);
}

/* Octet by octet; returns how many octets settled it. */
static size_t check_bytewise(const struct h1_row *row, bool response,
                             const struct h1_limits *limits)
{
    struct h1_head head;
    h1_head_init(&head, response, table);
    for (size_t len = 0; len <= row->len; len++) {
        long rc = feed(&head, row->input, len, limits);
        if (rc == 0)
            continue;
        check_outcome(row, &head, rc);
        return len;
    }
    fail_msg("%s: nothing came of it octet by octet", row->why);
    return 0;
}

/* In two parts, for each place; the second part must not be needed once settled octets are there,
 * and the first must not settle it before. */
static void check_splits(const struct h1_row *row, bool response, const struct h1_limits *limits,
                         size_t settled)
{
    for (size_t cut = 0; cut <= row->len; cut++) {
        struct h1_head head;
        h1_head_init(&head, response, table);
        long rc = feed(&head, row->input, cut, limits);
        if ((rc != 0) != (cut >= settled))
            fail_msg("%s: %ld after %zu octets, but settled after %zu", row->why, rc, cut, settled);
        if (rc == 0)
            rc = feed(&head, row->input, row->len, limits);
        check_outcome(row, &head, rc);
    }
}

void h1_check(const struct h1_row *row, bool response, const struct h1_limits *limits)
{
    struct http_scan chosen = http_scan;
    for (const struct http_scan *const *variant = http_scan_variants(); *variant; variant++) {
        http_scan = **variant;
        size_t settled = check_bytewise(row, response, limits);
        if (row->text)
            assert_int_equal(settled, row->len - row->rest);
        else if (row->refused && settled != row->refused)
            fail_msg("%s: refused after %zu octets, not %zu", row->why, settled, row->refused);
        check_splits(row, response, limits, settled);
    }
    http_scan = chosen;
}

void h1_check_all(const struct h1_row *rows, size_t count, bool response)
{
    static const struct h1_limits limits = H1_CHECK_LIMITS;
    for (size_t i = 0; i < count; i++)
        h1_check(&rows[i], response, &limits);
}
