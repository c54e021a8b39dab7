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
