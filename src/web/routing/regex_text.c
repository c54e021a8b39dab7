/* A walk along an expression in PCRE2's syntax that knows escapes and character classes. */
#include "web/routing/regex_text.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool regex_text_is_word(const char *text)
{
    static const char words[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ %";
    return text[strspn(text, words)] == '\0';
}

/* Behind the '\' of an escape that is in no character class. */
static bool escape_counts(const char *p)
{
    if (*p >= '1' && *p <= '9')
        return true;
    if (*p != 'g')
        return false;
    p++;
    return is_digit(*p) || ((*p == '{' || *p == '<' || *p == '\'') && is_digit(p[1]));
}

/* At the '(' of a group. */
static bool group_counts(const char *p)
{
    if (p[1] != '?')
        return false;
    p += p[2] == '(' ? 3 : 2;
    return is_digit(*p) || (*p == 'R' && (p[1] == ')' || is_digit(p[1])));
}

/* Behind an escape whose '\' is at p. */
static const char *skip_escape(const char *p)
{
    if (p[1] == 'Q') {
        const char *end = strstr(p, "\\E");
        return end ? end + 2 : p + strlen(p);
    }
    return p[1] ? p + 2 : p + 1;
}

/* Behind the character class whose '[' is at p. */
static const char *skip_class(const char *p)
{
    p++;
    if (*p == '^')
        p++;
    if (*p == ']') /* the first one stands for itself */
        p++;
    while (*p && *p != ']') {
        const char *posix = p[0] == '[' && p[1] == ':' ? strstr(p, ":]") : NULL;
        p = *p == '\\' ? skip_escape(p) : posix ? posix + 2 : p + 1;
    }
    return *p ? p + 1 : p;
}

bool regex_text_counts_groups(const char *text)
{
    for (const char *p = text; *p;) {
        if ((*p == '\\' && escape_counts(p + 1)) || (*p == '(' && group_counts(p)))
            return true;
        p = *p == '\\' ? skip_escape(p) : *p == '[' ? skip_class(p) : p + 1;
    }
    return false;
}
