/* The parts of a message head that are more than a copy. */
#include "http/h1_write.h"

char *h1_write_large_number(char *p, uint64_t number)
{
    size_t n = 1;
    for (uint64_t rest = number; rest >= 10; rest /= 10)
        n++;
    char *end = p + n;
    for (p = end; n > 0; n--, number /= 10)
        *--p = (char)('0' + number % 10);
    return end;
}

char *h1_write_status_line(char *p, int status, const char *reason, size_t reason_len)
{
    p = h1_write_bytes(p, "HTTP/1.1 ", 9);
    *p++ = (char)('0' + status / 100 % 10);
    *p++ = (char)('0' + status / 10 % 10);
    *p++ = (char)('0' + status % 10);
    *p++ = ' ';
    p = h1_write_bytes(p, reason, reason_len);
    return h1_write_bytes(p, "\r\n", 2);
}

char *h1_write_content_length(char *p, uint64_t length)
{
    p = h1_write_bytes(p, "Content-Length: ", 16);
    p = h1_write_number(p, length);
    return h1_write_bytes(p, "\r\n", 2);
}
