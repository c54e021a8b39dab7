/* Formatting without the program's decimal point. Only LC_NUMERIC is replaced, and only where it
 * matters: wide text (%ls) needs the program's character set, and the replacement costs more than
 * the formatting. */
#include "base/print.h"

#include "base/platform.h"

#include <langinfo.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Whether a conversion of the format is one of a real number. */
static bool prints_reals(const char *format)
{
    while ((format = strchr(format, '%'))) {
        format++;
        format += strspn(format, "#0- +'I123456789.*$hljztLqZ");
        if (*format && strchr("aAeEfFgG", *format))
            return true;
        format += *format != '\0';
    }
    return false;
}

int print_vsnprintf(char *out, size_t size, const char *format, va_list args)
{
    const char *point = nl_langinfo(RADIXCHAR);
    if (LIKELY(point[0] == '.' && point[1] == '\0') || !prints_reals(format))
        return vsnprintf(out, size, format, args);
    locale_t old = uselocale((locale_t)0), copy = duplocale(old);
    locale_t plain = copy ? newlocale(LC_NUMERIC_MASK, "C", copy) : (locale_t)0;
    if (!plain) {
        if (copy)
            freelocale(copy);
        return -1;
    }
    uselocale(plain);
    int n = vsnprintf(out, size, format, args);
    uselocale(old);
    freelocale(plain);
    return n;
}
