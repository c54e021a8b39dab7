/* A walk along the arguments of a format. Pure. */
#include "base/platform.h"

#include "web/text/printing.h"

#include <printf.h>
#include <string.h>
#include <wchar.h>

/* The type of an argument that the format does not name, between others that it does. */
enum { UNKNOWN = -1 };

/* What the C library prints for NULL. */
static const char null_text[] = "(null)";

bool printing_looks_null(const char *text, size_t len)
{
    const char *end = text + len;
    while ((text = memchr(text, null_text[0], (size_t)(end - text)))) {
        if ((size_t)(end - text) >= sizeof(null_text) - 1 &&
            memcmp(text, null_text, sizeof(null_text) - 1) == 0)
            return true;
        text++;
    }
    return false;
}

/* Takes an integer of this type off the arguments. */
static void skip_integer(int type, va_list *args)
{
    if (type & PA_FLAG_LONG_LONG)
        (void)va_arg(*args, long long);
    else if (type & PA_FLAG_LONG)
        (void)va_arg(*args, long);
    else
        (void)va_arg(*args, int);
}

/* Takes an argument of this type off them. Returns 1 for a text that is NULL, -1 for a type that
 * is not known: what is behind cannot be told. */
static int take_argument(int type, va_list *args)
{
    int base = type & ~PA_FLAG_MASK;
    if (type == UNKNOWN)
        return -1;
    if ((type & PA_FLAG_PTR) || base == PA_POINTER)
        (void)va_arg(*args, void *);
    else if (base == PA_STRING || base == PA_WSTRING)
        return va_arg(*args, void *) == NULL;
    else if (base == PA_INT || base == PA_CHAR)
        skip_integer(type, args);
    else if (base == PA_WCHAR)
        (void)va_arg(*args, wint_t);
    else if ((base == PA_DOUBLE || base == PA_FLOAT) && (type & PA_FLAG_LONG_DOUBLE))
        (void)va_arg(*args, long double);
    else if (base == PA_DOUBLE || base == PA_FLOAT)
        (void)va_arg(*args, double);
    else
        return -1;
    return 0;
}

int printing_skip(const char *format, va_list *args)
{
    enum { MAX_ARGUMENTS = 64 };
    int types[MAX_ARGUMENTS], found = 0;
    for (size_t i = 0; i < MAX_ARGUMENTS; i++)
        types[i] = UNKNOWN;
    size_t n = parse_printf_format(format, MAX_ARGUMENTS, types);
    for (size_t i = 0; i < n && i < MAX_ARGUMENTS; i++) {
        int one = take_argument(types[i], args);
        if (one < 0)
            return found > 0 ? found : one;
        found |= one;
    }
    return found;
}

bool printing_has_null(const char *format, va_list args)
{
    va_list rest;
    va_copy(rest, args);
    int found = printing_skip(format, &rest);
    va_end(rest);
    return found > 0;
}
