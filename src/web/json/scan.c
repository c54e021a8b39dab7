/* A walk over JSON text that knows strings, numbers and brackets, and what jansson (2.13 and 2.14,
 * 64 bits) allocates for each with the C library's malloc: 8 octets more, rounded up to 16, 32 at
 * least. tests/unit/web/json/scan.c holds the figures against it. */
#include "web/json/scan.h"

#include <string.h>

enum {
    OBJECT_COST = 80 + 144, /* the value, and room for 8 members */
    ARRAY_COST = 48 + 80,   /* the same */
    FREE_MEMBERS = 8,
    /* Of each place in a table that is doubled. */
    MEMBER_COST = 16,
    ELEMENT_COST = 8,
    /* Of a string its value and its text, with room for the quotes; of a key its member, which is
     * less. */
    STRING_COST = 80,
    NUMBER_COST = 32,
};

void json_scan_init(struct json_scan *scan)
{
    memset(scan, 0, offsetof(struct json_scan, open));
}

static void end_token(struct json_scan *scan)
{
    if (scan->token > scan->longest)
        scan->longest = scan->token;
    scan->token = 0;
    scan->in_string = scan->in_word = false;
}

static void open_container(struct json_scan *scan, bool object)
{
    scan->memory += object ? OBJECT_COST : ARRAY_COST;
    if (scan->depth == JSON_SCAN_MAX_DEPTH) {
        scan->too_deep = true;
        return;
    }
    scan->open[scan->depth++] = object;
    if (scan->depth > scan->max_depth)
        scan->max_depth = scan->depth;
}

/* A comma: one more member. */
static void add_member(struct json_scan *scan)
{
    if (scan->depth == 0)
        return;
    uint32_t *open = &scan->open[scan->depth - 1];
    *open += 2;
    size_t n = *open / 2;
    if (n < FREE_MEMBERS || (n & (n - 1)) != 0)
        return;
    size_t table = n * (*open % 2 ? MEMBER_COST : ELEMENT_COST);
    scan->memory += table;
    if (table > scan->table) /* while the new one is filled the old one is still there */
        scan->table = table;
}

/* Of a number or of a name, as "true", which jansson takes for a token whole before it looks at it;
 * it goes by ASCII, as isalnum() may not. */
static bool is_of_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '+' || c == '.';
}

/* An octet outside of strings. */
static void structure(struct json_scan *scan, char c)
{
    bool of_word = is_of_word(c);
    if (of_word && scan->in_word) {
        scan->token++;
        return;
    }
    if (scan->in_word)
        end_token(scan);
    if (c == '"') {
        scan->memory += STRING_COST;
        scan->in_string = true;
    } else if (c == '{' || c == '[') {
        open_container(scan, c == '{');
    } else if ((c == '}' || c == ']') && scan->depth > 0) {
        scan->depth--;
    } else if (c == ',') {
        add_member(scan);
    } else if (of_word) {
        scan->memory += c < 'A' ? NUMBER_COST : 0; /* names are values that stand ready */
        scan->in_word = true;
        scan->token = 1;
    }
}

/* The octets of a string from text on, up to its end or that of the piece. Returns where. */
static const char *string(struct json_scan *scan, const char *text, const char *end)
{
    const char *start = text;
    for (; text < end && scan->in_string; text++) {
        if (scan->escaped)
            scan->escaped = false;
        else if (*text == '\\')
            scan->escaped = true;
        else if (*text == '"')
            scan->in_string = false;
    }
    scan->token += (size_t)(text - start);
    scan->memory += (size_t)(text - start);
    if (!scan->in_string)
        end_token(scan);
    return text;
}

void json_scan_feed(struct json_scan *scan, const char *text, size_t len)
{
    const char *end = text + len;
    while (text < end)
        if (scan->in_string)
            text = string(scan, text, end);
        else
            structure(scan, *text++);
}

size_t json_scan_passing(const struct json_scan *scan)
{
    size_t longest = scan->token > scan->longest ? scan->token : scan->longest;
    /* jansson's buffer for a token doubles, and the token is copied from it. */
    return 4 * longest + scan->table + 1024;
}
