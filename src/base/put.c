/* The numbers that are more than two digits. */
#include "base/put.h"

char *put_large_number(char *p, uint64_t number)
{
    size_t n = 1;
    for (uint64_t rest = number; rest >= 10; rest /= 10)
        n++;
    char *end = p + n;
    for (p = end; n > 0; n--, number /= 10)
        *--p = (char)('0' + number % 10);
    return end;
}
