/* The fields that decide where a message ends and what becomes of its connection (RFC 9112
 * sections 3.2, 6 and 9; RFC 9110 sections 7.2, 7.6.1, 7.8 and 10.1.1). It owns every rule against
 * request smuggling; it never finds a line end itself. */
#include "http/h1_framing.h"

#include "base/platform.h"
#include "http/octet.h"
#include "http/status.h"
#include "http/uri.h"

#include <string.h>

/* Takes the next element, without whitespace around it and maybe empty, off a comma-separated
 * list. Returns false when nothing is left. */
static bool list_next(const char **rest, size_t *left, const char **item, size_t *len)
{
    if (!*rest)
        return false;
    const char *comma = *left ? memchr(*rest, ',', *left) : NULL;
    *item = *rest;
    *len = comma ? (size_t)(comma - *rest) : *left;
    *left = comma ? *left - *len - 1 : 0;
    *rest = comma ? comma + 1 : NULL;
    octet_trim(item, len);
    return true;
}

bool h1_list_has(const char *value, size_t len, const char *token)
{
    const char *item;
    size_t item_len, token_len = strlen(token);
    while (list_next(&value, &len, &item, &item_len))
        if (octet_same(item, item_len, token, token_len))
            return true;
    return false;
}

static int content_length(struct h1_head *head, const char *value, size_t len)
{
    uint64_t n = 0;
    if (len == 0 || head->message.known[HTTP_FIELD_TRANSFER_ENCODING])
        return -400;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(unsigned char)value[i] - '0';
        if (digit > 9 || n > ((uint64_t)INT64_MAX - digit) / 10)
            return -400;
        n = n * 10 + digit;
    }
    head->has_content_length = true;
    head->message.content_length = n;
    if (n)
        head->framing = H1_BODY_LENGTH;
    return 0;
}

/* One line of transfer codings; several make one list (RFC 9110 section 5.3). Nothing may follow
 * chunked, and parameters are no token: no coding that is known has any. */
static int transfer_encoding(struct h1_head *head, const char *value, size_t len)
{
    const char *item;
    size_t item_len;
    if (head->message.version < 11 || head->message.known[HTTP_FIELD_CONTENT_LENGTH])
        return -400;
    while (list_next(&value, &len, &item, &item_len)) {
        if (head->framing == H1_BODY_CHUNKED || !http_is_token(item, item_len))
            return -400;
        if (octet_same(item, item_len, "chunked", 7))
            head->framing = H1_BODY_CHUNKED;
        else
            head->other_coding = true;
    }
    return 0;
}

/* Codings that are not implemented are 501 when the body could at least be delimited, that is with
 * chunked at the end (RFC 9112 section 6.1). */
static int why_other_coding(const struct h1_head *head)
{
    return head->framing == H1_BODY_CHUNKED ? -501 : -400;
}

static void connection(struct h1_head *head, const char *value, size_t len)
{
    const char *item;
    size_t item_len;
    while (list_next(&value, &len, &item, &item_len))
        if (octet_same(item, item_len, "close", 5))
            head->option_close = true;
        else if (octet_same(item, item_len, "keep-alive", 10))
            head->option_keep_alive = true;
        else if (octet_same(item, item_len, "upgrade", 7))
            head->option_upgrade = true;
}

/* Whether a second field with this number makes the message invalid. A client is lenient where it
 * is only a matter of taste, but never with framing. */
static bool may_repeat(const struct h1_head *head, enum http_field id)
{
    return head->response ? id != HTTP_FIELD_CONTENT_LENGTH : !http_field_is_singleton(id);
}

static int host(const struct h1_head *head, const char *value, size_t len)
{
    struct h1_known_host *known = head->known_host;
    if (head->response || (known && known->len == len && octet_equal(known->text, value, len)))
        return 0;
    if (!uri_is_host(value, len))
        return -400;
    if (known && len <= sizeof(known->text)) {
        known->len = (uint32_t)len;
        memcpy(known->text, value, len);
    }
    return 0;
}

int h1_framing_field(struct h1_head *head, const char *data, const struct message_field *field)
{
    enum http_field id = (enum http_field)field->id;
    const char *value = data + field->value;
    size_t len = field->value_len;
    if (head->message.known[id] && !may_repeat(head, id))
        return -400;
    if (!head->message.known[id])
        head->message.known[id] = (uint16_t)(head->message.n_fields + 1);
    switch (id) {
    case HTTP_FIELD_CONTENT_LENGTH:
        return content_length(head, value, len);
    case HTTP_FIELD_TRANSFER_ENCODING:
        return transfer_encoding(head, value, len);
    case HTTP_FIELD_HOST:
        return host(head, value, len);
    case HTTP_FIELD_CONNECTION:
        connection(head, value, len);
        return 0;
    case HTTP_FIELD_EXPECT:
        if (!head->response && head->message.version >= 11 &&
            h1_list_has(value, len, "100-continue"))
            head->expect_continue = true;
        return 0;
    default:
        return 0;
    }
}

/* Whether the sender wants the connection to go on (RFC 9112 section 9.3). */
static bool persists(const struct h1_head *head)
{
    return !head->option_close && (head->message.version >= 11 || head->option_keep_alive);
}

static void response_framing(struct h1_head *head)
{
    bool has_framing = head->has_content_length || head->framing == H1_BODY_CHUNKED;
    if (http_status_is_bodiless(head->message.status)) {
        /* A sender that announces content where none can be may well send some: what follows on
         * the connection is not to be trusted. A 304 tells what a 200 would have had. */
        if (head->message.status != 304 && head->framing != H1_BODY_NONE)
            head->keep_alive = false;
        head->framing = H1_BODY_NONE;
    } else if (!has_framing) {
        head->framing = H1_BODY_UNTIL_CLOSE;
        head->keep_alive = false;
    }
}

int h1_framing_finish(struct h1_head *head)
{
    if (!head->response && head->message.version >= 11 && !head->message.known[HTTP_FIELD_HOST])
        return -400;
    if (UNLIKELY(head->other_coding))
        return why_other_coding(head);
    head->keep_alive = persists(head);
    head->upgrade = head->option_upgrade && head->message.version >= 11 &&
                    head->message.known[HTTP_FIELD_UPGRADE];
    if (head->response)
        response_framing(head);
    if (head->framing >= H1_BODY_CHUNKED)
        head->message.content_length = TEPAL_UNKNOWN;
    return 0;
}

void h1_response_to(struct h1_head *head, const char *method)
{
    bool tunnel = strcmp(method, "CONNECT") == 0 && head->message.status / 100 == 2;
    if (!tunnel && strcmp(method, "HEAD") != 0)
        return;
    if (head->framing == H1_BODY_UNTIL_CLOSE)
        head->keep_alive = persists(head);
    head->framing = H1_BODY_NONE;
}
