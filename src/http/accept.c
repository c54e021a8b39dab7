/* The Accept field: media ranges and their qualities. */
#include "http/accept.h"

#include "http/field.h"

#include <stddef.h>
#include <string.h>

/* The value of the parameter q among those at text[0..len), in thousandths. */
static int quality_of(const char *text, size_t len)
{
    const char *end = text + len;
    while (text < end) {
        const char *stop = memchr(text, ';', (size_t)(end - text));
        stop = stop ? stop : end;
        while (text < stop && (*text == ' ' || *text == '\t'))
            text++;
        if (stop - text >= 3 && (*text | 0x20) == 'q' && text[1] == '=') {
            if (text[2] != '0')
                return 1000;
            int quality = 0, unit = 100;
            for (const char *p = text + 4; p < stop && *p >= '0' && *p <= '9' && unit; unit /= 10)
                quality += (*p++ - '0') * unit;
            return text + 3 < stop && text[3] == '.' ? quality : 0;
        }
        text = stop + 1;
    }
    return 1000;
}

/* How well the range fits the type: 3 exactly, 2 type/all, 1 all, 0 not. */
static int fit(const char *range, size_t len, const char *type)
{
    const char *slash = strchr(type, '/');
    size_t main_len = (size_t)(slash - type) + 1;
    if (len == 3 && memcmp(range, "*/*", 3) == 0)
        return 1;
    if (len == main_len + 1 && range[len - 1] == '*' &&
        http_same_name(range, main_len, type, main_len))
        return 2;
    return http_same_name(range, len, type, strlen(type)) ? 3 : 0;
}

int accept_quality(const char *accept, const char *type)
{
    int best_fit = 0, quality = 0;
    if (!accept)
        return 1000;
    while (*accept) {
        accept += strspn(accept, ", \t");
        size_t len = strcspn(accept, ","), range_len = strcspn(accept, ",; \t");
        int fits = fit(accept, range_len, type);
        if (fits > best_fit) {
            best_fit = fits;
            quality = quality_of(accept + range_len, len - range_len);
        }
        accept += len;
    }
    return quality;
}
