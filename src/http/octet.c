/* The table of octet classes. It owns the definition of each class, written as a predicate that
 * the compiler evaluates, and never any code that runs. */
#include "http/octet.h"

#define ALPHA(c) (((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'z')
#define DIGIT(c) ((c) >= '0' && (c) <= '9')
#define MARK(c) ((c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define SUB_DELIM(c) \
    ((c) == '!' || (c) == '$' || ((c) >= '&' && (c) <= ',') || (c) == ';' || (c) == '=')
#define TCHAR(c)                                                                                   \
    (ALPHA(c) || DIGIT(c) || MARK(c) || (c) == '!' || ((c) >= '#' && (c) <= '\'') || (c) == '*' || \
     (c) == '+' || (c) == '^' || (c) == '`' || (c) == '|')
#define VALUE(c) ((c) == '\t' || ((c) >= ' ' && (c) != 0x7f))
#define TARGET(c) ((c) > ' ' && (c) != 0x7f)
#define HOST(c) ((ALPHA(c) || DIGIT(c) || MARK(c) || SUB_DELIM(c)) && (c) != ',')
#define COOKIE(c) ((c) > ' ' && (c) < 0x7f && (c) != '"' && (c) != ',' && (c) != ';' && (c) != '\\')

#define PLAIN(c) (TARGET(c) && (c) < 0x80 && (c) != '#' && (c) != '%')

#define CLASSES(c)                                                                               \
    ((TCHAR(c) ? OCTET_TOKEN : 0) | (VALUE(c) ? OCTET_VALUE : 0) |                               \
     (TARGET(c) ? OCTET_TARGET : 0) | (ALPHA(c) || DIGIT(c) || MARK(c) ? OCTET_UNRESERVED : 0) | \
     (SUB_DELIM(c) ? OCTET_SUB_DELIM : 0) | (COOKIE(c) ? OCTET_COOKIE : 0) |                     \
     (DIGIT(c) ? OCTET_DIGIT : 0) | (ALPHA(c) ? OCTET_ALPHA : 0) | (HOST(c) ? OCTET_HOST : 0) |  \
     (PLAIN(c) ? OCTET_PLAIN : 0) | (PLAIN(c) && (c) != '?' ? OCTET_PATH : 0))
#define FOUR(c) CLASSES(c), CLASSES((c) + 1), CLASSES((c) + 2), CLASSES((c) + 3)
#define SIXTEEN(c) FOUR(c), FOUR((c) + 4), FOUR((c) + 8), FOUR((c) + 12)

const uint16_t http_octets[256] = {
    SIXTEEN(0x00), SIXTEEN(0x10), SIXTEEN(0x20), SIXTEEN(0x30), SIXTEEN(0x40), SIXTEEN(0x50),
    SIXTEEN(0x60), SIXTEEN(0x70), SIXTEEN(0x80), SIXTEEN(0x90), SIXTEEN(0xa0), SIXTEEN(0xb0),
    SIXTEEN(0xc0), SIXTEEN(0xd0), SIXTEEN(0xe0), SIXTEEN(0xf0),
};
