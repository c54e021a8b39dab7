/* The parts of a message head that are more than a copy. */
#include "http/h1_write.h"

char *h1_write_status_line(char *p, int status, const char *reason, size_t reason_len)
{
    p = put_bytes(p, "HTTP/1.1 ", 9);
    *p++ = (char)('0' + status / 100 % 10);
    *p++ = (char)('0' + status / 10 % 10);
    *p++ = (char)('0' + status % 10);
    *p++ = ' ';
    p = put_bytes(p, reason, reason_len);
    return put_bytes(p, "\r\n", 2);
}

char *h1_write_content_length(char *p, uint64_t length)
{
    p = put_bytes(p, "Content-Length: ", 16);
    p = put_number(p, length);
    return put_bytes(p, "\r\n", 2);
}
