/* The parts of a message head that are more than a copy. */
#include "http/h1_write.h"

char *h1_write_number(char *p, uint64_t number)
{
    char digits[20];
    size_t n = sizeof(digits);
    do {
        digits[--n] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return h1_write_bytes(p, digits + n, sizeof(digits) - n);
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
