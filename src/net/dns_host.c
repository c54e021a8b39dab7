/* What is a name of a host: letters, digits, '-' and '_' in labels, and no number at the end. */
#include "net/dns_host.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool dns_host_has_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

/* Whether text is a list of labels; the last one may end with a dot. */
static bool is_name(const char *text)
{
    size_t len = 0;
    bool digits = true; /* only, in this label */
    for (; *text; text++) {
        if (*text == '.') {
            if (len == 0)
                return false;
            if (text[1] == '\0')
                break;
            len = 0;
            digits = true;
        } else {
            digits &= is_digit(*text);
            if (!dns_host_has_char(*text) || ++len > DNS_MAX_LABEL)
                return false;
        }
    }
    /* What ends with a number is an IPv4 address that is malformed. */
    return len > 0 && !digits;
}

int dns_host_normalise(const char *host, char *out)
{
    size_t len = strlen(host);
    bool absolute = len > 0 && host[len - 1] == '.';
    if (len > DNS_MAX_NAME + (size_t)absolute)
        return -EINVAL;
    for (size_t i = 0; i <= len; i++)
        out[i] = host[i] >= 'A' && host[i] <= 'Z' ? (char)(host[i] + 'a' - 'A') : host[i];
    return is_name(out) ? 0 : -EINVAL;
}

bool dns_host_is_local(const char *text)
{
    static const char localhost[] = "localhost";
    size_t len = strlen(text), end = sizeof(localhost) - 1;
    len -= text[len - 1] == '.';
    return len >= end && memcmp(text + len - end, localhost, end) == 0 &&
           (len == end || text[len - end - 1] == '.');
}
