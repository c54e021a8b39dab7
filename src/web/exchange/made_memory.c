/* A client in memory: its request is there, and the response is collected. */
#include "web/exchange/made.h"

#include "base/mem.h"
#include "http/date.h"
#include "http/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static struct made_memory *memory_of(struct made_client *client)
{
    return CONTAINER_OF(client, struct made_memory, client);
}

static int memory_read(struct made_client *client, tepal_bytes *piece)
{
    struct made_memory *memory = memory_of(client);
    size_t left = memory->content.len - memory->n_read;
    if (memory->most_at_once > 0 && left > memory->most_at_once)
        left = memory->most_at_once;
    *piece = (tepal_bytes){ .data = memory->content.data + memory->n_read, .len = left };
    memory->n_read += left;
    return left > 0;
}

/* --- The head --------------------------------------------------------------------------------- */

static int append_text(struct made_memory *memory, const char *text, size_t len)
{
    int rc = buf_append(&memory->text, text, len);
    return rc == 0 ? buf_append(&memory->text, "", 1) : rc;
}

static int append_reply_field(struct made_memory *memory, const char *name, const char *value,
                              size_t value_len)
{
    struct message *message = &memory->message;
    if (message->n_fields == MADE_MAX_FIELDS)
        return TEPAL_EMESSAGE;
    struct message_field *field = &memory->fields[message->n_fields++];
    size_t name_len = strlen(name);
    field->name = (uint32_t)memory->text.len;
    field->name_len = (uint16_t)name_len;
    int rc = append_text(memory, name, name_len);
    field->value = (uint32_t)memory->text.len;
    field->value_len = (uint32_t)value_len;
    return rc == 0 ? append_text(memory, value, value_len) : rc;
}

/* What servers add, in the order in which they do. */
static int append_common(struct made_memory *memory, const struct response_head *head)
{
    const char *server = memory->server_name;
    char date[HTTP_DATE_LEN + 1];
    int rc = 0;
    if (!head->own_date) {
        http_date_write(date, time(NULL));
        rc = append_reply_field(memory, "Date", date, HTTP_DATE_LEN);
    }
    if (rc == 0 && !head->own_server && server && *server)
        rc = append_reply_field(memory, "Server", server, strlen(server));
    return rc;
}

static int append_all_fields(struct made_memory *memory, const struct response_head *head)
{
    char length[24];
    int rc = append_common(memory, head);
    if (rc == 0 && head->content_type)
        rc = append_reply_field(memory, "Content-Type", head->content_type, head->type_len);
    if (rc == 0 && head->has_length) {
        int n = snprintf(length, sizeof(length), "%llu", (unsigned long long)head->length);
        rc = append_reply_field(memory, "Content-Length", length, (size_t)n);
    }
    for (const struct response_field *field = head->fields; field && rc == 0; field = field->next)
        rc = append_reply_field(memory, field->name, field->value, field->value_len);
    return rc;
}

static int memory_head(struct made_client *client, const struct response_head *head)
{
    struct made_memory *memory = memory_of(client);
    struct message *message = &memory->message;
    const char *reason = head->reason ? head->reason : http_status_reason(head->status);
    buf_clear(&memory->text); /* an earlier head that was not taken whole */
    *message = (struct message){ .reason_len = (uint32_t)strlen(reason), .version = 11 };
    int rc = append_text(memory, reason, message->reason_len);
    if (rc == 0)
        rc = append_all_fields(memory, head);
    if (rc < 0)
        return rc;
    message->data = memory->text.data;
    message->fields = memory->fields;
    message->status = (uint16_t)head->status;
    message->content_length = head->bodiless ? 0 : head->has_length ? head->length : TEPAL_UNKNOWN;
    message_know_fields(message);
    return 0;
}

static int memory_write(struct made_client *client, const void *data, size_t len)
{
    return buf_append(&memory_of(client)->body, data, len);
}

void made_memory_init(struct made_memory *memory, tepal_bytes content, size_t max)
{
    memset(memory, 0, sizeof(*memory));
    memory->client.read = memory_read;
    memory->client.head = memory_head;
    memory->client.write = memory_write;
    memory->content = content;
    buf_init(&memory->text, UINT32_MAX / 2);
    buf_init(&memory->body, max);
}

void made_memory_clear(struct made_memory *memory)
{
    buf_clear(&memory->text);
    buf_clear(&memory->body);
}
