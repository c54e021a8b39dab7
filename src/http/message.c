/* What is found out of a complete message on whatever carrier. */
#include "http/message.h"

#include "base/platform.h"

int message_take_target(struct message *message, bool odd)
{
    const char *target = message_target(message);
    if (LIKELY(uri_is_plain_path(message->method_len, target, odd))) {
        message->uri = (struct uri_target){ .path = target, .path_len = message->target_len };
        return 0;
    }
    return uri_parse_target(message_method(message), message->method_len, target,
                            message->target_len, &message->uri);
}

void message_know_fields(struct message *message)
{
    memset(message->known, 0, sizeof(message->known));
    for (uint16_t i = 0; i < message->n_fields; i++) {
        struct message_field *field = &message->fields[i];
        enum http_field id = http_field_id(message->data + field->name, field->name_len);
        field->id = (uint8_t)id;
        if (!message->known[id])
            message->known[id] = (uint16_t)(i + 1);
    }
}

int message_check_fields(const struct message *message)
{
    for (size_t i = 0; i < message->n_fields; i++) {
        enum http_field id = (enum http_field)message->fields[i].id;
        if (message->known[id] != i + 1 && http_field_is_singleton(id))
            return -400;
    }
    uint16_t host = message->known[HTTP_FIELD_HOST];
    if (host == 0)
        return message->version < 11 ? 0 : -400;
    const struct message_field *field = &message->fields[host - 1];
    return uri_is_host(message->data + field->value, field->value_len) ? 0 : -400;
}
