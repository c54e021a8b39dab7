/* printf for what machines read: the decimal point is a point, whatever locale the program has set
 * for the people that it talks to. */
#ifndef TEPAL_BASE_PRINT_H
#define TEPAL_BASE_PRINT_H

#include <stdarg.h>
#include <stddef.h>

/* As vsnprintf(), but that LC_NUMERIC is "C" for formats that print reals. */
int print_vsnprintf(char *out, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
